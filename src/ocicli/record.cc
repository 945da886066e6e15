#include "ocicli/record.h"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"

namespace wherry::ocicli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr size_t kLimit = 1u << 20;

constexpr std::array<std::pair<Record::Phase, std::string_view>, 4> kPhases{
    {{Record::Phase::kCreating, "creating"},
     {Record::Phase::kCreated, "created"},
     {Record::Phase::kStarting, "starting"},
     {Record::Phase::kStarted, "started"}}};

Error damaged(std::string_view what) {
  return Error(ErrorKind::kCorrupt, "the container's state is damaged: " + std::string(what));
}

// Texts that are no UTF-8 (paths may be) are written with replacement: a state is always readable.
std::string dump(const ordered_json& document, int indent) {
  return document.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

template <typename T>
bool take(const json& object, const char* key, T& target) {
  auto found = object.find(key);
  if (found == object.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return false;
    target = found->get_ref<const std::string&>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) return false;
    target = found->get<bool>();
  } else {
    if (!found->is_number_unsigned() && !(found->is_number_integer() && found->get<int64_t>() >= 0))
      return false;
    auto value = found->get<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<T>::max())) return false;
    target = static_cast<T>(value);
  }
  return true;
}

bool take_annotations(const json& object, std::map<std::string, std::string>& target) {
  auto found = object.find("annotations");
  if (found == object.end() || !found->is_object()) return false;
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return false;
    target[key] = value.get_ref<const std::string&>();
  }
  return true;
}

bool take_phase(const json& object, Record::Phase& target) {
  std::string word;
  if (!take(object, "phase", word)) return false;
  for (const auto& [phase, name] : kPhases)
    if (name == word) {
      target = phase;
      return true;
    }
  return false;
}

}  // namespace

std::string_view status_word(Status status) {
  switch (status) {
    case Status::kCreating:
      return "creating";
    case Status::kCreated:
      return "created";
    case Status::kRunning:
      return "running";
    case Status::kPaused:
      return "paused";
    case Status::kStopped:
      return "stopped";
  }
  return "stopped";
}

std::string to_json(const Record& record) {
  ordered_json document;
  document["version"] = kVersion;
  for (const auto& [phase, name] : kPhases)
    if (phase == record.phase) document["phase"] = name;
  document["id"] = record.id;
  document["ociVersion"] = record.oci_version;
  document["bundle"] = record.bundle;
  document["rootfs"] = record.rootfs;
  document["cgroup"] = record.cgroup.path;
  document["systemdUnit"] = record.cgroup.unit;
  document["created"] = record.created_ns;
  document["owner"] = record.owner;
  document["annotations"] = record.annotations;
  document["pid"] = record.pid;
  document["startTime"] = record.start_time;
  document["notify"] = record.notify;
  document["noNewKeyring"] = record.no_new_keyring;
  return dump(document, 1) + "\n";
}

Result<Record> parse_record(std::string_view text) {
  if (text.size() > kLimit) return damaged("it is larger than 1 MiB");
  // Ours: flat but for the annotations, so that depth needs no check beyond the parser's own loop.
  json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded() || !document.is_object()) return damaged("it is no JSON object");
  int version = 0;
  if (!take(document, "version", version)) return damaged("it has no version");
  if (version != kVersion)
    return Error(ErrorKind::kUnsupported,
                 "the container's state is of another version of "
                 "wherry-oci: " +
                     std::to_string(version));
  Record record;
  bool whole =
      take_phase(document, record.phase) && take(document, "id", record.id) &&
      take(document, "ociVersion", record.oci_version) && take(document, "bundle", record.bundle) &&
      take(document, "rootfs", record.rootfs) && take(document, "cgroup", record.cgroup.path) &&
      take(document, "systemdUnit", record.cgroup.unit) &&
      take(document, "created", record.created_ns) && take(document, "owner", record.owner) &&
      take_annotations(document, record.annotations) && take(document, "pid", record.pid) &&
      take(document, "startTime", record.start_time) && take(document, "notify", record.notify) &&
      take(document, "noNewKeyring", record.no_new_keyring);
  if (!whole) return damaged("a field is missing or of another type");
  return record;
}

std::string state_json(const Record& record, Status status, const std::string& owner_name) {
  ordered_json document;
  document["ociVersion"] = record.oci_version;
  document["id"] = record.id;
  document["pid"] = status == Status::kStopped ? 0 : record.pid;
  document["status"] = status_word(status);
  document["bundle"] = record.bundle;
  document["rootfs"] = record.rootfs;
  document["created"] = format_rfc3339(record.created_ns);
  if (!record.annotations.empty()) document["annotations"] = record.annotations;
  document["owner"] = owner_name;
  return dump(document, 2);
}

std::string states_json(const std::vector<std::string>& states) {
  if (states.empty()) return "null";
  ordered_json all = ordered_json::array();
  for (const std::string& state : states) all.push_back(ordered_json::parse(state));
  return dump(all, -1);
}

}  // namespace wherry::ocicli
