// The start path, from a record to a running monitor, as a sequence of steps each followed by its
// undo.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "base/text.h"
#include "base/trace.h"
#include "engine/host_facts.h"
#include "engine/local_engine.h"
#include "engine/log_config.h"
#include "engine/ports.h"
#include "monitor/config.h"
#include "network/resolver_files.h"
#include "runtime/container.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_compose.h"
#include "sys/file.h"
#include "sys/nfnetlink.h"
#include "sys/overlay.h"
#include "sys/process.h"
#include "sys/sha256.h"

namespace wherry::engine {
namespace {

constexpr size_t kMaxResolvConf = 65536;
constexpr size_t kMaxFilter = 1 << 20;
constexpr int kKillTimeoutMs = 5000;
constexpr int kSubnetAttempts = 10;

std::string dotted(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                     address & 255);
}

std::string mac_text(const std::array<uint8_t, 6>& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

NetworkSettings settings_of(const ContainerRecord& record,
                            const std::optional<network::Attachment>& attachment) {
  NetworkSettings settings;
  settings.sandbox_id = random_id();
  if (!attachment) {
    settings.networks[record.host_config.network_mode] = {};
    return settings;
  }
  settings.bridge = attachment->network.bridge_interface;
  settings.host_interface = attachment->link.host_interface;
  settings.ports = bound_ports(attachment->ports, record.config.exposed_ports);
  settings.networks[attachment->network.name] = {.network_id = attachment->network.id,
                                                 .endpoint_id = attachment->endpoint_id,
                                                 .gateway = dotted(attachment->link.gateway),
                                                 .ip_address = dotted(attachment->link.address),
                                                 .mac_address = mac_text(attachment->link.mac),
                                                 .ip_prefix_len = attachment->link.prefix_length};
  return settings;
}

// What a container reads as /etc/resolv.conf; a host without one has no name servers to drop.
std::string resolver_file(const std::string& network_mode) {
  std::string host = sys::read_file("/etc/resolv.conf", kMaxResolvConf).value_or("");
  if (network_mode == "host") return host;
  if (network::is_resolved_stub(host))
    host = sys::read_file("/run/systemd/resolve/resolv.conf", kMaxResolvConf).value_or(host);
  return network::resolv_conf(host);
}

// This program, for the monitor's settling later. An upgrade may have replaced the file meanwhile.
Result<std::string> own_program() {
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length > 0) {
    std::string path(self, static_cast<size_t>(length));
    if (path.ends_with(" (deleted)")) path.resize(path.size() - 10);
    if (path.ends_with("/wherry")) return path;
  }
  return sys::find_helper("wherry");
}

// Docker makes the directory of a -v bind that is missing, but never touches what is there.
Result<void> make_bind_source(const MountPoint& mount) {
  struct stat info{};
  if (stat(mount.source.c_str(), &info) == 0) return {};
  if (errno != ENOENT)
    return Error::from_errno(errno, "cannot use '" + mount.source + "' as a bind mount");
  TRY_CTX([[maybe_unused]] sys::Fd made, sys::make_dirs(mount.source, 0755),
          "error while creating mount source path '" + mount.source + "'");
  return {};
}

}  // namespace

Result<std::unique_ptr<Session>> LocalEngine::launch(
    const ContainerRecord& record, const store::Image& image, int run_dir,
    std::optional<AttachStreams> attach, Terminal terminal, std::vector<std::string>& warnings,
    const std::function<Result<void>()>& record_it) {
  TraceScope trace("engine.launch");
  std::string context = "cannot start '" + record.name + "'";
  TRY(store::Store * images, store());
  TRY_CTX(store::MountPlan mounts, images->mount_plan(image), context);
  TRY_VOID_CTX(prepare_directories(record, mounts), context);
  TRY_VOID_CTX(failpoint("engine.launch.prepared"), context);
  TRY_CTX(HostFacts host, gather_host_facts(record.host_config), context);

  Connection connection;
  TRY_CTX(connection.attachment, lease_network(record), context);
  auto release = on_exit([&] {
    if (connection.attachment) [[maybe_unused]]
      auto released = networks_.release(record.id);
  });
  TRY_VOID_CTX(failpoint("engine.launch.leased"), context);
  TRY_CTX(connection.joined, join_sandbox(record), context);
  TRY_VOID_CTX(write_run_files(record, host, run_dir, connection), context);
  TRY_CTX(monitor::MonitorConfig config, plan_monitor(record, host, mounts, connection, terminal),
          context);

  config.starts_at_once = true;
  std::vector<monitor::Message> first;
  if (attach)
    first = {monitor::WatchExit{}, monitor::WillSettle{},
             monitor::Attach{attach->in, attach->out, attach->err}};
  const auto permit = [&]() -> Result<void> {
    TRY_VOID(record_it());
    return failpoint("engine.launch.permitted");
  };
  TraceScope launching("engine.launch.monitor");
  TRY_CTX(sys::FileLock cgroups,
          sys::FileLock::acquire(fds_.run.get(), kCgroupsLock, sys::FileLock::Mode::kShared),
          context);
  TRY_CTX(monitor::Standby standby, take_standby(record.id), context);
  TRY_CTX(monitor::Client launched, monitor::Client::run(config, std::move(standby), first, permit),
          context);
  launching.end();
  auto client = std::make_shared<monitor::Client>(std::move(launched));
  const std::vector<std::string>& notes = client->welcome().warnings;
  warnings.insert(warnings.end(), notes.begin(), notes.end());
  release.release();
  TRY_VOID_CTX(failpoint("engine.launch.started"), context);
  if (!attach) return std::unique_ptr<Session>();
  settling_[record.id] = client;
  return std::unique_ptr<Session>(new MonitorSession(std::move(client)));
}

Result<monitor::Standby> LocalEngine::spawn_standby(const Fds& fds, const Paths& paths,
                                                    const std::string& id,
                                                    std::optional<NextRun> next) {
  TRY(sys::FileLock cgroups,
      sys::FileLock::acquire(fds.run.get(), kCgroupsLock, sys::FileLock::Mode::kShared));
  return monitor::Standby::spawn({.container_id = id,
                                  .engine_cgroup = paths.cgroup_parent + "/engine",
                                  .container_cgroup = next ? paths.cgroup(id) : std::string(),
                                  .network_namespace = next && next->own_network});
}

Result<Advance> LocalEngine::begin_run(const Fds& fds, const Paths& paths, const std::string& id,
                                       NextRun next) {
  return Advance::make(id, {fds.run_containers.get(), fds.locks.get(), paths.cgroup(id)},
                       [&] { return spawn_standby(fds, paths, id, next); });
}

Result<monitor::Standby> LocalEngine::take_standby(const std::string& id) {
  if (!standby_ || standby_->container_id() != id)
    return spawn_standby(fds_, paths_, id, std::nullopt);
  monitor::Standby standby = std::move(*standby_);
  standby_.reset();
  return standby;
}

Result<monitor::Client> LocalEngine::launch_monitor(const monitor::MonitorConfig& config) {
  TRY(monitor::Standby standby, take_standby(config.container_id));
  TRY(sys::FileLock cgroups,
      sys::FileLock::acquire(fds_.run.get(), kCgroupsLock, sys::FileLock::Mode::kShared));
  return monitor::Client::launch(config, std::move(standby));
}

Result<void> LocalEngine::prepare_directories(const ContainerRecord& record,
                                              const store::MountPlan& plan) {
  TRY(sys::Fd dir, sys::make_dir_at(fds_.containers.get(), record.id, 0700));
  if (!sys::exists_at(dir.get(), "upper")) {
    TRY(sys::Fd upper, sys::make_dir_at(dir.get(), "upper.new", 0755));
    TRY_VOID(sys::inherit_lower_root(plan.lower, plan.metadata, upper.get()));
    if (renameat(dir.get(), "upper.new", dir.get(), "upper") != 0)
      return Error::from_errno(errno, "cannot make the container's layer");
  }
  TRY([[maybe_unused]] sys::Fd work, sys::make_dir_at(dir.get(), "work", 0700));
  std::vector<std::string> volumes;
  for (const MountPoint& mount : record.mounts) {
    if (mount.type == "volume")
      volumes.push_back(mount.name);
    else
      TRY_VOID(make_bind_source(mount));
  }
  return make_volume_dirs(volumes);
}

Result<std::optional<network::Attachment>> LocalEngine::lease_network(
    const ContainerRecord& record) {
  if (record.host_config.network_mode != "bridge") return std::optional<network::Attachment>();
  TraceScope trace("engine.launch.network");
  for (int attempt = 1;; ++attempt) {
    TRY(network::Network bridge, networks_.default_bridge());
    TRY(network::Attachment attachment, attach_to(bridge, record));
    // After the lease, which keeps others from taking the bridge away.
    Result<void> ready = networks_.ensure_bridge(bridge);
    if (ready) return std::optional(std::move(attachment));
    [[maybe_unused]] Result<void> released = networks_.release(record.id);
    // Another root was faster with this subnet.
    if (ready.error().kind() != ErrorKind::kConflict || attempt == kSubnetAttempts)
      return std::move(ready.error());
  }
}

Result<network::Attachment> LocalEngine::attach_to(const network::Network& bridge,
                                                   const ContainerRecord& record) {
  TRY(auto requests,
      port_requests(record.host_config.port_bindings, options_.default_publish_address));
  Result<network::Attachment> attachment = networks_.attach(bridge, record.id, requests);
  if (!attachment && (attachment.error().kind() == ErrorKind::kConflict ||
                      attachment.error().kind() == ErrorKind::kResourceExhausted)) {
    // A container that a crash has ended may still hold it.
    TRY_VOID(recover());
    attachment = networks_.attach(bridge, record.id, requests);
  }
  if (!attachment && attachment.error().kind() == ErrorKind::kConflict)
    return explain_port_conflict(attachment.error(), requests);
  return attachment;
}

// The planner says: port 8080/tcp is already allocated by container 'ID'. Scripts know Docker's
// words.
Error LocalEngine::explain_port_conflict(const Error& error,
                                         const std::vector<network::PortRequest>& requests) {
  const std::string& message = error.message();
  size_t begin = message.find("port ");
  size_t quote = message.find('\'');
  if (begin == std::string::npos || quote == std::string::npos) return error;
  std::string port(
      message.substr(begin + 5, message.find_first_not_of("0123456789", begin + 5) - begin - 5));
  std::string owner = message.substr(quote + 1, message.find('\'', quote + 1) - quote - 1);
  std::string address = "0.0.0.0";
  for (const network::PortRequest& request : requests)
    if (std::to_string(request.host_port) == port && !request.host_ip.empty())
      address = request.host_ip;
  if (auto record = reload(owner); record && *record) owner = (*record)->name;
  return Error(ErrorKind::kConflict,
               "Bind for " + address + ":" + port + " failed: port is already allocated")
      .set_hint("container '" + owner + "' has this port: stop it, or publish on another port");
}

Result<void> LocalEngine::write_run_files(const ContainerRecord& record, const HostFacts& host,
                                          int run_dir, const Connection& connection) {
  if (connection.joined) {
    NetworkSettings settings;
    settings.sandbox_id = connection.joined->sandbox_id;
    TRY_VOID(share_sandbox_files(*connection.joined, run_dir));
    return write_network_settings(run_dir, settings);
  }
  const std::optional<network::Attachment>& attachment = connection.attachment;
  std::string hostname = container_hostname(record, host);
  std::vector<network::HostsEntry> entries;
  if (attachment) {
    std::string names = hostname;
    if (!record.config.domainname.empty()) names += "." + record.config.domainname;
    // The name may have come in one piece or in two; the part before the first dot is a name too.
    if (size_t dot = names.find('.'); dot != names.npos) names += " " + names.substr(0, dot);
    entries.push_back({dotted(attachment->link.address), names});
  }
  std::string hosts = record.host_config.network_mode == "host"
                          ? sys::read_file("/etc/hosts", 1 << 20).value_or("")
                          : network::hosts_file(entries, true);
  auto write = [&](const char* name, std::string_view text, unsigned mode) {
    return sys::write_file_atomic(run_dir, name, text, mode, sys::Sync::kNone);
  };
  TRY_VOID(write("hosts", hosts, 0644));
  TRY_VOID(write("hostname", hostname + "\n", 0644));
  TRY_VOID(write("resolv.conf", resolver_file(record.host_config.network_mode), 0644));
  if (attachment && !attachment->nft_on_stop.empty())
    TRY_VOID(write("nft.stop", attachment->nft_on_stop, 0600));
  return write_network_settings(run_dir, settings_of(record, attachment));
}

Result<monitor::MonitorConfig> LocalEngine::plan_monitor(const ContainerRecord& record,
                                                         const HostFacts& host,
                                                         const store::MountPlan& mounts,
                                                         const Connection& connection,
                                                         Terminal terminal) {
  const std::optional<network::Attachment>& attachment = connection.attachment;
  TraceScope trace("engine.launch.plan");
  monitor::MonitorConfig config;
  config.container_id = record.id;
  config.run_dir = paths_.run_dir(record.id);
  const LogConfig& log = record.host_config.log_config;
  if (log.driver != "none") config.log_path = paths_.log_path(record.id);
  config.log_max_size = log_max_size(log);
  config.log_max_files = log_max_files(log);
  config.open_stdin = record.config.open_stdin;
  config.stdin_once = record.config.stdin_once;
  TRY(std::string program, own_program());
  config.settle_command = {program,         "--root",   paths_.root, "--run-root",
                           paths_.run_root, "__settle", record.id};
  config.trace = tracing();
  monitor::MonitorConfig::ContainerPlan& plan = config.container.emplace();
  TRY(plan.spec,
      build_spec({.record = &record,
                  .host = &host,
                  .cgroups_path = paths_.cgroup(record.id),
                  .run_dir = config.run_dir,
                  .rows = terminal.rows,
                  .columns = terminal.columns,
                  .network_namespace =
                      connection.joined ? connection.joined->namespace_path() : std::string()}));
  plan.root = {.lower = mounts.lower,
               .metadata = mounts.metadata,
               .objects = mounts.objects,
               .upper = paths_.container_dir(record.id) + "/upper",
               .work = paths_.container_dir(record.id) + "/work",
               .volatile_upper = record.host_config.auto_remove,
               .directory = {}};
  TRY(plan.seccomp_filter, seccomp_filter(record, plan.spec.process.capabilities.bounding));
  // "0" and not nothing: the lookup gives HOME and root's supplementary groups.
  plan.user = record.config.user.empty() ? "0" : record.config.user;
  plan.create_cwd = true;
  if (attachment) {
    plan.link = attachment->link;
    config.ports = published_ports(*attachment);
    config.nft_on_start = attachment->nft_on_start;
    config.nft_on_stop = attachment->nft_on_stop;
  }
  return config;
}

Result<std::string> LocalEngine::seccomp_filter(const ContainerRecord& record,
                                                const std::vector<std::string>& capabilities) {
  if (record.host_config.privileged) return std::string();
  auto sorted = [](std::vector<std::string> names) {
    std::ranges::sort(names);
    return names;
  };
  std::vector<std::string> names = sorted(capabilities);
  if (names == sorted(default_capabilities()))
    return std::string(runtime::default_seccomp_filter());
  // Composing costs milliseconds: kept by what it was made from.
  std::string key = sys::sha256(join(names, ",") + "\n" + WHERRY_VERSION).hex();
  TRY(sys::Fd cache, sys::make_dirs(paths_.root + "/cache/seccomp", 0700));
  if (Result<sys::Fd> kept = sys::open_at(cache.get(), key, O_RDONLY | O_NOFOLLOW))
    return sys::read_all(kept->get(), kMaxFilter);
  TraceScope trace("engine.seccomp.compose");
  TRY(std::string filter, runtime::compose_default_filter(names));
  TRY_VOID(sys::write_new_file(cache.get(), key, filter, 0600));
  return filter;
}

Result<void> LocalEngine::release_run(const std::string& id, bool kill_processes) {
  if (kill_processes) {
    TRY_VOID(runtime::kill_cgroup(paths_.cgroup(id), kKillTimeoutMs));
    TRY_VOID(runtime::remove_cgroup(paths_.cgroup(id)));
    if (Result<sys::Fd> rules = sys::open_at(fds_.run_containers.get(), id + "/nft.stop", O_RDONLY))
      // The monitor may have sent them already; then the kernel says so, and all is well.
      if (auto batch = sys::read_all(rules->get(), 1 << 20)) [[maybe_unused]]
        auto sent = sys::send_nft_batch(*batch);
  }
  TRY_VOID(take_link_from_joined(id));
  TRY_VOID(networks_.release(id));
  TRY_VOID(failpoint("engine.settle.released"));
  return sys::remove_tree_at(fds_.run_containers.get(), id);
}

}  // namespace wherry::engine
