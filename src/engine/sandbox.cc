// Sandboxes: the network namespace of a container together with its addresses, ports, hosts,
// hostname and resolv.conf. Every container on a bridge or without a network has a private one,
// which its monitor holds and its run directory records (network.json); `--network container:X`
// joins X's instead.
//
// The files are shared as hard links from one run directory to the other: both containers see an
// edit, and they outlive the one that made them. Their link count also tells, when a sandbox's
// owner ends, that somebody else keeps the namespace alive.
#include <sys/stat.h>
#include <unistd.h>

#include "engine/local_engine.h"
#include "engine/sandbox.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/rtnetlink.h"

namespace wherry::engine {
namespace {

constexpr const char* kFiles[] = {"hosts", "hostname", "resolv.conf"};

Error conflict(const std::string& what) {
  return Error(ErrorKind::kInvalidArgument, "conflicting options: " + what);
}

Error not_running(const std::string& id) {
  return Error(ErrorKind::kConflict, "cannot join network of a non running container: " + id);
}

}  // namespace

std::optional<std::string> joined_container(const std::string& network_mode) {
  constexpr std::string_view kPrefix = "container:";
  if (!network_mode.starts_with(kPrefix)) return std::nullopt;
  return network_mode.substr(kPrefix.size());
}

bool has_own_network(const HostConfig& host_config) {
  return host_config.network_mode != "host" && !joined_container(host_config.network_mode);
}

Result<void> check_joined_network(const ContainerConfig& config, const HostConfig& host_config) {
  std::optional<std::string> other = joined_container(host_config.network_mode);
  if (!other) return {};
  if (other->empty())
    return Error(ErrorKind::kInvalidArgument, "invalid container format container:<name|id>");
  if (!config.hostname.empty()) return conflict("hostname and the network mode");
  if (!host_config.port_bindings.empty())
    return conflict("port publishing and the container type network mode");
  if (!config.exposed_ports.empty())
    return conflict("port exposing and the container type network mode");
  return {};
}

std::string JoinedSandbox::namespace_path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(network.get());
}

// With the name made an id, so that a later container of the same name is not joined instead.
Result<void> LocalEngine::resolve_joined_network(ContainerRecord& record) {
  std::optional<std::string> other = joined_container(record.host_config.network_mode);
  if (!other) return {};
  TRY(ContainerRecord owner, find_record(*other));
  record.host_config.network_mode = "container:" + owner.id;
  record.config.hostname = owner.config.hostname;
  record.config.domainname = owner.config.domainname;
  return {};
}

Result<std::optional<JoinedSandbox>> LocalEngine::join_sandbox(const ContainerRecord& record) {
  std::optional<std::string> other = joined_container(record.host_config.network_mode);
  if (!other) return std::optional<JoinedSandbox>();
  TRY(ContainerRecord owner, find_record(*other));
  if (owner.id == record.id) return conflict("a container cannot join its own network");
  TRY(RunView view, observe_run(fds_.run_containers.get(), owner.id, Sight::kOnlooker));
  if (!view.running()) return not_running(owner.id);
  JoinedSandbox joined;
  std::string process = "/proc/" + std::to_string(view.state.pid);
  Result<sys::Fd> network = sys::open_file(process + "/ns/net", O_RDONLY);
  if (!network) return not_running(owner.id);
  // Its pid is not another process's by now.
  std::optional<uint64_t> start_time = sys::process_start_time(view.state.pid);
  if (start_time != view.state.start_time) return not_running(owner.id);
  joined.network = std::move(*network);
  TRY(NetworkSettings settings, read_network_settings(fds_.run_containers.get(), owner.id));
  joined.sandbox_id = settings.sandbox_id;
  joined.owner = owner.id;
  return std::optional(std::move(joined));
}

Result<void> LocalEngine::share_sandbox_files(const JoinedSandbox& joined, int run_dir) {
  for (const char* name : kFiles) {
    std::string source = joined.owner + "/" + name;
    if (linkat(fds_.run_containers.get(), source.c_str(), run_dir, name, 0) == 0) continue;
    if (errno == ENOENT) return not_running(joined.owner);
    return Error::from_errno(errno, "cannot share the " + std::string(name) +
                                        " file of container '" + joined.owner + "'");
  }
  return {};
}

// The namespace of a container that others have joined does not go with it; its link has to, since
// the address is given back.
Result<void> LocalEngine::take_link_from_joined(const std::string& id) {
  struct stat info{};
  if (fstatat(fds_.run_containers.get(), (id + "/hosts").c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return {};
  if (info.st_nlink < 2) return {};
  TRY(NetworkSettings settings, read_network_settings(fds_.run_containers.get(), id));
  if (settings.host_interface.empty()) return {};
  return sys::delete_link(settings.host_interface);
}

}  // namespace wherry::engine
