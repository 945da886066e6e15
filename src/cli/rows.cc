#include "cli/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"

namespace wherry::cli {
namespace {

constexpr size_t kCommandWidth = 20;

std::string ago(std::string_view time, int64_t now_ns) {
  auto when = parse_rfc3339(time);
  return human_duration(when ? std::max<int64_t>(0, now_ns - *when) : 0);
}

std::string quoted_command(const engine::ContainerRecord& record, bool whole) {
  std::string text = record.path;
  for (const std::string& argument : record.args) text += " " + argument;
  text = printable(text);
  return "\"" + (whole ? text : ellipsis(text, kCommandWidth)) + "\"";
}

std::string label_words(const std::map<std::string, std::string>& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

std::string short_image(const std::string& image, bool whole) {
  if (whole || !image.starts_with("sha256:")) return image;
  return image.substr(7, 12);
}

}  // namespace

std::string listing_time(int64_t unix_ns) {
  time_t seconds = static_cast<time_t>(unix_ns / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  size_t size = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S +0000 UTC", &parts);
  return std::string(text, size);
}

std::string container_status(const engine::ContainerState& state, int64_t now_ns) {
  if (state.status == "running") return "Up " + ago(state.started_at, now_ns);
  if (state.status == "paused") return fmt::format("Up {} (Paused)", ago(state.started_at, now_ns));
  if (state.status == "exited")
    return fmt::format("Exited ({}) {} ago", state.exit_code, ago(state.finished_at, now_ns));
  if (state.status == "removing") return "Removal In Progress";
  if (state.status == "dead") return "Dead";
  return "Created";
}

std::string port_words(const engine::PortMap& ports) {
  std::vector<std::pair<uint64_t, std::string>> words;
  for (const auto& [port, bindings] : ports) {
    uint64_t number = parse_u64(split_once(port, '/').first).value_or(0);
    if (bindings.empty()) words.emplace_back(number, port);
    for (const engine::PortBinding& binding : bindings) {
      std::string host = binding.host_ip.empty() ? "0.0.0.0" : binding.host_ip;
      if (host.find(':') != host.npos) host.insert(0, "[").append("]");
      words.emplace_back(number, fmt::format("{}:{}->{}", host, binding.host_port, port));
    }
  }
  std::ranges::stable_sort(words, {}, [](const auto& word) { return word.first; });
  std::string text;
  for (const auto& [number, word] : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Row container_row(const engine::ContainerRecord& record, bool whole, int64_t now_ns) {
  Row row;
  std::string mounts;
  int volumes = 0;
  for (const engine::MountPoint& mount : record.mounts) {
    bool volume = mount.type == "volume";
    if (volume) ++volumes;
    const std::string& name = volume ? mount.name : mount.source;
    mounts += (mounts.empty() ? "" : ",") + (whole ? name : ellipsis(name, 15));
  }
  bool running = record.state.status == "running" || record.state.status == "paused";
  row.fields["ID"] = whole ? record.id : record.id.substr(0, 12);
  row.fields["Image"] = short_image(record.config.image, whole);
  row.fields["Command"] = quoted_command(record, whole);
  row.fields["CreatedAt"] = listing_time(parse_rfc3339(record.created).value_or(0));
  row.fields["RunningFor"] = ago(record.created, now_ns) + " ago";
  row.fields["Ports"] = running ? port_words(record.network_settings.ports) : "";
  row.fields["State"] = record.state.status;
  row.fields["Status"] = container_status(record.state, now_ns);
  row.fields["Names"] = record.name;
  row.fields["Labels"] = label_words(record.config.labels);
  row.fields["Mounts"] = mounts;
  row.fields["LocalVolumes"] = std::to_string(volumes);
  row.fields["Networks"] = record.host_config.network_mode;
  row.labels = Json(record.config.labels);
  if (row.labels.is_null()) row.labels = Json::object();
  return row;
}

Json container_headings() {
  return {{"ID", "CONTAINER ID"},      {"Image", "IMAGE"},        {"Command", "COMMAND"},
          {"CreatedAt", "CREATED AT"}, {"RunningFor", "CREATED"}, {"Ports", "PORTS"},
          {"State", "STATE"},          {"Status", "STATUS"},      {"Names", "NAMES"},
          {"Labels", "LABELS"},        {"Mounts", "MOUNTS"},      {"LocalVolumes", "LOCAL VOLUMES"},
          {"Networks", "NETWORKS"}};
}

}  // namespace wherry::cli
