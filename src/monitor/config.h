// What a monitor is told when it is spawned, as one document (base/packed.h) over an inherited fd.
//
// The engine plans, the monitor executes: everything here is plain data, so that the monitor needs
// neither the database nor the network planner. Versioned: a monitor refuses a version it does not
// know.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/container.h"
#include "sys/link_plan.h"

namespace wherry::monitor {

inline constexpr int kConfigVersion = 2;

// One published port. The monitor holds the host port open for the container's life (that is the
// reservation), serves what reaches the socket itself (loopback v4 and everything v6) by a relay,
// and nftables translates the rest (the batches below).
struct PublishedPort {
  std::string protocol = "tcp";    // tcp, udp
  std::string host_ip;             // "0.0.0.0", "::", or one address
  uint16_t host_port = 0;          // never 0: the engine has chosen
  uint32_t container_address = 0;  // IPv4, host byte order
  uint16_t container_port = 0;
};

// Outside of MonitorConfig, so that their default members are complete where std::optional asks.
struct ContainerPlan {
  oci::RuntimeSpec spec;
  runtime::RootSource root;
  std::string seccomp_filter;  // raw bytes; runtime::default_seccomp_filter() does not travel
  std::optional<sys::LinkPlan> link;
  std::optional<std::string> user;  // as in runtime::CreateOptions
  bool create_cwd = false;
};
struct ExecPlan {
  runtime::ExecOptions options;  // stdio is filled by the monitor
};

struct MonitorConfig {
  int version = kConfigVersion;
  std::string container_id;
  std::string run_dir;        // <run root>/containers/<id>, exists, 0700
  std::string log_path;       // json-file log; empty: log driver "none"
  uint64_t log_max_size = 0;  // bytes, 0: unlimited
  int log_max_files = 1;
  bool open_stdin = false;  // stdin is a pipe from clients; else /dev/null
  bool stdin_once = false;  // stdin closes when the first attached client goes
  std::vector<PublishedPort> ports;
  // Netlink messages for nftables, sent as they are when the container starts and after it ends.
  // Failures of the second are ignored (the rules may be gone with their namespace).
  std::string nft_on_start;
  std::string nft_on_stop;
  // Executed (argv, [0] an absolute path) after the end, unless an attached client settles.
  std::vector<std::string> settle_command;
  bool trace = false;
  // The program is executed as soon as it can be once the permit of monitor/permit.h is there, and
  // Start only hears of it.
  bool starts_at_once = false;
  // The program is killed when the last client's connection closes: a build's step.
  bool ends_with_clients = false;

  // Exactly one of the two.
  using ContainerPlan = monitor::ContainerPlan;
  using ExecPlan = monitor::ExecPlan;
  std::optional<ContainerPlan> container;
  std::optional<ExecPlan> exec;
};

std::string to_bytes(const MonitorConfig& config);
Result<MonitorConfig> parse_monitor_config(std::string_view bytes);

}  // namespace wherry::monitor
