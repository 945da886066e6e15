#include "monitor/config.h"

#include "base/packed.h"
#include "runtime/seccomp.h"

// The layout of the document, in the order of its bytes: a change here is a new kConfigVersion.
namespace wherry::sys {

void fields(auto& io, Like<LinkPlan> auto& link) {
  io("bridge", link.bridge);
  io("host_interface", link.host_interface);
  io("container_interface", link.container_interface);
  io("mac", link.mac);
  io("address", link.address);
  io("prefix_length", link.prefix_length);
  io("gateway", link.gateway);
  io("mtu", link.mtu);
}

}  // namespace wherry::sys

namespace wherry::monitor {

void fields(auto& io, Like<PublishedPort> auto& port) {
  io("protocol", port.protocol);
  io("host_ip", port.host_ip);
  io("host_port", port.host_port);
  io("container_address", port.container_address);
  io("container_port", port.container_port);
}

namespace {

void filter_field(Packer& packer, const std::string& filter) {
  const bool usual = !filter.empty() && filter == runtime::default_seccomp_filter();
  packer("usual_filter", usual);
  if (!usual) packer.bytes("seccomp_filter", filter);
}

void filter_field(Unpacker& unpacker, std::string& filter) {
  bool usual = false;
  unpacker("usual_filter", usual);
  if (usual)
    filter = runtime::default_seccomp_filter();
  else
    unpacker.bytes("seccomp_filter", filter);
}

void spec_field(Packer& packer, const oci::RuntimeSpec& spec) {
  packer.bytes("spec", oci::pack(spec));
}

void spec_field(Unpacker& unpacker, oci::RuntimeSpec& spec) {
  std::string bytes;
  unpacker.bytes("spec", bytes);
  if (unpacker.failed()) return;
  Result<oci::RuntimeSpec> parsed = oci::unpack_runtime_spec(bytes);
  if (!parsed) return unpacker.reject("spec", "is not one: " + parsed.error().message());
  spec = std::move(*parsed);
}

// A process travels in a specification of its own.
void process_field(Packer& packer, const oci::Process& process) {
  oci::RuntimeSpec spec;
  spec.root_path = "/";
  spec.process = process;
  spec_field(packer, spec);
}

void process_field(Unpacker& unpacker, oci::Process& process) {
  oci::RuntimeSpec spec;
  spec_field(unpacker, spec);
  process = std::move(spec.process);
}

}  // namespace

void fields(auto& io, Like<ContainerPlan> auto& plan) {
  spec_field(io, plan.spec);
  io("lower", plan.root.lower);
  io("metadata", plan.root.metadata);
  io("objects", plan.root.objects);
  io("upper", plan.root.upper);
  io("work", plan.root.work);
  io("volatile_upper", plan.root.volatile_upper);
  io("directory", plan.root.directory);
  filter_field(io, plan.seccomp_filter);
  io("link", plan.link);
  io("user", plan.user);
  io("create_cwd", plan.create_cwd);
}

void fields(auto& io, Like<ExecPlan> auto& plan) {
  io("init_pid", plan.options.init_pid);
  io("init_start_time", plan.options.init_start_time);
  io("cgroups_path", plan.options.cgroups_path);
  process_field(io, plan.options.process);
  filter_field(io, plan.options.seccomp_filter);
  io("user", plan.options.user);
}

// Behind the version.
void fields(auto& io, Like<MonitorConfig> auto& config) {
  io("container_id", config.container_id);
  io("run_dir", config.run_dir);
  io("log_path", config.log_path);
  io("log_max_size", config.log_max_size);
  io("log_max_files", config.log_max_files);
  io("open_stdin", config.open_stdin);
  io("stdin_once", config.stdin_once);
  io("ports", config.ports);
  io.bytes("nft_on_start", config.nft_on_start);
  io.bytes("nft_on_stop", config.nft_on_stop);
  io("settle_command", config.settle_command);
  io("trace", config.trace);
  io("starts_at_once", config.starts_at_once);
  io("ends_with_clients", config.ends_with_clients);
  io("container", config.container);
  io("exec", config.exec);
}

namespace {

void check(const ContainerPlan& plan, Unpacker& unpacker) {
  const runtime::RootSource& root = plan.root;
  if (root.metadata.empty() && root.objects.empty()) return;
  if (!root.metadata.starts_with('/')) unpacker.reject("metadata", "is not an absolute path");
  if (!root.objects.starts_with('/')) unpacker.reject("objects", "is not an absolute path");
}

void check(const MonitorConfig& config, Unpacker& unpacker) {
  if (!config.run_dir.starts_with('/')) unpacker.reject("run_dir", "is not an absolute path");
  if (config.log_max_files < 1) unpacker.reject("log_max_files", "is not positive");
  if (!config.settle_command.empty() && !config.settle_command[0].starts_with('/'))
    unpacker.reject("settle_command", "does not start with an absolute path");
  if (config.container.has_value() == config.exec.has_value())
    unpacker.reject("container", "and 'exec' exclude each other, and one must be there");
  for (const PublishedPort& port : config.ports) {
    if (port.protocol != "tcp" && port.protocol != "udp")
      unpacker.reject("protocol", "is not known");
    if (port.host_port == 0) unpacker.reject("host_port", "is zero");
  }
  if (config.container) check(*config.container, unpacker);
}

Result<MonitorConfig> unpack(std::string_view bytes) {
  MonitorConfig config;
  Unpacker unpacker(bytes);
  unpacker("version", config.version);
  if (!unpacker.failed() && config.version != kConfigVersion)
    unpacker.reject("version", "is not known to this monitor");
  if (!unpacker.failed()) fields(unpacker, config);
  if (!unpacker.failed()) check(config, unpacker);
  TRY_VOID(unpacker.finish());
  return config;
}

}  // namespace

std::string to_bytes(const MonitorConfig& config) {
  Packer packer;
  packer("version", config.version);
  fields(packer, config);
  return packer.take();
}

Result<MonitorConfig> parse_monitor_config(std::string_view bytes) {
  TRY_CTX(MonitorConfig config, unpack(bytes), "cannot read the monitor's configuration");
  return config;
}

}  // namespace wherry::monitor
