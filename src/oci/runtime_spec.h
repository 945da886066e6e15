// The OCI runtime configuration (config.json) as plain data. Linux only.
//
// Source: OCI runtime-spec 1.2, config.md and config-linux.md; names follow the JSON keys in
// snake_case. Absent optional fields are nullopt or empty. Properties that the specification does
// not name are ignored, as it demands; those that it names and this runtime cannot honour are
// refused by name (docs/manual/runtime-spec.md lists both).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::oci {

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  uint64_t hard = 0;
  uint64_t soft = 0;
};

struct Capabilities {  // names: "CAP_CHOWN"
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
};

struct Scheduler {
  std::string policy;  // "SCHED_FIFO"
  int32_t nice = 0;
  int32_t priority = 0;
  std::vector<std::string> flags;                  // "SCHED_FLAG_RESET_ON_FORK"
  uint64_t runtime = 0, deadline = 0, period = 0;  // of SCHED_DEADLINE, nanoseconds
};

struct IoPriority {
  std::string io_class;  // "IOPRIO_CLASS_BE"
  int32_t priority = 0;
};

// Lists like "0-3,7". `initial` before the process is in its cgroup, `final_cpus` afterwards.
struct CpuAffinity {
  std::string initial, final_cpus;
};

struct Process {
  bool terminal = false;
  uint32_t console_rows = 0;  // 0: leave the kernel's size
  uint32_t console_columns = 0;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;  // "NAME=value"
  std::string cwd = "/";
  Capabilities capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<CpuAffinity> exec_cpu_affinity;
};

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
};

struct Mount {
  std::string destination;  // absolute inside the container
  std::string type;         // "bind", "tmpfs", "proc", ...; empty with "bind" among the options
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;  // of the mount, with "idmap" or "ridmap"
};

struct Device {
  std::string path;
  char type = 'c';  // c, b, u, p
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint32_t> file_mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';
  std::optional<int64_t> major;  // nullopt: any
  std::optional<int64_t> minor;
  std::string access = "rwm";
};

struct WeightDevice {
  int64_t major = 0, minor = 0;
  std::optional<uint16_t> weight, leaf_weight;
};

struct ThrottleDevice {
  int64_t major = 0, minor = 0;
  uint64_t rate = 0;  // bytes or operations per second
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  uint64_t limit = 0;     // bytes
};

struct InterfacePriority {
  std::string name;
  uint32_t priority = 0;
};

struct RdmaLimit {
  std::optional<uint32_t> hca_handles, hca_objects;
};

struct Resources {
  std::vector<DeviceRule> devices;
  // memory, bytes; -1 is "unlimited"
  std::optional<int64_t> memory_limit, memory_reservation, memory_swap;
  std::optional<int64_t> memory_kernel, memory_kernel_tcp;
  std::optional<uint64_t> memory_swappiness;
  std::optional<bool> memory_disable_oom_killer, memory_use_hierarchy;
  // Refuse a limit below what is used instead of calling for the OOM killer.
  std::optional<bool> memory_check_before_update;
  // cpu
  std::optional<uint64_t> cpu_shares, cpu_period, cpu_realtime_period;
  std::optional<int64_t> cpu_quota, cpu_realtime_runtime, cpu_idle;
  std::optional<uint64_t> cpu_burst;
  std::string cpuset_cpus, cpuset_mems;
  // pids; -1 or 0: unlimited
  std::optional<int64_t> pids_limit;
  // block I/O
  std::optional<uint16_t> blkio_weight, blkio_leaf_weight;
  std::vector<WeightDevice> blkio_weight_device;
  std::vector<ThrottleDevice> throttle_read_bps, throttle_write_bps, throttle_read_iops,
      throttle_write_iops;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<uint32_t> network_class_id;
  std::vector<InterfacePriority> network_priorities;
  std::map<std::string, RdmaLimit> rdma;  // by device: "mlx5_1"
  std::map<std::string, std::string> unified;
};

struct SeccompArgument {
  uint32_t index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW"
  std::optional<uint32_t> errno_ret;
  std::vector<SeccompArgument> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"; empty: the native one
  std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG"
  std::string listener_path, listener_metadata;
  std::vector<SeccompRule> syscalls;
};

struct Personality {
  std::string domain;  // "LINUX32"
  std::vector<std::string> flags;
};

struct TimeOffset {
  int64_t secs = 0;
  uint32_t nanosecs = 0;
};

struct NetDevice {
  std::string name;  // inside the container; empty: as on the host
};

struct MemoryPolicy {
  std::string mode;                // "MPOL_BIND"
  std::string nodes;               // "0-1"
  std::vector<std::string> flags;  // "MPOL_F_STATIC_NODES"
};

struct Namespace {
  std::string type;  // pid, network, mount, ipc, uts, user, cgroup, time
  std::string path;  // empty: a new one
};

// A program of the user's at a point of the container's life.
struct Hook {
  std::string path;                // absolute
  std::vector<std::string> args;   // [0] included; empty: the path alone
  std::vector<std::string> env;    // nothing is inherited
  std::optional<int64_t> timeout;  // seconds, above 0
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
  bool empty() const {
    return prestart.empty() && create_runtime.empty() && create_container.empty() &&
           start_container.empty() && poststart.empty() && poststop.empty();
  }
};

struct RuntimeSpec {
  std::string oci_version = "1.2.0";
  std::string hostname;
  std::string domainname;
  std::string root_path;  // absolute, or relative to the bundle
  bool root_readonly = false;
  Process process;
  std::vector<Mount> mounts;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  // linux
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<Device> devices;
  std::string cgroups_path;  // "/wherry/<id>", relative to each hierarchy's mount
  Resources resources;
  std::map<std::string, std::string> sysctl;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string rootfs_propagation;
  std::string mount_label;
  std::optional<Seccomp> seccomp;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::map<std::string, NetDevice> net_devices;    // by name on the host
  std::optional<MemoryPolicy> memory_policy;
};

// JSON as the specification has it. Limits: 4 MiB, depth 64, 65536 entries of a list.
Result<RuntimeSpec> parse_runtime_spec(std::string_view json);
std::string to_json(const RuntimeSpec& spec);
// As bytes for another program of the same build (base/packed.h), with the same checks of values.
std::string pack(const RuntimeSpec& spec);
Result<RuntimeSpec> unpack_runtime_spec(std::string_view bytes);
// A process object alone (exec --process), and a resources object alone (update --resources).
Result<Process> parse_process(std::string_view json);
Result<Resources> parse_resources(std::string_view json);
std::string to_json(const Process& process);
std::string to_json(const Seccomp& seccomp);
std::string to_json(const Resources& resources);

}  // namespace wherry::oci
