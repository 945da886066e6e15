// volume create, ls, rm, prune.
#include "cli/volume_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/prune.h"
#include "cli/rows.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;
constexpr auto kList = FlagKind::kList;

constexpr Flag kCreate[] = {
    {"driver", 'd', kString, "Volume driver; only local is there", "local"},
    {"label", 0, kList, "Label KEY=VALUE"},
    {"name", 0, kString, "Name of the volume"},
};
constexpr RefusedFlag kCreateLater[] = {
    {"opt", 'o'}, {"availability"}, {"group"},   {"limit-bytes"},        {"required-bytes"},
    {"scope"},    {"secret"},       {"sharing"}, {"topology-preferred"}, {"topology-required"},
    {"type"}};

constexpr Flag kVolumeList[] = {
    {"filter", 'f', kList, "Only those that match: name=TEXT, label=KEY, dangling=BOOL"},
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
    {"quiet", 'q', kBool, "Only names"},
};
constexpr RefusedFlag kVolumeListLater[] = {{"cluster"}};

constexpr Flag kRemove[] = {{"force", 'f', kBool, "A missing volume is no failure"}};

constexpr Flag kPrune[] = {
    {"all", 'a', kBool, "Named volumes too, not only anonymous ones"},
    {"filter", 0, kList, "Only those that match: label=KEY, label!=KEY"},
    {"force", 'f', kBool, "Do not ask"},
};

std::string label_words(const engine::Volume& volume) {
  std::string text = volume.anonymous ? fmt::format("{}=", engine::kAnonymousVolumeLabel) : "";
  for (const auto& [key, value] : volume.labels)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

Row volume_row(const engine::Volume& volume) {
  Row row;
  for (const char* missing : {"Availability", "Group", "Size", "Status"})
    row.fields[missing] = "N/A";
  row.fields["Driver"] = "local";
  row.fields["Labels"] = label_words(volume);
  row.fields["Links"] = std::to_string(volume.users.size());
  row.fields["Mountpoint"] = volume.mountpoint;
  row.fields["Name"] = volume.name;
  row.fields["Scope"] = "local";
  row.labels = Json(volume.labels);
  if (!row.labels.is_object()) row.labels = Json::object();
  if (volume.anonymous) row.labels[engine::kAnonymousVolumeLabel] = "";
  return row;
}

const Json& volume_headings() {
  static const Json headings = {{"Availability", "AVAILABILITY"},
                                {"Driver", "DRIVER"},
                                {"Group", "GROUP"},
                                {"Labels", "LABELS"},
                                {"Links", "LINKS"},
                                {"Mountpoint", "MOUNTPOINT"},
                                {"Name", "VOLUME NAME"},
                                {"Scope", "SCOPE"},
                                {"Size", "SIZE"},
                                {"Status", "STATUS"}};
  return headings;
}

}  // namespace

constinit const FlagTable kVolumeCreateFlags{kCreate, kCreateLater};
constinit const FlagTable kVolumeListFlags{kVolumeList, kVolumeListLater};
constinit const FlagTable kVolumeRemoveFlags{kRemove};
constinit const FlagTable kVolumePruneFlags{kPrune};

Result<int> create_volume(Invocation& call) {
  engine::VolumeRequest request;
  request.name = call.flags.text("name");
  if (!call.arguments().empty()) {
    if (!request.name.empty())
      return Error(ErrorKind::kInvalidArgument,
                   "conflicting options: cannot specify a volume-name through both --name and as a "
                   "positional arg");
    request.name = call.arguments()[0];
  }
  std::string driver = call.flags.text("driver");
  if (driver != "local")
    return Error(ErrorKind::kUnsupported,
                 fmt::format("volume driver '{}' is not supported", driver))
        .set_hint("use local");
  for (const std::string& label : call.flags.list("label")) {
    auto [key, value] = split_once(label, '=');
    if (trim(key).empty())
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid label '{}': empty name", label));
    request.labels[std::string(key)] = std::string(value.value_or(""));
  }
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Volume volume, engine->create_volume(request));
  TRY_VOID(print(volume.name + "\n"));
  return 0;
}

Result<int> list_volumes(Invocation& call) {
  TRY(auto filters, parse_filters(call.flags));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<engine::Volume> volumes, engine->volumes(filters));
  std::vector<Row> rows;
  for (const engine::Volume& volume : volumes) rows.push_back(volume_row(volume));
  std::string format = call.flags.text("format");
  if (format.empty() && call.flags.boolean("quiet")) format = "{{.Name}}";
  TRY_VOID(print_rows(format, "{{.Driver}}\t{{.Name}}", volume_headings(), rows));
  return 0;
}

Result<int> remove_volumes(Invocation& call) {
  bool force = call.flags.boolean("force");
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY_VOID(engine->remove_volume(name, force));
    return print(name + "\n");
  });
}

Result<int> prune_volumes(Invocation& call) {
  TRY(auto filters, parse_filters(call.flags));
  bool named = std::ranges::any_of(filters, [](const auto& pair) { return pair.first == "all"; });
  if (call.flags.boolean("all")) {
    if (named)
      return Error(ErrorKind::kInvalidArgument,
                   "conflicting options: cannot specify both --all and --filter all=1");
    filters.emplace_back("all", "true");
  }
  // The engine checks them again; here so that nobody is asked about nonsense.
  TRY(auto checked, engine::VolumeFilter::for_prune(filters));
  if (!call.flags.boolean("force"))
    TRY_VOID(
        confirm_prune("volume prune",
                      fmt::format("This will remove {} volumes not used by at least one container.",
                                  checked.all() ? "all local" : "anonymous local")));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Engine::Pruned pruned, engine->prune_volumes(filters));
  std::string text;
  if (!pruned.names.empty()) text = "Deleted Volumes:\n" + join(pruned.names, "\n") + "\n\n";
  TRY_VOID(print(text + reclaimed_line(pruned.bytes)));
  return 0;
}

}  // namespace wherry::cli
