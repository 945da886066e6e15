// A build, from a Dockerfile and a context to an image in the store.
//
//   parse -> the stages that the target needs, in order -> for each step: its cache key, then the
//   layer that is known by it, or one that is made -> image: configuration, history, tags, in one
//   transaction with the cache records.
//
// What was finished stays in the cache whatever comes after it; what a kill interrupts leaves
// nothing but what the next command sweeps. docs/design/build.md.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "build/progress.h"
#include "engine/build_host.h"
#include "oci/reference.h"

namespace wherry::build {

struct Secret {
  std::string id;
  std::string content;
};

struct BuildOptions {
  std::string context;     // a directory, or "-": standard input has a tar or the Dockerfile
  std::string dockerfile;  // "": Dockerfile in the context; "-": standard input
  std::vector<oci::ImageRef> tags;
  std::vector<std::pair<std::string, std::string>> build_args, labels;
  std::string target;
  std::string network = "default";  // of RUN steps that do not say: default, none, host
  bool no_cache = false;            // looks nothing up, still records
  bool pull = false;                // asks the registry even for images that are here
  std::vector<Secret> secrets;
  int interrupt = -1;  // a descriptor: readable when the build shall stop
};

struct Built {
  Digest image;
  size_t ran = 0, cached = 0;  // steps that make layers
};

// Everything the user sees on the way goes through `progress`; of a failure also the place.
Result<Built> build(engine::BuildHost& host, const BuildOptions& options, Progress& progress);

}  // namespace wherry::build
