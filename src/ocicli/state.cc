// `state` and `list`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/clock.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"

namespace wherry::ocicli {
namespace {

constexpr std::array kListFlags{
    Flag{"format", 'f', FlagKind::kString, "table or json", "table"},
    Flag{"quiet", 'q', FlagKind::kBool, "Only the ids"},
};

Result<int> run_state(Call& call) {
  TRY(ContainerDir dir, ContainerDir::open(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  return print(state_json(record, status, user_name(record.owner)) + "\n");
}

struct Row {
  Record record;
  Status status = Status::kStopped;
  std::string owner;
};

// One that vanishes meanwhile is not in the list; one that cannot be read is told of.
Result<std::vector<Row>> rows(const Call& call) {
  TRY(std::vector<std::string> ids, container_ids(call.globals.root));
  std::vector<Row> found;
  for (const std::string& id : ids) {
    auto read = [&]() -> Result<Row> {
      TRY(ContainerDir dir, ContainerDir::open(call.globals.root, id));
      Row row;
      TRY(row.record, dir.read());
      TRY(row.status, dir.status(row.record));
      row.owner = user_name(row.record.owner);
      return row;
    };
    Result<Row> row = read();
    if (row) {
      found.push_back(std::move(*row));
    } else if (row.error().kind() != ErrorKind::kNotFound) {
      call.log.warn("cannot list '" + id + "': " + row.error().message());
    }
  }
  return found;
}

std::string table(const std::vector<Row>& rows) {
  std::vector<std::array<std::string, 6>> cells{
      {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const Row& row : rows)
    cells.push_back({row.record.id,
                     std::to_string(row.status == Status::kStopped ? 0 : row.record.pid),
                     std::string(status_word(row.status)), row.record.bundle,
                     format_rfc3339(row.record.created_ns), row.owner});
  constexpr size_t kMinWidth = 12;
  constexpr size_t kGap = 3;
  std::array<size_t, 6> widths{};
  widths.fill(kMinWidth - kGap);
  for (const auto& line : cells)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const auto& line : cells) {
    for (size_t i = 0; i + 1 < line.size(); ++i)
      text += fmt::format("{:<{}}", line[i], widths[i] + kGap);
    text += line.back() + "\n";
  }
  return text;
}

Result<int> run_list(Call& call) {
  std::string format = call.flags.text("format");
  if (format != "table" && format != "json")
    return Error(ErrorKind::kInvalidArgument, "invalid format option '" + format + "'")
        .set_hint("use table or json");
  TRY(std::vector<Row> found, rows(call));
  if (call.flags.boolean("quiet")) {
    std::string text;
    for (const Row& row : found) text += row.record.id + "\n";
    return print(text);
  }
  if (format == "table") return print(table(found));
  std::vector<std::string> states;
  for (const Row& row : found) states.push_back(state_json(row.record, row.status, row.owner));
  return print(states_json(states));
}

}  // namespace

const CommandSpec kState = {
    .name = "state",
    .usage = "CONTAINER",
    .summary = "Print the state of a container as JSON",
    .table = {},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_state,
};

const CommandSpec kList = {
    .name = "list",
    .usage = "[OPTIONS]",
    .summary = "List the containers below --root",
    .table = {kListFlags},
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run_list,
};

}  // namespace wherry::ocicli
