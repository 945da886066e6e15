#include "build/builder.h"

#include "base/failpoint.h"
#include "base/trace.h"
#include "build/build_state.h"
#include "build/image_export.h"
#include "build/stage_builder.h"

namespace wherry::build {
namespace {

// The file and the plan, before anything is looked up or run.
Result<void> load(BuildState& build) {
  build.progress.begin(++build.parts, "[internal] load build definition");
  TRY(build.context, open_context(build.options.context, build.options.dockerfile, build.store));
  for (const auto& [name, value] : build.options.build_args) build.build_args[name] = value;
  // What is wrong with it is said before the work, not after.
  TRY([[maybe_unused]] auto fixed, fixed_time(build));
  ParseOptions parsing;
  if (auto syntax = build.build_args.find("BUILDKIT_SYNTAX"); syntax != build.build_args.end())
    parsing.syntax = syntax->second;
  TRY(build.file, parse_dockerfile(build.context.dockerfile, parsing));
  PlanOptions planning;
  planning.build_args = build.build_args;
  planning.target = build.options.target;
  TRY(build.plan, plan_stages(build.file, planning));
  std::vector<Warning> warnings = build.file.warnings;
  warnings.insert(warnings.end(), build.plan.warnings.begin(), build.plan.warnings.end());
  build.warn(warnings);
  TRY_VOID(enforce(build.file.checks, warnings));
  build.progress.end(Progress::Outcome::kRan, "");
  return {};
}

Result<Digest> make(BuildState& build) {
  Result<void> built;
  for (int index : build.plan.order)
    if (built) built = build_stage(build, index);
  if (!built) {
    keep_finished_steps(build);
    return std::move(built.error());
  }
  Result<Digest> image = export_image(build, build.stages.at(build.plan.target));
  if (!image) build.progress.end(Progress::Outcome::kFailed, image.error().message());
  return image;
}

Result<Built> build_image(engine::BuildHost& host, const BuildOptions& options,
                          Progress& progress) {
  TRY(store::Store * store, host.image_store());
  BuildState state(host, *store, options, progress);
  Result<void> loaded = load(state);
  if (!loaded) {
    progress.end(Progress::Outcome::kFailed, loaded.error().message());
    return std::move(loaded.error());
  }
  TRY(Digest image, make(state));
  std::string unconsumed = unconsumed_warning(state.file, state.build_args);
  if (!unconsumed.empty()) progress.warning(unconsumed);
  return Built{image, state.ran, state.cached};
}

}  // namespace

Result<Built> build(engine::BuildHost& host, const BuildOptions& options, Progress& progress) {
  TraceScope trace("build");
  TRY_VOID(host.take_back());
  Result<Built> built = build_image(host, options, progress);
  // One layer's objects could not be taken away while another layer's were counted on.
  if (!built) [[maybe_unused]]
    Result<void> taken = host.take_back();
  return built;
}

}  // namespace wherry::build
