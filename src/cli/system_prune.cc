// system prune: the prune commands of all kinds one after the other, asked for once.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "build/prune.h"
#include "cli/build_commands.h"
#include "cli/output.h"
#include "cli/prune.h"
#include "cli/rows.h"
#include "engine/prune_filter.h"

namespace wherry::cli {
namespace {

using Filters = engine::Engine::Filters;

constexpr Flag kPrune[] = {
    {"all", 'a', FlagKind::kBool,
     "All images that no container uses, not only those without a name, and all build cache"},
    {"filter", 0, FlagKind::kList, "Only those that match: until=TIME, label=KEY, label!=KEY"},
    {"force", 'f', FlagKind::kBool, "Do not ask"},
    {"volumes", 0, FlagKind::kBool, "Anonymous volumes that no container uses too"},
};

struct Options {
  bool all = false, volumes = false;
  Filters filters;
  bool by_label = false;
  std::optional<int64_t> unused_for_ns;
};

// Wrong ones are told before anybody is asked.
Result<Options> options_of(const ParsedFlags& flags) {
  Options options{.all = flags.boolean("all"), .volumes = flags.boolean("volumes")};
  TRY(options.filters, parse_filters(flags));
  int64_t now = wall_clock_ns();
  TRY([[maybe_unused]] auto checked,
      engine::PruneFilter::compile(options.filters, {"until", "label", "label!"}, now));
  for (const auto& [key, value] : options.filters) {
    if (key != "until") {
      options.by_label = true;
      continue;
    }
    if (options.volumes)
      return Error(ErrorKind::kInvalidArgument,
                   "the \"until\" filter is not supported with \"--volumes\"");
    options.unused_for_ns = std::max<int64_t>(0, now - parse_time_bound(value, now).value_or(now));
  }
  return options;
}

std::string warning_of(const Options& options) {
  std::string text = "This will remove:";
  auto add = [&](std::string_view line) { text += fmt::format("\n  - {}", line); };
  add("all stopped containers");
  add("all networks not used by at least one container");
  if (options.volumes) add("all anonymous volumes not used by at least one container");
  add(options.all ? "all images without at least one container associated to them"
                  : "all dangling images");
  add(options.all ? "all build cache" : "unused build cache");
  text += "\n";
  if (options.filters.empty()) return text;
  text += "\n  Items to be pruned will be filtered with:";
  for (const auto& [key, value] : options.filters) add(fmt::format("{}={}", key, value));
  return text + "\n";
}

Result<void> report(std::string_view heading, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  return print(fmt::format("Deleted {}:\n{}\n\n", heading, join(names, "\n")));
}

Result<uint64_t> prune_containers_and_volumes(engine::Engine& engine, const Options& options) {
  TRY(engine::Engine::Pruned containers, engine.prune_containers(options.filters));
  TRY_VOID(report("Containers", containers.names));
  TRY_VOID(engine.prune_networks());
  if (!options.volumes) return containers.bytes;
  TRY(engine::Engine::Pruned volumes, engine.prune_volumes(options.filters));
  TRY_VOID(report("Volumes", volumes.names));
  return containers.bytes + volumes.bytes;
}

Result<uint64_t> prune_all_images(engine::Engine& engine, const Options& options) {
  TRY(store::Store::Removed removed, engine.prune_images(options.all, options.filters));
  std::vector<std::string> lines;
  for (const std::string& name : removed.untagged) lines.push_back("untagged: " + name);
  for (const std::string& digest : removed.deleted) lines.push_back("deleted: " + digest);
  TRY_VOID(report("Images", lines));
  return removed.bytes;
}

Result<uint64_t> prune_steps(engine::Engine& engine, const Options& options) {
  // Steps have no labels.
  if (options.by_label) return 0;
  TRY(engine::BuildHost * host, engine.build_host());
  TRY(build::Pruned pruned,
      build::prune(*host, {.all = options.all, .unused_for_ns = options.unused_for_ns}));
  TRY_VOID(report("build cache objects", pruned.steps));
  return pruned.bytes;
}

}  // namespace

constinit const FlagTable kSystemPruneFlags{kPrune};

Result<int> prune_system(Invocation& call) {
  TRY(Options options, options_of(call.flags));
  if (!call.flags.boolean("force")) TRY_VOID(confirm_prune("system prune", warning_of(options)));
  TRY(engine::Engine * engine, call.context.engine());
  // What depends on others goes first.
  TRY(uint64_t containers, prune_containers_and_volumes(*engine, options));
  TRY(uint64_t images, prune_all_images(*engine, options));
  TRY(uint64_t steps, prune_steps(*engine, options));
  TRY_VOID(print(reclaimed_line(containers + images + steps)));
  return 0;
}

}  // namespace wherry::cli
