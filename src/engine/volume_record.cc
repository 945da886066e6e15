#include "engine/volume_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/clock.h"
#include "base/text.h"
#include "engine/volumes.h"
#include "oci/carried_json.h"

namespace wherry::engine {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kMaxDocument = 1 << 20;
constexpr int kMaxDepth = 4;

Error corrupt(const std::string& name) {
  return Error(ErrorKind::kCorrupt, "the record of volume '" + name + "' is corrupt");
}

std::optional<bool> truth(std::string_view value) {
  if (value == "1" || value == "true" || value == "True" || value == "TRUE" || value == "t")
    return true;
  if (value == "0" || value == "false" || value == "False" || value == "FALSE" || value == "f")
    return false;
  return std::nullopt;
}

bool has_label(const Volume& volume, std::string_view wanted) {
  auto [key, value] = split_once(wanted, '=');
  if (volume.anonymous && key == kAnonymousVolumeLabel) return !value || value->empty();
  auto label = volume.labels.find(std::string(key));
  return label != volume.labels.end() && (!value || label->second == *value);
}

bool holds(const Volume& volume, const std::string& key, const std::string& value) {
  if (key == "name") return volume.name.contains(value);
  if (key == "label") return has_label(volume, value);
  if (key == "label!") return !has_label(volume, value);
  if (key == "driver") return value == "local";
  return truth(value) == volume.users.empty();  // dangling
}

Result<void> check_pairs(const VolumeFilter::Pairs& filters, std::span<const char* const> keys) {
  for (const auto& [key, value] : filters) {
    if (std::ranges::none_of(keys, [&](const char* known) { return key == known; })) {
      std::string names;
      for (const char* known : keys) names += std::string(names.empty() ? "" : " ") + known;
      return Error(ErrorKind::kInvalidArgument, "invalid filter '" + key + "'")
          .set_hint("filters: " + names);
    }
    if ((key == "dangling" || key == "all") && !truth(value))
      return Error(ErrorKind::kInvalidArgument, fmt::format("invalid filter '{}={}'", key, value));
  }
  return {};
}

}  // namespace

Result<void> check_volume_name(std::string_view name) {
  // What -v takes as a name and nothing else ("/x" would be a path).
  if (name.size() == 1)
    return Error(ErrorKind::kInvalidArgument,
                 "volume name is too short, names should be at least two alphanumeric characters");
  Result<MountPoint> point = parse_bind(std::string(name) + ":/x");
  if (point && point->type == "volume" && point->name == name) return {};
  return Error(ErrorKind::kInvalidArgument,
               "create " + std::string(name.substr(0, 300)) + ": \"" +
                   std::string(name.substr(0, 300)) +
                   "\" includes invalid characters for a local volume name, only "
                   "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                   "directory, use absolute path");
}

std::string volume_document(const Volume& volume) {
  Json object = {{"CreatedAt", volume.created}, {"Anonymous", volume.anonymous}};
  if (!volume.labels.empty()) object["Labels"] = Json(volume.labels);
  return oci::dump_carried(object);
}

Result<Volume> parse_volume(std::string name, std::string_view document) {
  if (document.size() > kMaxDocument) return corrupt(name);
  auto limit = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
  Json object = Json::parse(document, limit, false);
  if (object.is_discarded() || !object.is_object()) return corrupt(name);
  oci::restore_carried(document, object);
  Volume volume;
  if (auto created = object.find("CreatedAt"); created != object.end()) {
    if (!created->is_string()) return corrupt(name);
    volume.created = created->get<std::string>();
  }
  if (auto anonymous = object.find("Anonymous"); anonymous != object.end()) {
    if (!anonymous->is_boolean()) return corrupt(name);
    volume.anonymous = anonymous->get<bool>();
  }
  if (auto labels = object.find("Labels"); labels != object.end()) {
    if (!labels->is_object()) return corrupt(name);
    for (auto label = labels->begin(); label != labels->end(); ++label) {
      if (!label->is_string()) return corrupt(name);
      volume.labels[label.key()] = label->get<std::string>();
    }
  }
  volume.name = std::move(name);
  return volume;
}

std::string volume_inspect_json(const Volume& volume) {
  // Docker shows whole seconds here.
  int64_t created = parse_rfc3339(volume.created).value_or(0) / 1'000'000'000 * 1'000'000'000;
  Json labels = Json::object();
  if (volume.anonymous) labels[kAnonymousVolumeLabel] = "";
  for (const auto& [key, value] : volume.labels) labels[key] = value;
  Json object = {{"CreatedAt", format_rfc3339(created)},
                 {"Driver", "local"},
                 {"Labels", labels.empty() ? Json(nullptr) : labels},
                 {"Mountpoint", volume.mountpoint},
                 {"Name", volume.name},
                 {"Options", nullptr},
                 {"Scope", "local"}};
  return object.dump(4, ' ', false, Json::error_handler_t::replace);
}

Result<VolumeFilter> VolumeFilter::for_list(const Pairs& filters) {
  constexpr const char* kKeys[] = {"dangling", "driver", "label", "name"};
  TRY_VOID(check_pairs(filters, kKeys));
  VolumeFilter filter;
  filter.pairs_ = filters;
  return filter;
}

Result<VolumeFilter> VolumeFilter::for_prune(const Pairs& filters) {
  constexpr const char* kKeys[] = {"all", "label", "label!"};
  TRY_VOID(check_pairs(filters, kKeys));
  VolumeFilter filter;
  for (const auto& [key, value] : filters) {
    if (key == "all")
      filter.all_ = *truth(value);
    else
      filter.pairs_.emplace_back(key, value);
  }
  return filter;
}

// The same key repeated: any of its values, but all of them for labels, as Docker does; different
// keys: all of them.
bool VolumeFilter::matches(const Volume& volume) const {
  std::set<std::string> asked, matched;
  for (const auto& [key, value] : pairs_) {
    bool is = holds(volume, key, value);
    if (key.starts_with("label") && !is) return false;
    asked.insert(key);
    if (is) matched.insert(key);
  }
  return asked == matched;
}

}  // namespace wherry::engine
