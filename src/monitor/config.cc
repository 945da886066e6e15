#include "monitor/config.h"

#include <nlohmann/json.hpp>

#include "monitor/json_object.h"
#include "oci/carried_json.h"
#include "runtime/seccomp.h"

namespace wherry::monitor {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfig = 16u << 20;
constexpr const char* kDefaultFilter = "default";

// The specification travels as one string, parsed by its own strict parser: cheaper than to build
// and dump a tree of it once more.
json spec_value(const oci::RuntimeSpec& spec) {
  return text_value(oci::to_carried_json(spec));
}

json filter_value(std::string_view filter) {
  if (!filter.empty() && filter == runtime::default_seccomp_filter()) return kDefaultFilter;
  return base64_encode(filter);
}

json to_value(const PublishedPort& port) {
  return {{"protocol", port.protocol},
          {"host_ip", text_value(port.host_ip)},
          {"host_port", port.host_port},
          {"container_address", port.container_address},
          {"container_port", port.container_port}};
}

json to_value(const sys::LinkPlan& link) {
  return {{"bridge", text_value(link.bridge)},
          {"host_interface", text_value(link.host_interface)},
          {"container_interface", text_value(link.container_interface)},
          {"mac", link.mac},
          {"address", link.address},
          {"prefix_length", link.prefix_length},
          {"gateway", link.gateway},
          {"mtu", link.mtu}};
}

json to_value(const MonitorConfig::ContainerPlan& plan) {
  json value = {{"spec", spec_value(plan.spec)},
                {"lower", text_values(plan.root.lower)},
                {"upper", text_value(plan.root.upper)},
                {"work", text_value(plan.root.work)},
                {"volatile_upper", plan.root.volatile_upper},
                {"directory", text_value(plan.root.directory)},
                {"seccomp_filter", filter_value(plan.seccomp_filter)},
                {"create_cwd", plan.create_cwd}};
  if (!plan.root.metadata.empty()) {
    value["metadata"] = text_value(plan.root.metadata);
    value["objects"] = text_value(plan.root.objects);
  }
  if (plan.link) value["link"] = to_value(*plan.link);
  if (plan.user) value["user"] = text_value(*plan.user);
  return value;
}

json to_value(const runtime::ExecOptions& options) {
  oci::RuntimeSpec spec;
  spec.root_path = "/";
  spec.process = options.process;
  json value = {{"init_pid", options.init_pid},
                {"init_start_time", options.init_start_time},
                {"cgroups_path", text_value(options.cgroups_path)},
                {"spec", spec_value(spec)},
                {"seccomp_filter", filter_value(options.seccomp_filter)}};
  if (options.user) value["user"] = text_value(*options.user);
  return value;
}

Result<PublishedPort> parse_port(const json& value) {
  PublishedPort port;
  ObjectReader reader(value, "a published port");
  reader.read("protocol", port.protocol);
  reader.read("host_ip", port.host_ip);
  reader.read("host_port", port.host_port);
  reader.read("container_address", port.container_address);
  reader.read("container_port", port.container_port);
  if (port.protocol != "tcp" && port.protocol != "udp") reader.reject("protocol", "is not known");
  if (port.host_port == 0) reader.reject("host_port", "is zero");
  TRY_VOID(reader.finish());
  return port;
}

Result<sys::LinkPlan> parse_link(const json& value) {
  sys::LinkPlan link;
  ObjectReader reader(value, "a link");
  reader.read("bridge", link.bridge);
  reader.read("host_interface", link.host_interface);
  reader.read("container_interface", link.container_interface);
  reader.read("address", link.address);
  reader.read("prefix_length", link.prefix_length);
  reader.read("gateway", link.gateway);
  reader.read("mtu", link.mtu);
  std::vector<const json*> mac = reader.array("mac");
  if (mac.size() != link.mac.size()) reader.reject("mac", "is not an address");
  for (size_t i = 0; i < mac.size() && i < link.mac.size(); ++i) {
    if (!mac[i]->is_number_unsigned() || mac[i]->get<uint64_t>() > 255)
      reader.reject("mac", "is not an address");
    else
      link.mac[i] = mac[i]->get<uint8_t>();
  }
  TRY_VOID(reader.finish());
  return link;
}

void read_filter(ObjectReader& reader, std::string& out) {
  std::string text;
  reader.read("seccomp_filter", text);
  if (text == kDefaultFilter) {
    out = runtime::default_seccomp_filter();
    return;
  }
  std::optional<std::string> bytes = base64_decode(text);
  if (!bytes) return reader.reject("seccomp_filter", "is not base64");
  out = std::move(*bytes);
}

Result<void> read_user(ObjectReader& reader, std::optional<std::string>& user) {
  if (reader.find("user") == nullptr) return {};
  reader.read("user", user.emplace());
  return {};
}

void read_metadata(ObjectReader& reader, runtime::RootSource& root) {
  if (reader.find("metadata") == nullptr) return;
  reader.read("metadata", root.metadata);
  reader.read("objects", root.objects);
  if (!root.metadata.starts_with('/')) reader.reject("metadata", "is not an absolute path");
  if (!root.objects.starts_with('/')) reader.reject("objects", "is not an absolute path");
}

Result<MonitorConfig::ContainerPlan> parse_container(const json& value) {
  MonitorConfig::ContainerPlan plan;
  ObjectReader reader(value, "a container's plan");
  std::string spec;
  reader.read("spec", spec);
  reader.read("lower", plan.root.lower);
  read_metadata(reader, plan.root);
  reader.read("upper", plan.root.upper);
  reader.read("work", plan.root.work);
  reader.read("volatile_upper", plan.root.volatile_upper);
  reader.read("directory", plan.root.directory);
  reader.read("create_cwd", plan.create_cwd);
  read_filter(reader, plan.seccomp_filter);
  TRY_VOID(read_user(reader, plan.user));
  if (const json* link = reader.find("link")) {
    TRY(plan.link, parse_link(*link));
  }
  TRY_VOID(reader.finish());
  TRY(plan.spec, oci::parse_carried_spec(spec));
  return plan;
}

Result<MonitorConfig::ExecPlan> parse_exec(const json& value) {
  MonitorConfig::ExecPlan plan;
  ObjectReader reader(value, "an exec session's plan");
  std::string spec;
  reader.read("init_pid", plan.options.init_pid);
  reader.read("init_start_time", plan.options.init_start_time);
  reader.read("cgroups_path", plan.options.cgroups_path);
  reader.read("spec", spec);
  read_filter(reader, plan.options.seccomp_filter);
  TRY_VOID(read_user(reader, plan.options.user));
  TRY_VOID(reader.finish());
  TRY(oci::RuntimeSpec parsed, oci::parse_carried_spec(spec));
  plan.options.process = std::move(parsed.process);
  return plan;
}

Result<void> check(const MonitorConfig& config, ObjectReader& reader) {
  if (config.version != kConfigVersion) reader.reject("version", "is not known to this monitor");
  if (!config.run_dir.starts_with('/')) reader.reject("run_dir", "is not an absolute path");
  if (config.log_max_files < 1) reader.reject("log_max_files", "is not positive");
  if (!config.settle_command.empty() && !config.settle_command[0].starts_with('/'))
    reader.reject("settle_command", "does not start with an absolute path");
  if (config.container.has_value() == config.exec.has_value())
    reader.reject("container", "and 'exec' exclude each other, and one must be there");
  return reader.finish();
}

}  // namespace

std::string to_json(const MonitorConfig& config) {
  json value = {{"version", config.version},
                {"container_id", text_value(config.container_id)},
                {"run_dir", text_value(config.run_dir)},
                {"log_path", text_value(config.log_path)},
                {"log_max_size", config.log_max_size},
                {"log_max_files", config.log_max_files},
                {"open_stdin", config.open_stdin},
                {"stdin_once", config.stdin_once},
                {"nft_on_start", base64_encode(config.nft_on_start)},
                {"nft_on_stop", base64_encode(config.nft_on_stop)},
                {"settle_command", text_values(config.settle_command)},
                {"trace", config.trace},
                {"starts_at_once", config.starts_at_once},
                {"ends_with_clients", config.ends_with_clients}};
  json ports = json::array();
  for (const PublishedPort& port : config.ports) ports.push_back(to_value(port));
  value["ports"] = std::move(ports);
  if (config.container) value["container"] = to_value(*config.container);
  if (config.exec) value["exec"] = to_value(config.exec->options);
  return dump_json(value);
}

Result<MonitorConfig> parse_monitor_config(std::string_view text) {
  constexpr const char* kContext = "cannot read the monitor's configuration";
  TRY_CTX(json value, parse_json(text, kMaxConfig, "the document"), kContext);
  MonitorConfig config;
  ObjectReader reader(value, "the configuration");
  reader.read("version", config.version);
  reader.read("container_id", config.container_id);
  reader.read("run_dir", config.run_dir);
  reader.read("log_path", config.log_path);
  reader.read("log_max_size", config.log_max_size);
  reader.read("log_max_files", config.log_max_files);
  reader.read("open_stdin", config.open_stdin);
  reader.read("stdin_once", config.stdin_once);
  reader.read_bytes("nft_on_start", config.nft_on_start);
  reader.read_bytes("nft_on_stop", config.nft_on_stop);
  reader.read("settle_command", config.settle_command);
  reader.read("trace", config.trace);
  reader.read("starts_at_once", config.starts_at_once);
  reader.read("ends_with_clients", config.ends_with_clients);
  for (const json* port : reader.array("ports")) {
    TRY_CTX(PublishedPort parsed, parse_port(*port), kContext);
    config.ports.push_back(std::move(parsed));
  }
  if (const json* plan = reader.find("container")) {
    TRY_CTX(config.container, parse_container(*plan), kContext);
  }
  if (const json* plan = reader.find("exec")) {
    TRY_CTX(config.exec, parse_exec(*plan), kContext);
  }
  TRY_VOID_CTX(check(config, reader), kContext);
  return config;
}

}  // namespace wherry::monitor
