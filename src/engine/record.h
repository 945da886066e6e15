// The container record: the Engine API's inspect model (Config, HostConfig, NetworkSettings, State)
// as typed data. CLI, API and Compose share this one truth; the JSON form is what `inspect` prints.
// Source: Engine API 1.51, ContainerInspectResponse; only fields that have an effect here are here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry::engine {

// "80/tcp" -> bindings
struct PortBinding {
  std::string host_ip;
  std::string host_port;  // decimal; "FIRST-LAST": a free one of them; empty: choose
};
using PortMap = std::map<std::string, std::vector<PortBinding>>;

struct ContainerConfig {
  std::string hostname;
  std::string domainname;
  std::string user;
  bool attach_stdin = false, attach_stdout = false, attach_stderr = false;
  bool tty = false;
  bool open_stdin = false;
  bool stdin_once = false;
  std::vector<std::string> env;
  std::vector<std::string> cmd;
  std::vector<std::string> entrypoint;
  bool entrypoint_reset = false;  // --entrypoint "": do not inherit
  std::string image;              // as the user wrote it
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::vector<std::string> exposed_ports;
  std::vector<std::string> volumes;
  std::string stop_signal;
  std::optional<int> stop_timeout;
};

struct LogConfig {
  std::string driver;  // json-file, none; empty in a request: the configured one
  std::map<std::string, std::string> options;
};

struct HostConfig {
  std::vector<std::string> binds;       // "/a:/b:ro", "name:/b"
  std::string network_mode = "bridge";  // bridge, none, host, container:ID
  PortMap port_bindings;
  LogConfig log_config;
  bool auto_remove = false;
  bool privileged = false;
  bool readonly_rootfs = false;
  std::vector<std::string> cap_add, cap_drop;
  int64_t memory = 0;  // bytes, 0: none
  int64_t nano_cpus = 0;
  int64_t pids_limit = 0;   // 0: none
  int64_t memory_swap = 0;  // 0: twice the memory
  uint64_t shm_size = 67108864;
};

// Where something is mounted in the container (inspect's Mounts).
struct MountPoint {
  std::string type;    // bind, volume
  std::string name;    // volumes
  std::string source;  // on the host
  std::string destination;
  std::string mode;  // as given: "ro,z"
  bool rw = true;
  std::string propagation;
  bool anonymous = false;  // removed with the container (rm -v, --rm)
  bool copy = true;        // fill an empty new volume from the image
};

struct ContainerState {
  std::string status = "created";  // created, running, paused, exited, removing, dead
  bool oom_killed = false;
  int pid = 0;
  int exit_code = 0;
  std::string error;  // "monitor lost", or why it could not start
  std::string started_at = "0001-01-01T00:00:00Z";
  std::string finished_at = "0001-01-01T00:00:00Z";
};

struct NetworkEndpoint {
  std::string network_id, endpoint_id;
  std::string gateway, ip_address, mac_address;
  int ip_prefix_len = 0;
};
struct NetworkSettings {
  std::string bridge;
  // The sandbox the container is in: its own, or the one of the container it has joined. The key
  // is a path of the network namespace while the container runs.
  std::string sandbox_id, sandbox_key;
  std::string host_interface;  // our end of the link; in the run directory only, not for inspect
  PortMap ports;               // as bound
  std::map<std::string, NetworkEndpoint> networks;  // by network name
};

struct ContainerRecord {
  std::string id;
  std::string name;     // without slash; inspect prints "/name"
  std::string created;  // RFC 3339
  std::string path;     // the program
  std::vector<std::string> args;
  std::string image_id;  // sha256:...
  int restart_count = 0;
  ContainerConfig config;  // effective: image and user merged
  HostConfig host_config;
  std::vector<MountPoint> mounts;
  ContainerState state;
  NetworkSettings network_settings;
};

std::string to_json(const ContainerRecord& record);  // compact: for the database
// As `inspect` prints one object: Docker's key order and names, 4-space indents.
std::string inspect_json(const ContainerRecord& record, const std::string& log_path,
                         const std::string& root);
Result<ContainerRecord> parse_record(std::string_view json);

}  // namespace wherry::engine
