#include "engine/filters.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <regex>

#include "base/clock.h"
#include "base/text.h"
#include "engine/ports.h"

namespace wherry::engine {
namespace {

using Predicate = std::function<bool(const ContainerRecord&)>;
constexpr size_t kMaxPattern = 256;
constexpr auto kStatuses = std::to_array<std::string_view>(
    {"created", "running", "paused", "restarting", "removing", "exited", "dead"});

Error invalid_filter(const std::string& key, const std::string& value) {
  return Error(ErrorKind::kInvalidArgument,
               "invalid filter '" + key + "=" + value.substr(0, 200) + "'");
}

Result<std::shared_ptr<std::regex>> pattern(const std::string& key, const std::string& value) {
  if (value.size() > kMaxPattern) return invalid_filter(key, value);
  try {
    return std::make_shared<std::regex>(value, std::regex::extended | std::regex::nosubs);
  } catch (const std::regex_error&) {
    return invalid_filter(key, value).set_hint("it is not a regular expression");
  }
}

Result<Predicate> by_name(const std::string& value) {
  TRY(std::shared_ptr<std::regex> regex, pattern("name", value));
  return Predicate([regex](const ContainerRecord& record) {
    return std::regex_search(record.name, *regex) || std::regex_search("/" + record.name, *regex);
  });
}

Result<Predicate> by_label(const std::string& value) {
  auto [key, wanted] = split_once(value, '=');
  return Predicate(
      [key = std::string(key), wanted = wanted ? std::optional(std::string(*wanted))
                                               : std::nullopt](const ContainerRecord& record) {
        auto label = record.config.labels.find(key);
        return label != record.config.labels.end() && (!wanted || label->second == *wanted);
      });
}

Result<Predicate> by_status(const std::string& value) {
  if (std::ranges::find(kStatuses, value) == kStatuses.end())
    return invalid_filter("status", value);
  return Predicate([value](const ContainerRecord& record) { return record.state.status == value; });
}

Result<Predicate> by_exit(const std::string& value) {
  std::optional<int64_t> code = parse_i64(value);
  if (!code) return invalid_filter("exited", value);
  return Predicate([code](const ContainerRecord& record) {
    return record.state.status == "exited" && record.state.exit_code == *code;
  });
}

Result<Predicate> by_image(const std::string& value, const FilterContext& context) {
  std::optional<std::string> id = context.image_id(value);
  return Predicate([value, id](const ContainerRecord& record) {
    return record.config.image == value || (id && record.image_id == *id);
  });
}

Result<Predicate> by_age(const std::string& value, bool before, const FilterContext& context) {
  TRY(std::string created, context.created(value));
  int64_t limit = parse_rfc3339(created).value_or(0);
  return Predicate([limit, before](const ContainerRecord& record) {
    int64_t own = parse_rfc3339(record.created).value_or(0);
    return before ? own < limit : own > limit;
  });
}

Result<Predicate> by_volume(const std::string& value) {
  return Predicate([value](const ContainerRecord& record) {
    return std::ranges::any_of(record.mounts, [&](const MountPoint& mount) {
      return mount.name == value || mount.destination == value ||
             (mount.type == "bind" && mount.source == value);
    });
  });
}

Result<Predicate> by_network(const std::string& value) {
  return Predicate([value](const ContainerRecord& record) {
    if (record.host_config.network_mode == value) return true;
    return std::ranges::any_of(record.network_settings.networks, [&](const auto& entry) {
      return entry.first == value || (!value.empty() && entry.second.network_id.starts_with(value));
    });
  });
}

// "80", "80/udp", "8000-8010/tcp"
Result<Predicate> by_port(const std::string& key, const std::string& value) {
  auto [range, protocol] = split_once(value, '/');
  auto [first, last] = split_once(range, '-');
  std::string suffix = "/" + std::string(protocol.value_or("tcp"));
  Result<std::pair<uint16_t, std::string>> low = parse_port(std::string(first) + suffix);
  Result<std::pair<uint16_t, std::string>> high =
      parse_port(std::string(last.value_or(first)) + suffix);
  if (!low || !high || low->first > high->first) return invalid_filter(key, value);
  auto inside = [from = *low, to = high->first](const std::string& text) {
    Result<std::pair<uint16_t, std::string>> port = parse_port(text);
    return port && port->second == from.second && port->first >= from.first && port->first <= to;
  };
  if (key == "expose")
    return Predicate([inside](const ContainerRecord& record) {
      return std::ranges::any_of(record.config.exposed_ports, inside);
    });
  return Predicate([inside](const ContainerRecord& record) {
    return std::ranges::any_of(record.host_config.port_bindings,
                               [&](const auto& entry) { return inside(entry.first); });
  });
}

Result<Predicate> predicate(const std::string& key, const std::string& value,
                            const FilterContext& context) {
  if (key == "id")
    return Predicate(
        [value](const ContainerRecord& record) { return record.id.starts_with(value); });
  if (key == "name") return by_name(value);
  if (key == "label") return by_label(value);
  if (key == "status") return by_status(value);
  if (key == "exited") return by_exit(value);
  if (key == "ancestor") return by_image(value, context);
  if (key == "before" || key == "since") return by_age(value, key == "before", context);
  if (key == "volume") return by_volume(value);
  if (key == "network") return by_network(value);
  if (key == "publish" || key == "expose") return by_port(key, value);
  return Error(ErrorKind::kInvalidArgument, "invalid filter '" + key + "'")
      .set_hint(
          "filters: id name label status exited ancestor before since volume network publish "
          "expose");
}

}  // namespace

Result<Filter> Filter::compile(const std::vector<std::pair<std::string, std::string>>& filters,
                               const FilterContext& context) {
  std::map<std::string, std::vector<Predicate>> groups;
  Filter filter;
  for (const auto& [key, value] : filters) {
    TRY(Predicate compiled, predicate(key, value, context));
    groups[key].push_back(std::move(compiled));
    if (key == "status" || key == "exited") filter.wants_stopped_ = true;
  }
  for (auto& [key, group] : groups) filter.groups_.push_back(std::move(group));
  return filter;
}

bool Filter::matches(const ContainerRecord& record) const {
  return std::ranges::all_of(groups_, [&](const std::vector<Predicate>& group) {
    return std::ranges::any_of(group, [&](const Predicate& holds) { return holds(record); });
  });
}

}  // namespace wherry::engine
