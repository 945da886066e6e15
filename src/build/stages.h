// The stage graph: which stages a Dockerfile has, what each starts from, which ones a target needs.
//
//   TRY(StagePlan plan, plan_stages(file, options));
//   for (int index : plan.order) build(plan.stages[index]);   // bases and sources come first
//
// Pure: global ARGs are expanded here, nothing is looked up in a store. Errors have the place of
// their instruction, as the parser's.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/dockerfile.h"
#include "oci/platform.h"

namespace wherry::build {

// What a FROM, a COPY --from or a mount's from= means.
struct Source {
  enum class Kind { kScratch, kStage, kImage } kind = Kind::kScratch;
  int stage = -1;    // kStage
  std::string name;  // kImage: the reference as written
};

struct Stage {
  int index = 0;
  std::string name;  // "": none
  Place place;       // of FROM
  std::string from;  // the image after expansion, for messages
  Source base;
  std::optional<oci::Platform> platform;  // --platform
  size_t begin = 0, end = 0;              // its instructions after FROM in Dockerfile::instructions
  std::set<int> needs;                    // stages it cannot do without, its base included
};

struct PlanOptions {
  std::map<std::string, std::string> build_args;  // --build-arg
  std::string target;                             // --target: name or index; "": the last stage
  oci::Platform build_platform = oci::host_platform();
  oci::Platform target_platform = oci::host_platform();
};

struct StagePlan {
  std::vector<Stage> stages;
  int target = 0;
  std::vector<int> order;  // the stages to build, ascending; the target is the last
  // ARGs before the first FROM with their values, and the predefined ones (TARGETPLATFORM, ...):
  // what `ARG name` without a value finds in a stage.
  std::map<std::string, std::string> global_args;
  std::vector<Warning> warnings;
};

Result<StagePlan> plan_stages(const Dockerfile& file, const PlanOptions& options);

// COPY --from and mounts in stage `stage`: earlier stages by name (any case) or index, then images.
// A later stage, the stage itself, or a number without a stage is kInvalidArgument. For triggers of
// a base image too; those may need stages that `order` does not have.
Result<Source> resolve_from(const StagePlan& plan, int stage, const std::string& from);

// HTTP_PROXY and its kin: usable in RUN without ARG.
bool is_proxy_arg(std::string_view name);
// "One or more build-args [X Y] were not consumed", or "" when all were.
std::string unconsumed_warning(const Dockerfile& file,
                               const std::map<std::string, std::string>& build_args);

}  // namespace wherry::build
