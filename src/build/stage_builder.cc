#include "build/stage_builder.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "build/dockerfile_words.h"
#include "oci/platform.h"

namespace wherry::build {
namespace {

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// How long a lookup waits for the digests of the layer below before the step is begun without it.
constexpr int kLookupGraceMs = 25;

// One entry with a layer for each layer, whatever other tools have left of the history.
void complete_history(oci::ImageConfig& config) {
  size_t layers = config.diff_ids.size();
  for (oci::History& entry : config.history) {
    if (entry.empty_layer) continue;
    if (layers == 0)
      entry.empty_layer = true;
    else
      --layers;
  }
  for (; layers > 0; --layers)
    config.history.push_back({.created = config.created, .comment = "layer without history"});
}

}  // namespace

bool BuildState::interrupted() {
  pollfd asked{options.interrupt, POLLIN, 0};
  if (options.interrupt >= 0 && poll(&asked, 1, 0) > 0) canceled = true;
  return canceled;
}

void BuildState::warn(const std::vector<Warning>& warnings) {
  for (const Warning& warning : warnings)
    progress.warning(
        fmt::format("{}: {} (line {})", warning.rule, warning.message, warning.place.first));
}

Error canceled_error() {
  return Error(ErrorKind::kUnavailable, "canceled");
}

Result<StageResult> open_image(const store::Image& image, const std::string& name, Layers& layers) {
  StageResult opened;
  TRY_CTX(opened.config, oci::parse_image_config(image.config_json),
          "cannot read the configuration of image '" + name + "'");
  Result<std::vector<LayerPtr>> stored = layers.stored(opened.config.diff_ids);
  if (!stored && stored.error().kind() == ErrorKind::kNotFound)
    stored.error().set_hint("if the image was removed a moment ago, build again");
  if (!stored) return fail(std::move(stored), "cannot use image '" + name + "'");
  for (LayerPtr& layer : *stored) opened.chain.push(std::move(layer));
  complete_history(opened.config);
  opened.config.diff_ids.clear();
  return opened;
}

StageBuilder::StageBuilder(BuildState& build, const Stage& stage)
    : build_(build),
      stage_(stage),
      scope_(build.build_args, build.plan.global_args, build.file.escape),
      metadata_{&state_.config, &scope_} {}

Result<StageResult> StageBuilder::run() {
  TRY_VOID(begin_from_base());
  for (const Instruction& trigger : triggers_) TRY_VOID(execute(trigger));
  for (size_t i = stage_.begin; i < stage_.end; ++i) TRY_VOID(execute(build_.file.instructions[i]));
  return std::move(state_);
}

Error StageBuilder::failed(const Error& error, Place place) {
  if (build_.canceled) {
    build_.progress.end(Progress::Outcome::kCanceled, "");
    return error;
  }
  build_.progress.end(Progress::Outcome::kFailed, error.message());
  build_.progress.failed_at(
      excerpt(build_.context.dockerfile, build_.context.dockerfile_name, place));
  return error;
}

std::string StageBuilder::title(const Instruction& instruction) {
  std::string prefix;
  if (!stage_.name.empty())
    prefix = stage_.name + " ";
  else if (build_.plan.stages.size() > 1)
    prefix = fmt::format("stage-{} ", stage_.index);
  return fmt::format("[{}{}/{}] {}", prefix, ++step_, steps_, instruction.original);
}

size_t StageBuilder::count_steps() const {
  auto makes_layer = [](const Instruction& each) {
    return std::holds_alternative<Run>(each.what) || std::holds_alternative<Copy>(each.what) ||
           std::holds_alternative<Workdir>(each.what);
  };
  auto begin = build_.file.instructions.begin();
  auto own = std::count_if(begin + static_cast<ptrdiff_t>(stage_.begin),
                           begin + static_cast<ptrdiff_t>(stage_.end), makes_layer);
  return 1 + static_cast<size_t>(own + std::ranges::count_if(triggers_, makes_layer));
}

// ---- FROM

Result<void> StageBuilder::begin_from_base() {
  Instruction from;
  from.place = stage_.place;
  from.original = "FROM " + stage_.from;
  if (stage_.base.kind == Source::Kind::kStage) {
    // Nothing happens: the stage goes on where the other one ended.
    TRY(state_, open_base());
    TRY_VOID(take_triggers());
    steps_ = count_steps();
    step_ = 1;
    return build_what_triggers_need();
  }
  size_t without_triggers = count_steps();
  steps_ = without_triggers;
  build_.progress.begin(++build_.parts, title(from));
  Result<StageResult> base = open_base();
  if (!base) return failed(base.error(), stage_.place);
  state_ = std::move(*base);
  if (Result<void> taken = take_triggers(); !taken) return failed(taken.error(), stage_.place);
  steps_ = count_steps();
  build_.progress.end(Progress::Outcome::kRan, "");
  return build_what_triggers_need();
}

// The plan was made without knowing the triggers.
Result<void> StageBuilder::build_what_triggers_need() {
  std::vector<std::string> needed;
  for (const Instruction& trigger : triggers_) {
    if (const auto* copy = std::get_if<Copy>(&trigger.what)) needed.push_back(copy->from);
    if (const auto* run = std::get_if<Run>(&trigger.what))
      for (const RunMount& mount : run->mounts) needed.push_back(mount.from);
  }
  for (const std::string& from : needed) {
    if (from.empty()) continue;
    TRY(Source source, resolve_from(build_.plan, stage_.index, from));
    if (source.kind != Source::Kind::kStage) continue;
    TRY_VOID(build_stage(build_, source.stage));
  }
  return {};
}

Result<void> build_stage(BuildState& build, int index) {
  if (build.stages.contains(index)) return {};
  const Stage& stage = build.plan.stages[static_cast<size_t>(index)];
  for (int needed : stage.needs) TRY_VOID(build_stage(build, needed));
  StageBuilder builder(build, stage);
  TRY(StageResult result, builder.run());
  build.stages.emplace(index, std::move(result));
  return {};
}

Result<StageResult> StageBuilder::open_base() {
  if (stage_.base.kind == Source::Kind::kStage) return build_.stages.at(stage_.base.stage);
  StageResult base;
  oci::Platform wanted = stage_.platform.value_or(oci::host_platform());
  if (stage_.base.kind == Source::Kind::kImage) {
    TRY(store::Image image,
        build_.host.base_image(
            stage_.base.name, stage_.platform ? oci::to_text(*stage_.platform) : "",
            build_.options.pull, [&](const std::string& line) { build_.progress.detail(line); }));
    TRY(base, open_image(image, stage_.base.name, build_.layers));
    oci::Platform offered =
        oci::normalised({base.config.os, base.config.architecture, base.config.variant, {}});
    if (!oci::platform_distance(wanted, offered))
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("image '{}' is for {}, not for {}", stage_.base.name,
                               oci::to_text(offered), oci::to_text(wanted)));
  } else {
    base.config.os = wanted.os;
    base.config.architecture = wanted.architecture;
    base.config.variant = wanted.variant;
  }
  bool has_path = std::ranges::any_of(base.config.config.env, [](const std::string& variable) {
    return variable.starts_with("PATH=");
  });
  if (!has_path) base.config.config.env.emplace_back(kPath);
  return base;
}

Result<void> StageBuilder::take_triggers() {
  std::vector<std::string> texts = std::exchange(state_.config.config.on_build, {});
  for (const std::string& text : texts) {
    TRY_CTX(Instruction trigger, parse_trigger(text, stage_.place),
            fmt::format("cannot run the trigger '{}' of '{}'", text, stage_.from));
    triggers_.push_back(std::move(trigger));
  }
  return {};
}

// ---- instructions

Result<void> StageBuilder::execute(const Instruction& instruction) {
  if (build_.interrupted()) return canceled_error();
  if (std::holds_alternative<Run>(instruction.what) ||
      std::holds_alternative<Copy>(instruction.what))
    return layer_step(instruction, [&] { return prepare_step(instruction); });
  if (const auto* workdir = std::get_if<Workdir>(&instruction.what))
    if (makes_directory(*workdir))
      return layer_step(instruction, [&] { return prepare_step(instruction); });
  Result<bool> applied = apply_metadata(instruction, metadata_);
  Result<void> done;
  if (!applied)
    done = std::move(applied.error());
  else
    done = check_variables(instruction);
  if (done) done = add_history(instruction, 0, true);
  if (done) return done;
  build_.progress.begin(++build_.parts, instruction.original);
  return failed(done.error(), instruction.place);
}

Result<StageBuilder::Prepared> StageBuilder::prepare_step(const Instruction& instruction) {
  own_trees_.clear();
  if (const auto* run = std::get_if<Run>(&instruction.what)) return prepare_run(instruction, *run);
  if (const auto* copy = std::get_if<Copy>(&instruction.what))
    return prepare_copy(instruction, *copy);
  return prepare_workdir(instruction, std::get<Workdir>(instruction.what));
}

Result<void> StageBuilder::layer_step(const Instruction& instruction, const Prepare& prepare) {
  TraceScope trace("build.step");
  build_.progress.begin(++build_.parts, title(instruction));
  Result<bool> cached = try_step(instruction, prepare);
  if (!cached) return failed(cached.error(), instruction.place);
  ++(*cached ? build_.cached : build_.ran);
  build_.progress.end(*cached ? Progress::Outcome::kCached : Progress::Outcome::kRan, "");
  TRY(bool moved, build_.layers.commit_when_due(state_.chain));
  if (moved) build_.roots.clear();
  return {};
}

Result<std::optional<Layers::Hit>> StageBuilder::lookup(const KeyParts& parts) {
  if (build_.options.no_cache) return std::optional<Layers::Hit>();
  TRY(Digest parent, state_.chain.identity());
  return build_.layers.find(parts.key(parent));
}

// True: it was found in the cache.
Result<bool> StageBuilder::try_step(const Instruction& instruction, const Prepare& prepare) {
  TRY(Prepared prepared, prepare());
  TRY_VOID(check_variables(instruction));
  if (state_.chain.settles_within(kLookupGraceMs)) {
    TRY(std::optional<Layers::Hit> hit, lookup(prepared.parts));
    TRY(bool taken, take_hit(std::move(hit), instruction));
    if (taken) return true;
  }
  int64_t began_ns = monotonic_ns();
  TRY_VOID(failpoint("build.step.begin"));
  TRY(store::LayerDraft draft, build_.store.new_layer());
  TRY(std::optional<Layers::Hit> late, prepared.make(draft));
  TRY(bool taken, take_hit(std::move(late), instruction));
  if (taken) return true;
  TRY_VOID(failpoint("build.step.made"));
  StepRecord record{.parts = std::move(prepared.parts),
                    .parent = state_.chain,
                    .cost_ms = (monotonic_ns() - began_ns) / 1000000,
                    .created_ns = wall_clock_ns()};
  int64_t created_ns = record.created_ns;
  TRY(LayerPtr layer, build_.layers.seal(std::move(draft), std::move(record)));
  TRY_VOID(failpoint("build.step.sealed"));
  state_.chain.push(std::move(layer));
  TRY_VOID(add_history(instruction, created_ns, false));
  return false;
}

Result<void> StageBuilder::check_variables(const Instruction& instruction) {
  std::vector<std::string> undefined = scope_.take_undefined();
  if (!build_.file.checks.wants("UndefinedVar")) return {};
  std::vector<std::string> known;
  for (const std::vector<std::string>& variables : {state_.config.config.env, scope_.declared()})
    for (const std::string& variable : variables)
      known.push_back("$" + variable.substr(0, variable.find('=')));
  std::vector<Warning> warnings;
  for (const std::string& name : undefined) {
    // What the instruction itself has just set was not there for its words.
    std::vector<std::string_view> others;
    for (const std::string& other : known)
      if (other != "$" + name) others.push_back(other);
    warnings.push_back(
        {"UndefinedVar",
         "Usage of undefined variable '$" + name + "'" + did_you_mean("$" + name, others),
         instruction.place});
  }
  build_.warn(warnings);
  return enforce(build_.file.checks, warnings);
}

Result<bool> StageBuilder::take_hit(std::optional<Layers::Hit> hit,
                                    const Instruction& instruction) {
  if (!hit) return false;
  state_.chain.push(std::move(hit->layer));
  TRY_VOID(add_history(instruction, hit->created_ns, false));
  return true;
}

// `empty`: it makes no layer. The times of those come with the image, and so does the mark of steps
// that turned out to change nothing (image_export.h).
Result<void> StageBuilder::add_history(const Instruction& instruction, int64_t created_ns,
                                       bool empty) {
  oci::History entry;
  if (created_ns != 0) entry.created = format_rfc3339(created_ns);
  TRY(entry.created_by, created_by(instruction, metadata_));
  entry.empty_layer = empty;
  state_.config.history.push_back(std::move(entry));
  return {};
}

}  // namespace wherry::build
