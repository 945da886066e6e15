// What the parts of one build share. Inside build/ only.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "build/builder.h"
#include "build/context.h"
#include "build/dockerfile.h"
#include "build/layers.h"
#include "build/roots.h"
#include "build/stages.h"
#include "engine/build_host.h"
#include "oci/image.h"

namespace wherry::build {

// A stage that is done, or the state it has come to.
struct StageResult {
  oci::ImageConfig config;  // diff ids: none, they are the chain's
  Chain chain;
};

struct BuildState {
  BuildState(engine::BuildHost& host, store::Store& store, const BuildOptions& options,
             Progress& progress)
      : host(host),
        store(store),
        options(options),
        progress(progress),
        layers(store, host.state()),
        roots(store) {}
  BuildState(const BuildState&) = delete;
  BuildState& operator=(const BuildState&) = delete;

  engine::BuildHost& host;
  store::Store& store;
  const BuildOptions& options;
  Progress& progress;
  Context context;
  Dockerfile file;
  StagePlan plan;
  std::map<std::string, std::string> build_args;
  Layers layers;
  Roots roots;
  std::map<int, StageResult> stages;
  int parts = 0;  // shown so far
  size_t ran = 0, cached = 0;
  bool canceled = false;

  // Whether the user has asked to stop; remembered.
  bool interrupted();
  // Shows build checks.
  void warn(const std::vector<Warning>& warnings);
};

// An image as what a stage begins with.
Result<StageResult> open_image(const store::Image& image, const std::string& name, Layers& layers);

// The error that a canceled build ends with.
Error canceled_error();

}  // namespace wherry::build
