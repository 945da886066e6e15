// ps.
#include <fmt/format.h>

#include <ctime>

#include "base/clock.h"
#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/rows.h"

namespace wherry::cli {
namespace {

constexpr Flag kList[] = {
    {"all", 'a', FlagKind::kBool, "Also those that do not run"},
    {"filter", 'f', FlagKind::kList, "Only those that match: KEY=VALUE"},
    {"format", 0, FlagKind::kString, "table, json, a template, or 'table TEMPLATE'"},
    {"last", 'n', FlagKind::kInt, "The last N made, whatever their state", "-1"},
    {"latest", 'l', FlagKind::kBool, "The last one made, whatever its state"},
    {"no-trunc", 0, FlagKind::kBool, "Whole ids and commands"},
    {"quiet", 'q', FlagKind::kBool, "Only ids"},
};
constexpr RefusedFlag kListLater[] = {{"size", 's'}};

}  // namespace

constinit const FlagTable kListFlags{kList, kListLater};

Result<std::vector<std::pair<std::string, std::string>>> parse_filters(const ParsedFlags& flags) {
  std::vector<std::pair<std::string, std::string>> filters;
  for (const std::string& text : flags.list("filter")) {
    auto [key, value] = split_once(text, '=');
    if (!value || trim(key).empty())
      return Error(
          ErrorKind::kInvalidArgument,
          fmt::format("invalid argument \"{}\" for \"-f, --filter\" flag: bad format of filter "
                      "(expected name=value)",
                      text));
    filters.emplace_back(to_lower(trim(key)), trim(*value));
  }
  return filters;
}

Result<int> list_containers(Invocation& call) {
  engine::ContainerFilter filter;
  filter.all = call.flags.boolean("all");
  int64_t last = call.flags.boolean("latest") ? 1 : call.flags.integer("last");
  if (last > INT32_MAX) last = INT32_MAX;
  filter.last = last <= 0 ? -1 : static_cast<int>(last);
  TRY(filter.filters, parse_filters(call.flags));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<engine::ContainerRecord> records, engine->list(filter));
  std::vector<Row> rows;
  bool whole = call.flags.boolean("no-trunc");
  int64_t now = wall_clock_ns();
  for (const engine::ContainerRecord& record : records)
    rows.push_back(container_row(record, whole, now));
  std::string format = call.flags.text("format");
  if (format.empty() && call.flags.boolean("quiet")) format = "{{.ID}}";
  TRY_VOID(
      print_rows(format,
                 "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t"
                 "{{.Names}}",
                 container_headings(), rows));
  return 0;
}

}  // namespace wherry::cli
