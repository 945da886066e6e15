#include "engine/spec_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/merge.h"
#include "engine/volumes.h"

namespace wherry::engine {
namespace {

constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int64_t kMinMemory = 6 << 20;
constexpr uint64_t kCpuPeriod = 100000;

std::vector<oci::Mount> default_mounts(const HostConfig& config) {
  std::string access = config.privileged ? "rw" : "ro";
  return {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {access, "nosuid", "noexec", "nodev"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/dev/shm",
       "tmpfs",
       "shm",
       {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(config.shm_size)}},
  };
}

void add_generated_files(std::vector<oci::Mount>& mounts, const SpecInput& input) {
  std::string access = input.record->host_config.readonly_rootfs ? "ro" : "rw";
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    std::string destination = std::string("/etc/") + name;
    // A user's own bind at the same place wins.
    if (std::ranges::any_of(input.record->mounts, [&](const MountPoint& point) {
          return point.destination == destination;
        }))
      continue;
    mounts.push_back(
        {destination, "bind", input.run_dir + "/" + name, {"rbind", "rprivate", access}});
  }
}

// User mounts replace default ones at the same place (-v /x:/dev/shm).
std::vector<oci::Mount> all_mounts(const SpecInput& input) {
  std::vector<oci::Mount> mounts = default_mounts(input.record->host_config);
  std::vector<oci::Mount> own = volume_mounts(input.record->mounts);
  std::erase_if(mounts, [&](const oci::Mount& mount) {
    return std::ranges::any_of(
        own, [&](const oci::Mount& user) { return user.destination == mount.destination; });
  });
  add_generated_files(mounts, input);
  mounts.insert(mounts.end(), own.begin(), own.end());
  return mounts;
}

std::vector<std::string> masked_paths(const HostFacts& host) {
  std::vector<std::string> paths = {"/proc/acpi",
                                    "/proc/asound",
                                    "/proc/interrupts",
                                    "/proc/kcore",
                                    "/proc/keys",
                                    "/proc/latency_stats",
                                    "/proc/sched_debug",
                                    "/proc/scsi",
                                    "/proc/timer_list",
                                    "/proc/timer_stats",
                                    "/sys/devices/virtual/powercap",
                                    "/sys/firmware"};
  for (int cpu : host.throttled_cpus)
    paths.push_back(fmt::format("/sys/devices/system/cpu/cpu{}/thermal_throttle", cpu));
  return paths;
}

std::vector<oci::DeviceRule> device_rules(const HostConfig& config) {
  if (config.privileged) return {{true, 'a', std::nullopt, std::nullopt, "rwm"}};
  return {{false, 'a', std::nullopt, std::nullopt, "rwm"},
          {true, 'c', std::nullopt, std::nullopt, "m"},  // making a node opens nothing
          {true, 'b', std::nullopt, std::nullopt, "m"},
          {true, 'c', 1, 3, "rwm"},  // null
          {true, 'c', 1, 5, "rwm"},  // zero
          {true, 'c', 1, 7, "rwm"},  // full
          {true, 'c', 1, 8, "rwm"},  // random
          {true, 'c', 1, 9, "rwm"},  // urandom
          {true, 'c', 5, 0, "rwm"},  // tty
          {true, 'c', 5, 1, "rwm"},  // console
          {true, 'c', 5, 2, "rwm"},  // ptmx
          {true, 'c', 136, std::nullopt, "rwm"}};
}

oci::Resources resources(const HostConfig& config) {
  oci::Resources limits;
  limits.devices = device_rules(config);
  if (config.memory > 0) {
    limits.memory_limit = config.memory;
    limits.memory_swap = config.memory_swap != 0 ? config.memory_swap : config.memory * 2;
  }
  if (config.nano_cpus > 0) {
    limits.cpu_period = kCpuPeriod;
    limits.cpu_quota = config.nano_cpus / (1000000000 / static_cast<int64_t>(kCpuPeriod));
  }
  if (config.pids_limit > 0) limits.pids_limit = config.pids_limit;
  return limits;
}

std::vector<oci::Namespace> namespaces(const SpecInput& input) {
  const HostConfig& config = input.record->host_config;
  std::vector<oci::Namespace> list = {{"mount", ""}, {"uts", ""}, {"pid", ""}, {"ipc", ""}};
  if (config.network_mode != "host") list.push_back({"network", input.network_namespace});
  // Docker's default: private on v2, the host's on v1; a privileged container keeps the host's.
  if (input.host->cgroup_v2 && !config.privileged) list.push_back({"cgroup", ""});
  return list;
}

Result<oci::Process> process(const SpecInput& input) {
  const ContainerRecord& record = *input.record;
  oci::Process process;
  process.terminal = record.config.tty;
  process.console_rows = input.rows;
  process.console_columns = input.columns;
  process.args.push_back(record.path);
  process.args.insert(process.args.end(), record.args.begin(), record.args.end());
  process.env =
      process_environment(record, container_hostname(record, *input.host), record.config.tty);
  process.cwd = record.config.working_dir.empty() ? "/" : record.config.working_dir;
  TRY(std::vector<std::string> names,
      container_capabilities(record.host_config, input.host->all_capabilities));
  process.capabilities.bounding = names;
  process.capabilities.permitted = names;
  process.capabilities.effective = std::move(names);
  return process;
}

}  // namespace

std::string container_hostname(const ContainerRecord& record, const HostFacts& host) {
  if (!record.config.hostname.empty()) return record.config.hostname;
  return record.host_config.network_mode == "host" ? host.hostname : record.id.substr(0, 12);
}

std::vector<std::string> process_environment(const ContainerRecord& record,
                                             const std::string& hostname, bool tty) {
  std::vector<std::string> base = {kDefaultPath, "HOSTNAME=" + hostname};
  if (tty) base.emplace_back("TERM=xterm");
  return override_environment(std::move(base), record.config.env);
}

Result<void> check_limits(const HostConfig& config, int cpus) {
  auto invalid = [](std::string message) {
    return Error(ErrorKind::kInvalidArgument, std::move(message));
  };
  if (config.memory < 0 || (config.memory > 0 && config.memory < kMinMemory))
    return invalid("Minimum memory limit allowed is 6MB");
  if (config.memory == 0 && config.memory_swap > 0)
    return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (config.memory_swap > 0 && config.memory_swap < config.memory)
    return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (config.memory_swap < -1) return invalid("invalid memory-swap limit: only -1 means unlimited");
  // The kernel takes no quota below one millisecond.
  if (config.nano_cpus != 0 &&
      (config.nano_cpus < 10000000 || config.nano_cpus > int64_t{cpus} * 1000000000))
    return invalid(fmt::format(
        "range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available", cpus, cpus));
  if (config.pids_limit < -1) return invalid("invalid pids limit: only -1 means unlimited");
  return {};
}

Result<oci::RuntimeSpec> build_spec(const SpecInput& input) {
  const ContainerRecord& record = *input.record;
  const HostConfig& config = record.host_config;
  oci::RuntimeSpec spec;
  spec.hostname = container_hostname(record, *input.host);
  spec.domainname = record.config.domainname;
  spec.root_path = "rootfs";
  spec.root_readonly = config.readonly_rootfs;
  TRY(spec.process, process(input));
  spec.mounts = all_mounts(input);
  spec.namespaces = namespaces(input);
  spec.cgroups_path = input.cgroups_path;
  spec.resources = resources(config);
  // A joined namespace has got them from its owner.
  if (config.network_mode != "host" && input.network_namespace.empty())
    spec.sysctl = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                   {"net.ipv4.ping_group_range", "0 2147483647"}};
  if (config.privileged) {
    spec.devices = input.host->devices;
  } else {
    spec.masked_paths = masked_paths(*input.host);
    spec.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                           "/proc/sysrq-trigger"};
  }
  return spec;
}

}  // namespace wherry::engine
