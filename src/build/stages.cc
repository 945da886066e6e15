#include "build/stages.h"

#include <algorithm>

#include "base/text.h"
#include "build/dockerfile_lines.h"
#include "build/dockerfile_words.h"
#include "build/expand.h"

namespace wherry::build {
namespace {

constexpr std::string_view kProxies[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
                                         "ALL_PROXY"};

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

void set_platform_args(std::map<std::string, std::string>& args, const std::string& prefix,
                       const oci::Platform& platform) {
  args[prefix + "PLATFORM"] = to_text(platform);
  args[prefix + "OS"] = platform.os;
  args[prefix + "OSVERSION"] = platform.os_version;
  args[prefix + "ARCH"] = platform.architecture;
  args[prefix + "VARIANT"] = platform.variant;
}

// The last stage of that name before `end`; -1: none.
int stage_named(const StagePlan& plan, std::string_view name, int end) {
  std::string wanted = to_lower(name);
  for (int index = end; index-- > 0;)
    if (const Stage& stage = plan.stages[static_cast<size_t>(index)];
        !stage.name.empty() && stage.name == wanted)
      return index;
  return -1;
}

std::string shown(const Stage& stage) {
  return stage.name.empty() ? std::to_string(stage.index) : stage.name;
}

class Planner {
 public:
  Planner(const Dockerfile& file, const PlanOptions& options) : file_(file), options_(options) {}

  Result<StagePlan> run() {
    set_platform_args(plan_.global_args, "BUILD", options_.build_platform);
    set_platform_args(plan_.global_args, "TARGET", options_.target_platform);
    plan_.global_args["TARGETSTAGE"] = options_.target.empty() ? "default" : options_.target;
    for (const auto& [name, value] : options_.build_args)
      if (plan_.global_args.contains(name)) plan_.global_args[name] = value;
    for (size_t i = 0; i < file_.instructions.size(); ++i) {
      const Instruction& instruction = file_.instructions[i];
      Result<void> done = step(instruction, i);
      if (!done) return at_line(std::move(done.error()), instruction.place.first);
    }
    for (Stage& stage : plan_.stages) TRY_VOID(find_needs(stage));
    TRY_VOID(choose_target());
    order();
    return std::move(plan_);
  }

 private:
  Result<void> step(const Instruction& instruction, size_t index) {
    if (const auto* from = std::get_if<From>(&instruction.what))
      return open_stage(*from, instruction, index);
    if (!plan_.stages.empty()) {
      plan_.stages.back().end = index + 1;
      return {};
    }
    const auto* arg = std::get_if<Arg>(&instruction.what);
    return arg == nullptr ? Result<void>() : declare(*arg);
  }

  Expander words() {
    auto lookup = [this](std::string_view name) -> std::optional<std::string> {
      auto found = plan_.global_args.find(std::string(name));
      if (found == plan_.global_args.end()) return std::nullopt;
      return found->second;
    };
    return {lookup, file_.escape, &unset_};
  }

  // An ARG before the first FROM. One after the other: "ARG A=1 B=$A" takes the new A.
  Result<void> declare(const Arg& arg) {
    for (const Arg::Item& item : arg.items) {
      auto given = options_.build_args.find(item.name);
      if (given != options_.build_args.end()) {
        plan_.global_args[item.name] = given->second;
      } else if (item.value) {
        TRY(plan_.global_args[item.name], expand_word(*item.value, words()));
      } else {
        declared_.insert(item.name);
      }
    }
    return {};
  }

  Result<void> open_stage(const From& from, const Instruction& instruction, size_t index) {
    Stage stage;
    stage.index = static_cast<int>(plan_.stages.size());
    stage.name = from.name;
    stage.place = instruction.place;
    stage.begin = stage.end = index + 1;
    unset_.clear();
    TRY(stage.from, expand_word(from.image, words()));
    if (stage.from.empty())
      return invalid("base name (" + from.image + ") should not be blank")
          .set_hint("give the ARG a default or pass it with --build-arg");
    if (!from.platform.empty()) {
      TRY(std::string platform, expand_word(from.platform, words()));
      if (platform.empty()) return invalid("empty platform value from expression " + from.platform);
      TRY_CTX(stage.platform, oci::parse_platform(platform), "failed to parse platform");
    }
    for (const std::string& name : unset_)
      if (!declared_.contains(name) && file_.checks.wants("UndefinedArgInFrom"))
        plan_.warnings.push_back({"UndefinedArgInFrom",
                                  "FROM argument '" + name + "' is not declared",
                                  instruction.place});
    stage.base = base_of(stage);
    plan_.stages.push_back(std::move(stage));
    return {};
  }

  Source base_of(const Stage& stage) const {
    int index = stage_named(plan_, stage.from, stage.index);
    if (index >= 0) return {Source::Kind::kStage, index, {}};
    if (stage.from == "scratch") return {Source::Kind::kScratch, -1, {}};
    return {Source::Kind::kImage, -1, stage.from};
  }

  Result<void> find_needs(Stage& stage) {
    if (stage.base.kind == Source::Kind::kStage) stage.needs.insert(stage.base.stage);
    for (size_t i = stage.begin; i < stage.end; ++i) {
      const Instruction& instruction = file_.instructions[i];
      std::vector<std::string> names;
      if (const auto* copy = std::get_if<Copy>(&instruction.what)) names.push_back(copy->from);
      if (const auto* run = std::get_if<Run>(&instruction.what))
        for (const RunMount& mount : run->mounts) names.push_back(mount.from);
      for (const std::string& name : names) {
        if (name.empty()) continue;
        Result<Source> source = resolve_from(plan_, stage.index, name);
        if (!source) return at_line(std::move(source.error()), instruction.place.first);
        if (source->kind == Source::Kind::kStage) stage.needs.insert(source->stage);
      }
    }
    return {};
  }

  Result<void> choose_target() {
    int count = static_cast<int>(plan_.stages.size());
    plan_.target = count - 1;
    if (options_.target.empty()) return {};
    int index = stage_named(plan_, options_.target, count);
    if (auto number = parse_u64(options_.target);
        index < 0 && number && *number < plan_.stages.size())
      index = static_cast<int>(*number);
    if (index < 0) {
      std::vector<std::string_view> names;
      for (const Stage& stage : plan_.stages)
        if (!stage.name.empty()) names.push_back(stage.name);
      return invalid("target stage \"" + options_.target + "\" could not be found" +
                     did_you_mean(options_.target, names));
    }
    plan_.target = index;
    return {};
  }

  // Stages need only earlier ones, so that one walk from the target down finds them all.
  void order() {
    std::set<int> needed{plan_.target};
    for (int index = plan_.target; index >= 0; --index)
      if (needed.contains(index))
        needed.insert(plan_.stages[static_cast<size_t>(index)].needs.begin(),
                      plan_.stages[static_cast<size_t>(index)].needs.end());
    plan_.order.assign(needed.begin(), needed.end());
  }

  const Dockerfile& file_;
  const PlanOptions& options_;
  StagePlan plan_;
  std::set<std::string> unset_;
  std::set<std::string> declared_;  // ARGs without a value
};

}  // namespace

Result<StagePlan> plan_stages(const Dockerfile& file, const PlanOptions& options) {
  return Planner(file, options).run();
}

Result<Source> resolve_from(const StagePlan& plan, int stage, const std::string& from) {
  int index = stage_named(plan, from, stage);
  if (index >= 0) return Source{Source::Kind::kStage, index, {}};
  int count = static_cast<int>(plan.stages.size());
  int later = stage_named(plan, from, count);
  if (auto number = parse_u64(from); later < 0 && number) {
    if (*number >= plan.stages.size())
      return invalid("invalid from flag value " + from + ": there is no such stage")
          .set_hint("stages are counted from 0");
    later = static_cast<int>(*number);
    if (later < stage) return Source{Source::Kind::kStage, later, {}};
  }
  if (later >= 0)
    return invalid("cannot copy from stage \"" + from +
                   "\", it needs to be defined before current stage \"" +
                   shown(plan.stages[static_cast<size_t>(stage)]) + "\"");
  if (from == "scratch") return Source{};
  return Source{Source::Kind::kImage, -1, from};
}

bool is_proxy_arg(std::string_view name) {
  return std::ranges::any_of(
      kProxies, [&](std::string_view proxy) { return name == proxy || name == to_lower(proxy); });
}

std::string unconsumed_warning(const Dockerfile& file,
                               const std::map<std::string, std::string>& build_args) {
  std::set<std::string> used;
  for (const Instruction& instruction : file.instructions)
    if (const auto* arg = std::get_if<Arg>(&instruction.what))
      for (const Arg::Item& item : arg->items) used.insert(item.name);
  std::string names;
  for (const auto& [name, value] : build_args) {
    bool predefined =
        is_proxy_arg(name) || name == "SOURCE_DATE_EPOCH" || name == "BUILDKIT_SYNTAX";
    if (!predefined && !used.contains(name)) names += (names.empty() ? "" : " ") + name;
  }
  if (names.empty()) return {};
  return "One or more build-args [" + names + "] were not consumed";
}

}  // namespace wherry::build
