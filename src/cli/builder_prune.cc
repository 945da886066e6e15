// builder prune.
#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "build/prune.h"
#include "cli/build_commands.h"
#include "cli/output.h"
#include "cli/prune.h"

namespace wherry::cli {
namespace {

constexpr Flag kPrune[] = {
    {"all", 'a', FlagKind::kBool,
     "Also steps that images are made of, and the caches of RUN mounts"},
    {"filter", 0, FlagKind::kList, "until=DURATION: only what was not used for so long"},
    {"force", 'f', FlagKind::kBool, "Do not ask"},
};
constexpr RefusedFlag kPruneLater[] = {{"builder"},        {"keep-storage"},   {"max-used-space"},
                                       {"min-free-space"}, {"reserved-space"}, {"verbose"}};

Result<build::PruneOptions> options_of(const ParsedFlags& flags) {
  build::PruneOptions options;
  options.all = flags.boolean("all");
  for (const std::string& filter : flags.list("filter")) {
    auto [key, value] = split_once(filter, '=');
    if (key != "until" || !value)
      return Error(ErrorKind::kInvalidArgument, fmt::format("invalid filter '{}'", filter))
          .set_hint("use until=DURATION, like until=24h");
    options.unused_for_ns = parse_go_duration(*value);
    if (!options.unused_for_ns || *options.unused_for_ns < 0)
      return Error(ErrorKind::kInvalidArgument, fmt::format("invalid duration '{}'", *value))
          .set_hint("write it like 24h or 90m");
  }
  return options;
}

}  // namespace

constinit const FlagTable kBuilderPruneFlags{kPrune, kPruneLater};

Result<int> prune_build_cache(Invocation& call) {
  TRY(build::PruneOptions options, options_of(call.flags));
  if (!call.flags.boolean("force"))
    TRY_VOID(confirm_prune("builder prune", fmt::format("This will remove all {}build cache.",
                                                        options.all ? "" : "dangling ")));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::BuildHost * host, engine->build_host());
  TRY(build::Pruned pruned, build::prune(*host, options));
  std::string text;
  if (!pruned.steps.empty())
    text = "Deleted build cache objects:\n" + join(pruned.steps, "\n") + "\n\n";
  TRY_VOID(print(text + reclaimed_line(pruned.bytes)));
  return 0;
}

}  // namespace wherry::cli
