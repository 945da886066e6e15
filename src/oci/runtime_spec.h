// The OCI runtime configuration (config.json) as plain data. Linux only.
//
// Source: OCI runtime-spec 1.2, config.md and config-linux.md; names follow the JSON keys in
// snake_case. Absent optional fields are nullopt or empty. What the struct does not know, from_json
// refuses by name.
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
};

struct Mount {
  std::string destination;  // absolute inside the container
  std::string type;         // "bind", "tmpfs", "proc", ...; empty with "bind" among the options
  std::string source;
  std::vector<std::string> options;
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

struct Resources {
  std::vector<DeviceRule> devices;
  // memory, bytes; -1 is "unlimited"
  std::optional<int64_t> memory_limit, memory_reservation, memory_swap;
  std::optional<uint64_t> memory_swappiness;
  std::optional<bool> memory_disable_oom_killer;
  // cpu
  std::optional<uint64_t> cpu_shares, cpu_period, cpu_realtime_period;
  std::optional<int64_t> cpu_quota, cpu_realtime_runtime;
  std::string cpuset_cpus, cpuset_mems;
  // pids; -1 or 0: unlimited
  std::optional<int64_t> pids_limit;
  std::optional<uint16_t> blkio_weight;
  std::map<std::string, std::string> unified;
};

struct Namespace {
  std::string type;  // pid, network, mount, ipc, uts, user, cgroup, time
  std::string path;  // empty: a new one
};

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
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
};

// JSON as the specification has it. Limits: 4 MiB, depth 64.
Result<RuntimeSpec> parse_runtime_spec(std::string_view json);
std::string to_json(const RuntimeSpec& spec);
// A process object alone (exec --process), and a resources object alone (update --resources).
Result<Process> parse_process(std::string_view json);
Result<Resources> parse_resources(std::string_view json);

}  // namespace wherry::oci
