#include "engine/record_json.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "engine/record.h"
#include "oci/carried_json.h"

namespace wherry::engine {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kMaxRecord = 4 << 20;
constexpr int kMaxDepth = 64;

Json list(const std::vector<std::string>& items) {
  Json array = Json::array();
  for (const std::string& item : items) array.push_back(item);
  return array;
}

Json list_or_null(const std::vector<std::string>& items) {
  return items.empty() ? Json(nullptr) : list(items);
}

// {"80/tcp": {}}: sets as Docker writes them.
Json set_or_null(const std::vector<std::string>& items) {
  if (items.empty()) return nullptr;
  Json object = Json::object();
  for (const std::string& item : items) object[item] = Json::object();
  return object;
}

Json port_map(const PortMap& ports) {
  Json object = Json::object();
  for (const auto& [port, bindings] : ports) {
    Json array = Json::array();
    for (const PortBinding& binding : bindings)
      array.push_back({{"HostIp", binding.host_ip}, {"HostPort", binding.host_port}});
    object[port] = bindings.empty() ? Json(nullptr) : array;
  }
  return object;
}

Json state_json(const ContainerState& state) {
  return {{"Status", state.status},
          {"Running", state.status == "running" || state.status == "paused"},
          {"Paused", state.status == "paused"},
          {"Restarting", false},
          {"OOMKilled", state.oom_killed},
          {"Dead", state.status == "dead"},
          {"Pid", state.pid},
          {"ExitCode", state.exit_code},
          {"Error", state.error},
          {"StartedAt", state.started_at},
          {"FinishedAt", state.finished_at}};
}

Json host_config_json(const HostConfig& host) {
  Json log_options = Json::object();
  for (const auto& [key, value] : host.log_config.options) log_options[key] = value;
  return {{"Binds", list_or_null(host.binds)},
          {"LogConfig", {{"Type", host.log_config.driver}, {"Config", std::move(log_options)}}},
          {"NetworkMode", host.network_mode},
          {"PortBindings", port_map(host.port_bindings)},
          {"AutoRemove", host.auto_remove},
          {"CapAdd", list_or_null(host.cap_add)},
          {"CapDrop", list_or_null(host.cap_drop)},
          {"Privileged", host.privileged},
          {"ReadonlyRootfs", host.readonly_rootfs},
          {"ShmSize", host.shm_size},
          {"Memory", host.memory},
          {"NanoCpus", host.nano_cpus},
          {"MemorySwap", host.memory_swap},
          {"PidsLimit", host.pids_limit == 0 ? Json(nullptr) : Json(host.pids_limit)}};
}

Json mounts_json(const std::vector<MountPoint>& mounts) {
  Json array = Json::array();
  for (const MountPoint& mount : mounts) {
    Json object = {{"Type", mount.type}};
    if (mount.type == "volume") object["Name"] = mount.name;
    object["Source"] = mount.source;
    object["Destination"] = mount.destination;
    if (mount.type == "volume") object["Driver"] = "local";
    object["Mode"] = mount.mode;
    object["RW"] = mount.rw;
    object["Propagation"] = mount.propagation;
    array.push_back(std::move(object));
  }
  return array;
}

Json config_json(const ContainerConfig& config) {
  Json object = {{"Hostname", config.hostname},
                 {"Domainname", config.domainname},
                 {"User", config.user},
                 {"AttachStdin", config.attach_stdin},
                 {"AttachStdout", config.attach_stdout},
                 {"AttachStderr", config.attach_stderr}};
  if (!config.exposed_ports.empty()) object["ExposedPorts"] = set_or_null(config.exposed_ports);
  object["Tty"] = config.tty;
  object["OpenStdin"] = config.open_stdin;
  object["StdinOnce"] = config.stdin_once;
  object["Env"] = list(config.env);
  object["Cmd"] = list_or_null(config.cmd);
  object["Image"] = config.image;
  object["Volumes"] = set_or_null(config.volumes);
  object["WorkingDir"] = config.working_dir;
  object["Entrypoint"] = list_or_null(config.entrypoint);
  object["Labels"] = Json::object();
  for (const auto& [key, value] : config.labels) object["Labels"][key] = value;
  if (!config.stop_signal.empty()) object["StopSignal"] = config.stop_signal;
  if (config.stop_timeout) object["StopTimeout"] = *config.stop_timeout;
  return object;
}

Json network_json(const NetworkSettings& settings) {
  Json object = {{"Bridge", settings.bridge},
                 {"SandboxID", settings.sandbox_id},
                 {"SandboxKey", settings.sandbox_key},
                 {"Ports", port_map(settings.ports)}};
  // Docker's legacy fields repeat the default bridge's endpoint.
  NetworkEndpoint first;
  if (auto bridge = settings.networks.find("bridge"); bridge != settings.networks.end())
    first = bridge->second;
  object["EndpointID"] = first.endpoint_id;
  object["Gateway"] = first.gateway;
  object["IPAddress"] = first.ip_address;
  object["IPPrefixLen"] = first.ip_prefix_len;
  object["MacAddress"] = first.mac_address;
  object["Networks"] = Json::object();
  for (const auto& [name, endpoint] : settings.networks)
    object["Networks"][name] = {
        {"NetworkID", endpoint.network_id},      {"EndpointID", endpoint.endpoint_id},
        {"Gateway", endpoint.gateway},           {"IPAddress", endpoint.ip_address},
        {"IPPrefixLen", endpoint.ip_prefix_len}, {"MacAddress", endpoint.mac_address}};
  return object;
}

Json identity_json(const ContainerRecord& record) {
  return {
      {"Id", record.id},           {"Created", record.created},         {"Path", record.path},
      {"Args", list(record.args)}, {"State", state_json(record.state)}, {"Image", record.image_id}};
}

void add_settings(Json& object, const ContainerRecord& record) {
  object["HostConfig"] = host_config_json(record.host_config);
  object["Mounts"] = mounts_json(record.mounts);
  object["Config"] = config_json(record.config);
  object["NetworkSettings"] = network_json(record.network_settings);
}

// --- reading. The first field of a wrong type is remembered; later reads give defaults.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {}

  template <typename T>
  void get(const char* key, T& value) {
    const Json* field = find(key);
    if (field == nullptr) return;
    if constexpr (std::is_same_v<T, bool>) {
      if (!field->is_boolean()) return wrong(key);
    } else if constexpr (std::is_integral_v<T>) {
      if (!field->is_number_integer()) return wrong(key);
    } else if (!field->is_string()) {
      return wrong(key);
    }
    value = field->template get<T>();
  }
  void get(const char* key, std::vector<std::string>& value) {
    const Json* field = find(key);
    if (field == nullptr) return;
    value.clear();
    for (auto item = field->begin(); item != field->end(); ++item) {
      if (field->is_object()) {
        value.push_back(item.key());
      } else if (field->is_array() && item->is_string()) {
        value.push_back(item->template get<std::string>());
      } else {
        return wrong(key);
      }
    }
  }
  void get(const char* key, std::map<std::string, std::string>& value) {
    const Json* field = find(key);
    if (field == nullptr) return;
    if (!field->is_object()) return wrong(key);
    for (auto item = field->begin(); item != field->end(); ++item) {
      if (!item->is_string()) return wrong(key);
      value[item.key()] = item->template get<std::string>();
    }
  }
  void get(const char* key, PortMap& ports) {
    const Json* field = find(key);
    if (field == nullptr) return;
    if (!field->is_object()) return wrong(key);
    for (auto item = field->begin(); item != field->end(); ++item) {
      auto& bindings = ports[item.key()];
      if (item->is_null()) continue;
      for (const Json& binding : *item) {
        if (!binding.is_object()) return wrong(key);
        Reader inner(binding);
        PortBinding& added = bindings.emplace_back();
        inner.get("HostIp", added.host_ip);
        inner.get("HostPort", added.host_port);
        if (inner.wrong_) return wrong(key);
      }
    }
  }
  // An object below, as a reader's subject; nullptr when missing.
  const Json* object(const char* key) {
    const Json* field = find(key);
    if (field != nullptr && !field->is_object()) wrong(key);
    return wrong_ ? nullptr : field;
  }
  const Json* find(const char* key) const {
    if (wrong_ || !object_.is_object()) return nullptr;
    auto field = object_.find(key);
    return field == object_.end() || field->is_null() ? nullptr : &*field;
  }
  void wrong(const char* key) {
    if (!wrong_) wrong_ = key;
  }
  const char* wrong() const { return wrong_; }

 private:
  const Json& object_;
  const char* wrong_ = nullptr;
};

Result<Json> parse_bounded(std::string_view text) {
  if (text.size() > kMaxRecord) return Error(ErrorKind::kCorrupt, "container record is too large");
  bool too_deep = false;
  auto limit = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) too_deep = true;
    return !too_deep;
  };
  Json json = Json::parse(text, limit, false);
  if (too_deep || json.is_discarded() || !json.is_object())
    return Error(ErrorKind::kCorrupt, "container record is not valid JSON");
  oci::restore_carried(text, json);
  return json;
}

void read_state(const Json& json, ContainerState& state, Reader& parent) {
  Reader reader(json);
  reader.get("Status", state.status);
  reader.get("OOMKilled", state.oom_killed);
  reader.get("Pid", state.pid);
  reader.get("ExitCode", state.exit_code);
  reader.get("Error", state.error);
  reader.get("StartedAt", state.started_at);
  reader.get("FinishedAt", state.finished_at);
  if (reader.wrong()) parent.wrong(reader.wrong());
}

void read_host_config(const Json& json, HostConfig& host, Reader& parent) {
  Reader reader(json);
  reader.get("Binds", host.binds);
  if (const Json* log = reader.object("LogConfig")) {
    Reader inner(*log);
    inner.get("Type", host.log_config.driver);
    inner.get("Config", host.log_config.options);
    if (inner.wrong()) reader.wrong(inner.wrong());
  }
  reader.get("NetworkMode", host.network_mode);
  reader.get("PortBindings", host.port_bindings);
  reader.get("AutoRemove", host.auto_remove);
  reader.get("CapAdd", host.cap_add);
  reader.get("CapDrop", host.cap_drop);
  reader.get("Privileged", host.privileged);
  reader.get("ReadonlyRootfs", host.readonly_rootfs);
  reader.get("ShmSize", host.shm_size);
  reader.get("Memory", host.memory);
  reader.get("NanoCpus", host.nano_cpus);
  reader.get("MemorySwap", host.memory_swap);
  reader.get("PidsLimit", host.pids_limit);
  if (reader.wrong()) parent.wrong(reader.wrong());
}

void read_config(const Json& json, ContainerConfig& config, Reader& parent) {
  Reader reader(json);
  reader.get("Hostname", config.hostname);
  reader.get("Domainname", config.domainname);
  reader.get("User", config.user);
  reader.get("AttachStdin", config.attach_stdin);
  reader.get("AttachStdout", config.attach_stdout);
  reader.get("AttachStderr", config.attach_stderr);
  reader.get("ExposedPorts", config.exposed_ports);
  reader.get("Tty", config.tty);
  reader.get("OpenStdin", config.open_stdin);
  reader.get("StdinOnce", config.stdin_once);
  reader.get("Env", config.env);
  reader.get("Cmd", config.cmd);
  reader.get("Image", config.image);
  reader.get("Volumes", config.volumes);
  reader.get("WorkingDir", config.working_dir);
  reader.get("Entrypoint", config.entrypoint);
  reader.get("Labels", config.labels);
  reader.get("StopSignal", config.stop_signal);
  if (reader.find("StopTimeout")) reader.get("StopTimeout", config.stop_timeout.emplace());
  if (reader.wrong()) parent.wrong(reader.wrong());
}

void read_mounts(const Json& json, std::vector<MountPoint>& mounts, Reader& parent) {
  for (const Json& item : json) {
    Reader reader(item);
    MountPoint& mount = mounts.emplace_back();
    reader.get("Type", mount.type);
    reader.get("Name", mount.name);
    reader.get("Source", mount.source);
    reader.get("Destination", mount.destination);
    reader.get("Mode", mount.mode);
    reader.get("RW", mount.rw);
    reader.get("Propagation", mount.propagation);
    // Only in the database's form.
    reader.get("Anonymous", mount.anonymous);
    reader.get("Copy", mount.copy);
    if (reader.wrong()) parent.wrong(reader.wrong());
  }
}

void read_network(const Json& json, NetworkSettings& settings, Reader& parent) {
  Reader reader(json);
  reader.get("Bridge", settings.bridge);
  reader.get("SandboxID", settings.sandbox_id);
  reader.get("SandboxKey", settings.sandbox_key);
  reader.get("HostInterface", settings.host_interface);
  reader.get("Ports", settings.ports);
  if (const Json* networks = reader.object("Networks"))
    for (auto item = networks->begin(); item != networks->end(); ++item) {
      Reader inner(*item);
      NetworkEndpoint& endpoint = settings.networks[item.key()];
      inner.get("NetworkID", endpoint.network_id);
      inner.get("EndpointID", endpoint.endpoint_id);
      inner.get("Gateway", endpoint.gateway);
      inner.get("IPAddress", endpoint.ip_address);
      inner.get("IPPrefixLen", endpoint.ip_prefix_len);
      inner.get("MacAddress", endpoint.mac_address);
      if (inner.wrong()) reader.wrong(inner.wrong());
    }
  if (reader.wrong()) parent.wrong(reader.wrong());
}

Error corrupt_field(const char* key) {
  return Error(ErrorKind::kCorrupt,
               "container record is corrupt: field '" + std::string(key) + "' has the wrong type");
}

}  // namespace

std::string to_json(const ContainerRecord& record) {
  Json object = identity_json(record);
  object["Name"] = record.name;
  object["RestartCount"] = record.restart_count;
  add_settings(object, record);
  for (size_t i = 0; i < record.mounts.size(); ++i) {
    object["Mounts"][i]["Anonymous"] = record.mounts[i].anonymous;
    object["Mounts"][i]["Copy"] = record.mounts[i].copy;
  }
  return oci::dump_carried(object);
}

std::string inspect_json(const ContainerRecord& record, const std::string& log_path,
                         const std::string& root) {
  Json object = identity_json(record);
  object["LogPath"] = log_path;
  object["Name"] = "/" + record.name;
  object["RestartCount"] = record.restart_count;
  object["Driver"] = "overlay";
  object["Platform"] = "linux";
  object["MountLabel"] = "";
  object["ProcessLabel"] = "";
  object["AppArmorProfile"] = "";
  object["GraphDriver"] = {{"Data",
                            {{"UpperDir", root + "/containers/" + record.id + "/upper"},
                             {"WorkDir", root + "/containers/" + record.id + "/work"}}},
                           {"Name", "overlay"}};
  add_settings(object, record);
  return object.dump(4, ' ', false, Json::error_handler_t::replace);
}

Result<ContainerRecord> parse_record(std::string_view text) {
  TRY(Json json, parse_bounded(text));
  Reader reader(json);
  ContainerRecord record;
  reader.get("Id", record.id);
  reader.get("Name", record.name);
  reader.get("Created", record.created);
  reader.get("Path", record.path);
  reader.get("Args", record.args);
  reader.get("Image", record.image_id);
  reader.get("RestartCount", record.restart_count);
  if (const Json* state = reader.object("State")) read_state(*state, record.state, reader);
  if (const Json* host = reader.object("HostConfig"))
    read_host_config(*host, record.host_config, reader);
  if (const Json* config = reader.object("Config")) read_config(*config, record.config, reader);
  if (const Json* mounts = reader.find("Mounts")) read_mounts(*mounts, record.mounts, reader);
  if (const Json* network = reader.object("NetworkSettings"))
    read_network(*network, record.network_settings, reader);
  if (reader.wrong()) return corrupt_field(reader.wrong());
  if (record.id.size() != 64 || !is_hex(record.id) || record.name.empty())
    return Error(ErrorKind::kCorrupt, "container record has no valid id and name");
  return record;
}

std::string network_settings_to_json(const NetworkSettings& settings) {
  Json object = network_json(settings);
  object["HostInterface"] = settings.host_interface;
  return oci::dump_carried(object);
}

Result<NetworkSettings> parse_network_settings(std::string_view text) {
  TRY(Json json, parse_bounded(text));
  Json holder = Json::object();
  Reader reader(holder);
  NetworkSettings settings;
  read_network(json, settings, reader);
  if (reader.wrong()) return corrupt_field(reader.wrong());
  return settings;
}

}  // namespace wherry::engine
