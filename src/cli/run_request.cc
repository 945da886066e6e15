#include "cli/run_request.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/names.h"
#include "base/text.h"
#include "engine/log_config.h"
#include "engine/signals.h"
#include "engine/volumes.h"
#include "oci/ports.h"
#include "oci/reference.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr int64_t kMinMemory = 6 << 20;
constexpr size_t kMaxHostName = 64;  // HOST_NAME_MAX

Error invalid(std::string text) {
  return Error(ErrorKind::kInvalidArgument, std::move(text));
}

Result<void> add_label(std::map<std::string, std::string>& labels, std::string_view text) {
  auto [key, value] = split_once(text, '=');
  if (trim(key).empty()) return invalid(fmt::format("invalid label '{}': empty name", text));
  labels[std::string(key)] = std::string(value.value_or(""));
  return {};
}

Result<std::map<std::string, std::string>> labels(const ParsedFlags& flags) {
  std::map<std::string, std::string> all;
  auto nothing = [](const char*) -> std::optional<std::string> { return ""; };
  for (const std::string& path : flags.list("label-file")) {
    TRY_CTX(std::string text, sys::read_file(path, kMaxListFile), "--label-file");
    TRY_CTX(std::vector<std::string> lines, parse_env_file(text, path, nothing), "--label-file");
    for (const std::string& line : lines) TRY_VOID(add_label(all, line));
  }
  for (const std::string& label : flags.list("label")) TRY_VOID(add_label(all, label));
  return all;
}

Result<void> set_streams(engine::ContainerConfig& config, const ParsedFlags& flags, bool detach) {
  config.tty = flags.boolean("tty");
  config.open_stdin = flags.boolean("interactive");
  std::vector<std::string> wanted = flags.list("attach");
  for (const std::string& stream : wanted) {
    std::string name = to_lower(stream);
    if (name == "stdin")
      config.attach_stdin = true;
    else if (name == "stdout")
      config.attach_stdout = true;
    else if (name == "stderr")
      config.attach_stderr = true;
    else
      return invalid(
          fmt::format("invalid argument \"{}\" for \"-a, --attach\" flag: valid streams "
                      "are STDIN, STDOUT and STDERR",
                      stream));
  }
  if (!detach && wanted.empty()) {
    config.attach_stdin = config.open_stdin;
    config.attach_stdout = config.attach_stderr = true;
  }
  // The first client that goes closes the container's stdin.
  config.stdin_once = config.open_stdin && config.attach_stdin;
  return {};
}

Result<void> set_memory(engine::HostConfig& host, const ParsedFlags& flags) {
  int64_t memory = flags.bytes("memory");
  int64_t swap = flags.bytes("memory-swap");
  if (memory < 0)
    return invalid("invalid argument \"-1\" for \"-m, --memory\" flag: invalid size: '-1'");
  if (memory != 0 && memory < kMinMemory) return invalid("Minimum memory limit allowed is 6MB");
  if (swap > 0 && memory == 0)
    return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (swap > 0 && swap < memory)
    return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  host.memory = memory;
  host.memory_swap = swap;
  return {};
}

Result<void> set_limits(engine::HostConfig& host, const ParsedFlags& flags) {
  TRY_VOID(set_memory(host, flags));
  host.nano_cpus = flags.billionths("cpus");
  long processors = flags.has("cpus") ? sysconf(_SC_NPROCESSORS_ONLN) : 0;
  if (flags.has("cpus") && host.nano_cpus != 0 &&
      (host.nano_cpus < 10'000'000 || host.nano_cpus > processors * 1'000'000'000))
    return invalid(
        fmt::format("range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs "
                    "available",
                    processors));
  int64_t pids = flags.integer("pids-limit");
  if (pids < -1) return invalid(fmt::format("invalid --pids-limit: {}; use -1 for no limit", pids));
  host.pids_limit = pids < 0 ? 0 : pids;
  int64_t shm = flags.bytes("shm-size");
  if (shm <= 0) return invalid("SHM size must be greater than 0");
  host.shm_size = static_cast<uint64_t>(shm);
  return {};
}

Result<std::string> absolute_source(const std::string& bind) {
  if (!bind.starts_with("./") && !bind.starts_with("../") && !bind.starts_with(".:") &&
      !bind.starts_with("..:"))
    return bind;
  char directory[4096];
  if (getcwd(directory, sizeof directory) == nullptr)
    return Error::from_errno(errno, fmt::format("cannot resolve '{}'", bind));
  return fmt::format("{}/{}", directory, bind);
}

Result<void> set_volumes(engine::CreateRequest& request, const ParsedFlags& flags) {
  for (const std::string& volume : flags.list("volume")) {
    TRY(std::string bind, absolute_source(volume));
    TRY_VOID(engine::parse_bind(bind));
    if (bind.find(':') == bind.npos)
      request.config.volumes.push_back(bind);
    else
      request.host_config.binds.push_back(bind);
  }
  return {};
}

Result<void> set_network(engine::CreateRequest& request, const ParsedFlags& flags) {
  std::string network = flags.text("network");
  if (network == "default") network = "bridge";
  if (network != "bridge" && network != "none" && network != "host" &&
      !network.starts_with("container:"))
    return Error(ErrorKind::kUnsupported, fmt::format("network '{}' is not supported yet", network))
        .set_hint("use bridge, none, host or container:NAME");
  request.host_config.network_mode = network;
  for (const std::string& port : flags.list("publish"))
    TRY_VOID_CTX(add_published_port(request.host_config.port_bindings, port),
                 fmt::format("invalid argument \"{}\" for \"-p, --publish\" flag", port));
  for (const std::string& port : flags.list("expose")) {
    TRY_CTX(std::vector<std::string> ports, oci::expand_ports(port),
            fmt::format("invalid argument \"{}\" for \"--expose\" flag", port));
    request.config.exposed_ports.insert(request.config.exposed_ports.end(), ports.begin(),
                                        ports.end());
  }
  std::string hostname = flags.text("hostname");
  if (hostname.size() > kMaxHostName)
    return invalid(
        fmt::format("invalid hostname '{}': longer than {} bytes", hostname, kMaxHostName));
  request.config.hostname = std::move(hostname);
  return {};
}

Result<void> set_log(engine::LogConfig& log, const ParsedFlags& flags) {
  log.driver = flags.text("log-driver");
  for (const std::string& option : flags.list("log-opt")) {
    auto [name, value] = split_once(option, '=');
    if (!value)
      return invalid(fmt::format("invalid logging opts format from {}: use NAME=VALUE", option));
    log.options[std::string(name)] = std::string(*value);
  }
  return engine::check_log_config(log);
}

Result<void> set_stop(engine::ContainerConfig& config, const ParsedFlags& flags) {
  config.stop_signal = flags.text("stop-signal");
  if (flags.has("stop-signal")) TRY_VOID(engine::parse_signal(config.stop_signal));
  if (!flags.has("stop-timeout")) return {};
  int64_t seconds = flags.integer("stop-timeout");
  if (seconds < -1 || seconds > INT32_MAX)
    return invalid(fmt::format("invalid --stop-timeout: {}", seconds));
  config.stop_timeout = static_cast<int>(seconds);
  return {};
}

Result<void> set_command(engine::ContainerConfig& config, const ParsedFlags& flags) {
  config.image = flags.arguments[0];
  // An image's id is no reference but names an image.
  if (!is_hex(config.image) && !config.image.starts_with("sha256:"))
    TRY_VOID(oci::ImageRef::parse(config.image));
  config.cmd.assign(flags.arguments.begin() + 1, flags.arguments.end());
  if (!flags.has("entrypoint")) return {};
  std::string entrypoint = flags.text("entrypoint");
  config.entrypoint_reset = entrypoint.empty();
  if (!entrypoint.empty()) config.entrypoint = {entrypoint};
  return {};
}

Result<void> set_process(engine::ContainerConfig& config, const ParsedFlags& flags,
                         EnvironmentLookup lookup) {
  TRY(config.env, environment(flags, lookup));
  TRY(config.labels, labels(flags));
  config.user = flags.text("user");
  config.working_dir = flags.text("workdir");
  if (!config.working_dir.empty() && config.working_dir[0] != '/')
    return invalid(
        fmt::format("the working directory '{}' is invalid, it needs to be an absolute path",
                    config.working_dir));
  return {};
}

}  // namespace

Result<RunRequest> run_request(const ParsedFlags& flags, EnvironmentLookup lookup) {
  RunRequest request;
  engine::CreateRequest& create = request.create;
  request.detach = flags.boolean("detach");
  request.sig_proxy = flags.boolean("sig-proxy");
  request.quiet = flags.boolean("quiet");
  request.cid_file = flags.text("cidfile");
  request.detach_keys = flags.text("detach-keys");
  request.pull = flags.text("pull");
  request.create.platform = flags.text("platform");
  if (request.pull != "always" && request.pull != "missing" && request.pull != "never")
    return invalid(
        fmt::format("invalid pull option: '{}': must be one of \"always\", \"missing\" or "
                    "\"never\"",
                    request.pull));
  create.name = flags.text("name");
  if (flags.has("name")) TRY_VOID(check_container_name(create.name));
  TRY_VOID(set_command(create.config, flags));
  TRY_VOID(set_streams(create.config, flags, request.detach));
  TRY_VOID(set_process(create.config, flags, lookup));
  TRY_VOID(set_stop(create.config, flags));
  TRY_VOID(set_limits(create.host_config, flags));
  TRY_VOID(set_volumes(create, flags));
  TRY_VOID(set_network(create, flags));
  TRY_VOID(set_log(create.host_config.log_config, flags));
  create.host_config.auto_remove = flags.boolean("rm");
  create.host_config.privileged = flags.boolean("privileged");
  create.host_config.readonly_rootfs = flags.boolean("read-only");
  create.host_config.cap_add = flags.list("cap-add");
  create.host_config.cap_drop = flags.list("cap-drop");
  return request;
}

}  // namespace wherry::cli
