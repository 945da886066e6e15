#include "oci/runtime_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <limits>
#include <set>
#include <string_view>

#include "base/text.h"
#include "oci/carried_json.h"
#include "oci/json_reader.h"

// The layout is written once, as fields(io, object), and walked by a Reader and by a Writer. A
// Reader takes absent and null alike (as Go's decoder), and refuses every key that fields() does
// not name.

namespace wherry::oci {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

void fields(auto& io, Like<Rlimit> auto& rlimit) {
  io("type", rlimit.type);
  io("hard", rlimit.hard);
  io("soft", rlimit.soft);
}

void fields(auto& io, Like<Capabilities> auto& capabilities) {
  io.always("bounding", capabilities.bounding);
  io.always("effective", capabilities.effective);
  io.always("inheritable", capabilities.inheritable);
  io.always("permitted", capabilities.permitted);
  io.always("ambient", capabilities.ambient);
}

void fields(auto& io, Like<User> auto& user) {
  io("uid", user.uid);
  io("gid", user.gid);
  io("umask", user.umask);
  io("additionalGids", user.additional_gids);
}

void fields(auto& io, Like<Process> auto& process) {
  io("terminal", process.terminal);
  io.group("consoleSize", [&](auto& size) {
    size.unless_zero("height", process.console_rows);
    size.unless_zero("width", process.console_columns);
  });
  io("user", process.user);
  io("args", process.args);
  io("env", process.env);
  io("cwd", process.cwd);
  io("capabilities", process.capabilities);
  io("rlimits", process.rlimits);
  io("noNewPrivileges", process.no_new_privileges);
  io("oomScoreAdj", process.oom_score_adj);
  io("apparmorProfile", process.apparmor_profile);
  io("selinuxLabel", process.selinux_label);
}

void fields(auto& io, Like<Mount> auto& mount) {
  io("destination", mount.destination);
  io("type", mount.type);
  io("source", mount.source);
  io("options", mount.options);
}

void fields(auto& io, Like<Device> auto& device) {
  io("path", device.path);
  io.letter("type", device.type);
  io("major", device.major);
  io("minor", device.minor);
  io("fileMode", device.file_mode);
  io("uid", device.uid);
  io("gid", device.gid);
}

void fields(auto& io, Like<DeviceRule> auto& rule) {
  io("allow", rule.allow);
  io.letter("type", rule.type);
  io("major", rule.major);
  io("minor", rule.minor);
  io("access", rule.access);
}

void fields(auto& io, Like<Resources> auto& resources) {
  io("devices", resources.devices);
  io.group("memory", [&](auto& memory) {
    memory("limit", resources.memory_limit);
    memory("reservation", resources.memory_reservation);
    memory("swap", resources.memory_swap);
    memory("swappiness", resources.memory_swappiness);
    memory("disableOOMKiller", resources.memory_disable_oom_killer);
  });
  io.group("cpu", [&](auto& cpu) {
    cpu("shares", resources.cpu_shares);
    cpu("quota", resources.cpu_quota);
    cpu("period", resources.cpu_period);
    cpu("realtimeRuntime", resources.cpu_realtime_runtime);
    cpu("realtimePeriod", resources.cpu_realtime_period);
    cpu("cpus", resources.cpuset_cpus);
    cpu("mems", resources.cpuset_mems);
  });
  io.group("pids", [&](auto& pids) { pids("limit", resources.pids_limit); });
  io.group("blockIO", [&](auto& block) { block("weight", resources.blkio_weight); });
  io("unified", resources.unified);
}

void fields(auto& io, Like<Namespace> auto& space) {
  io("type", space.type);
  io("path", space.path);
}

void fields(auto& io, Like<IdMapping> auto& mapping) {
  io("containerID", mapping.container_id);
  io("hostID", mapping.host_id);
  io("size", mapping.size);
}

void fields(auto& io, Like<RuntimeSpec> auto& spec) {
  io("ociVersion", spec.oci_version);
  io("process", spec.process);
  io.group("root", [&](auto& root) {
    root("path", spec.root_path);
    root("readonly", spec.root_readonly);
  });
  io("hostname", spec.hostname);
  io("domainname", spec.domainname);
  io("mounts", spec.mounts);
  io("annotations", spec.annotations);
  io.group("linux", [&](auto& linux_part) {
    linux_part("uidMappings", spec.uid_mappings);
    linux_part("gidMappings", spec.gid_mappings);
    linux_part("sysctl", spec.sysctl);
    linux_part("resources", spec.resources);
    linux_part("cgroupsPath", spec.cgroups_path);
    linux_part("namespaces", spec.namespaces);
    linux_part("devices", spec.devices);
    linux_part("rootfsPropagation", spec.rootfs_propagation);
    linux_part("maskedPaths", spec.masked_paths);
    linux_part("readonlyPaths", spec.readonly_paths);
    linux_part("mountLabel", spec.mount_label);
  });
}

// Fills objects from JSON. The first complaint wins and later calls do nothing.
class Reader {
 public:
  Reader(const json& object, std::string path, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), error_(error) {
    if (!object_.is_object()) complain(path_, "must be an object");
  }

  template <typename T>
  void operator()(const char* key, T& target) {
    if (const json* value = take(key)) read(*value, path_of(key), target);
  }
  void always(const char* key, auto& target) { (*this)(key, target); }
  void unless_zero(const char* key, auto& target) { (*this)(key, target); }
  void letter(const char* key, char& target) {
    std::string text(1, target);
    (*this)(key, text);
    if (text.size() != 1) return complain(path_of(key), "must be one letter");
    target = text[0];
  }
  void group(const char* key, auto body) {
    const json* value = take(key);
    if (value == nullptr) return;
    Reader inner(*value, path_of(key), error_);
    body(inner);
    inner.finish();
  }
  // Refuses what no call has asked for.
  void finish() {
    if (error_ || !object_.is_object()) return;
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key) && !value.is_null()) {
        error_ = Error(
            ErrorKind::kUnsupported,
            fmt::format("invalid runtime configuration: '{}' is not supported", path_of(key)));
        return;
      }
    }
  }

 private:
  std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }
  void complain(const std::string& path, std::string_view what) {
    if (error_) return;
    error_ = Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid runtime configuration: '{}' {}", path, what));
  }
  const json* take(const char* key) {
    if (error_) return nullptr;
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  void read(const json& value, const std::string& path, std::string& target) {
    if (!value.is_string()) return complain(path, "must be a text");
    target = value.get_ref<const std::string&>();
    if (target.find('\0') != std::string::npos) complain(path, "has a NUL byte");
  }
  void read(const json& value, const std::string& path, bool& target) {
    if (!value.is_boolean()) return complain(path, "must be true or false");
    target = value.get<bool>();
  }
  template <std::integral T>
  void read(const json& value, const std::string& path, T& target) {
    bool fits = value.is_number_integer();
    if (fits && value.is_number_unsigned()) {
      fits = std::in_range<T>(value.get<uint64_t>());
    } else if (fits) {
      fits = std::in_range<T>(value.get<int64_t>());
    }
    if (!fits) {
      return complain(
          path, fmt::format("must be a whole number from {} to {}", std::numeric_limits<T>::min(),
                            std::numeric_limits<T>::max()));
    }
    target = value.get<T>();
  }
  template <typename T>
  void read(const json& value, const std::string& path, std::optional<T>& target) {
    read(value, path, target.emplace());
  }
  template <typename T>
  void read(const json& value, const std::string& path, std::vector<T>& target) {
    if (!value.is_array()) return complain(path, "must be a list");
    target.clear();
    for (const json& item : value) {
      const std::string item_path = fmt::format("{}[{}]", path, target.size());
      read(item, item_path, target.emplace_back());
      if (error_) return;
    }
  }
  void read(const json& value, const std::string& path,
            std::map<std::string, std::string>& target) {
    if (!value.is_object()) return complain(path, "must be an object of texts");
    for (const auto& [key, item] : value.items()) {
      if (key.find('\0') != std::string::npos) return complain(path, "has a NUL byte in a key");
      read(item, fmt::format("{}.{}", path, key), target[key]);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(const json& value, const std::string& path, T& target) {
    Reader inner(value, path, error_);
    fields(inner, target);
    inner.finish();
  }

  const json& object_;
  std::string path_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> known_;
};

// Numbers and flags are always written, empty texts, lists and objects never (`always` aside).
class Writer {
 public:
  void operator()(const char* key, const auto& value) {
    ordered_json text = written(value);
    const bool nothing =
        text.is_null() || ((text.is_string() || text.is_structured()) && empty(text));
    if (!nothing) object_[key] = std::move(text);
  }
  void always(const char* key, const std::vector<std::string>& value) { object_[key] = value; }
  void unless_zero(const char* key, uint32_t value) {
    if (value != 0) object_[key] = value;
  }
  void letter(const char* key, char value) { object_[key] = std::string(1, value); }
  void group(const char* key, auto body) {
    Writer inner;
    body(inner);
    if (!inner.object_.empty()) object_[key] = std::move(inner.object_);
  }
  ordered_json take() && { return std::move(object_); }

 private:
  static bool empty(const ordered_json& value) {
    return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
  }
  static ordered_json written(const std::string& value) { return value; }
  static ordered_json written(std::integral auto value) { return value; }
  template <typename T>
  static ordered_json written(const std::optional<T>& value) {
    return value ? written(*value) : ordered_json();
  }
  template <typename T>
  static ordered_json written(const std::vector<T>& value) {
    ordered_json list = ordered_json::array();
    for (const T& item : value) list.push_back(written(item));
    return list;
  }
  static ordered_json written(const std::map<std::string, std::string>& value) { return value; }
  template <typename T>
    requires std::is_class_v<T>
  static ordered_json written(const T& value) {
    Writer inner;
    fields(inner, value);
    return std::move(inner.object_);
  }

  ordered_json object_ = ordered_json::object();
};

Error invalid(std::string_view what, std::string_view object, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument,
               fmt::format("invalid runtime configuration: {} '{}' {}", what, object, why));
}

// 1.0.x to 1.3.x; a pre-release or build suffix is of no importance.
Result<void> check_version(const std::string& version) {
  const auto parts = split(version, '.');
  const auto minor = parts.size() == 3 ? parse_u64(parts[1]) : std::nullopt;
  if (!minor || parts[0] != "1" || *minor > 3) {
    return invalid("ociVersion", version, "is not between 1.0.0 and 1.3.x");
  }
  return {};
}

Result<void> check_namespaces(const std::vector<Namespace>& namespaces) {
  static constexpr std::string_view kTypes[] = {"pid", "network", "mount",  "ipc",
                                                "uts", "user",    "cgroup", "time"};
  std::set<std::string_view> seen;
  for (const Namespace& space : namespaces) {
    if (std::find(std::begin(kTypes), std::end(kTypes), space.type) == std::end(kTypes)) {
      return invalid("namespace", space.type, "is unknown");
    }
    if (!seen.insert(space.type).second) return invalid("namespace", space.type, "is given twice");
    if (!space.path.empty() && space.path[0] != '/') {
      return invalid("namespace path", space.path, "is not absolute");
    }
  }
  return {};
}

Result<void> check_devices(RuntimeSpec& spec) {
  for (const Device& device : spec.devices) {
    if (std::string_view("cbup").find(device.type) == std::string_view::npos) {
      return invalid("the type of device", device.path, "is not c, b, u or p");
    }
    if (device.path.empty() || device.path[0] != '/') {
      return invalid("the path of device", device.path, "is not absolute");
    }
  }
  for (DeviceRule& rule : spec.resources.devices) {
    if (std::string_view("abc").find(rule.type) == std::string_view::npos) {
      return invalid("the type of a device rule", std::string(1, rule.type), "is not a, b or c");
    }
    if (rule.access.empty() || rule.access.find_first_not_of("rwm") != std::string::npos) {
      return invalid("the access of a device rule", rule.access, "is not made of r, w and m");
    }
    // Engines write -1 for "any".
    if (rule.major == -1) rule.major.reset();
    if (rule.minor == -1) rule.minor.reset();
  }
  return {};
}

Result<void> check(RuntimeSpec& spec) {
  TRY_VOID(check_version(spec.oci_version));
  TRY_VOID(check_namespaces(spec.namespaces));
  TRY_VOID(check_devices(spec));
  if (spec.process.cwd.empty() || spec.process.cwd[0] != '/') {
    return invalid("process.cwd", spec.process.cwd, "is not absolute");
  }
  for (const std::string& entry : spec.process.env) {
    if (entry.find('=') == std::string::npos || entry[0] == '=') {
      return invalid("the environment entry", entry, "is not NAME=value");
    }
  }
  for (const Rlimit& rlimit : spec.process.rlimits) {
    if (!rlimit.type.starts_with("RLIMIT_")) return invalid("rlimit", rlimit.type, "is unknown");
    if (rlimit.soft > rlimit.hard) return invalid("rlimit", rlimit.type, "is soft above hard");
  }
  for (const Mount& mount : spec.mounts) {
    if (mount.destination.empty()) return invalid("mount destination", "", "is missing");
  }
  return {};
}

Result<RuntimeSpec> read_spec(const json& document) {
  RuntimeSpec spec;
  spec.oci_version.clear();
  std::optional<Error> error;
  Reader reader(document, "", error);
  fields(reader, spec);
  reader.finish();
  if (error) return std::move(*error);
  TRY_VOID(check(spec));
  return spec;
}

ordered_json document_of(const RuntimeSpec& spec) {
  Writer writer;
  fields(writer, spec);
  return std::move(writer).take();
}

}  // namespace

Result<RuntimeSpec> parse_runtime_spec(std::string_view text) {
  TRY(const json document, parse_bounded(text, "runtime configuration"));
  return read_spec(document);
}

std::string to_json(const RuntimeSpec& spec) {
  // JSON has no bytes that are not UTF-8: they become U+FFFD, as in every other engine.
  return document_of(spec).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<RuntimeSpec> parse_carried_spec(std::string_view text) {
  TRY(json document, parse_bounded(text, "runtime configuration"));
  restore_carried(text, document);
  return read_spec(document);
}

std::string to_carried_json(const RuntimeSpec& spec) {
  return dump_carried(document_of(spec));
}

}  // namespace wherry::oci
