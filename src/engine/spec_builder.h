// From a container record and what the host offers to the runtime's configuration: Docker's default
// container, or the deviations that the record asks for. Pure: all facts of the host come in
// HostFacts.
//
// Source: reference runtime.md 5 (capabilities, mounts in order, masked and read-only paths,
// devices, sysctls, environment). Not here: the root file system, the network link and seccomp,
// which travel beside the specification (monitor/config.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/record.h"
#include "oci/runtime_spec.h"

namespace wherry::engine {

// What the kernel and the host are like. Gathered by host_facts.h.
struct HostFacts {
  bool cgroup_v2 = false;
  int cpus = 1;
  std::string hostname;
  std::vector<int> throttled_cpus;            // with a thermal_throttle directory in sysfs
  std::vector<std::string> all_capabilities;  // that we may hand out; only for ALL and privileged
  std::vector<oci::Device> devices;           // of the host's /dev; only for privileged
};
// Whether all_capabilities and devices must be gathered.
bool needs_all_capabilities(const HostConfig& config);

struct SpecInput {
  const ContainerRecord* record = nullptr;
  const HostFacts* host = nullptr;
  std::string cgroups_path;
  std::string run_dir;  // holds hosts, hostname, resolv.conf
  uint16_t rows = 0, columns = 0;
  std::string network_namespace;  // path of the one to join; empty: as the network mode says
};
Result<oci::RuntimeSpec> build_spec(const SpecInput& input);

// The bounding set by Docker's rules for --cap-add, --cap-drop (ALL included) and --privileged. An
// unknown name is kInvalidArgument.
Result<std::vector<std::string>> container_capabilities(const HostConfig& config,
                                                        const std::vector<std::string>& all);
// Docker's 14.
const std::vector<std::string>& default_capabilities();
// Names by number, "CAP_CHOWN" first.
const std::vector<std::string>& capability_names();

// Limits as Docker checks them at create; warnings do not exist for these.
Result<void> check_limits(const HostConfig& config, int cpus);

// The environment of the container's processes: PATH, HOSTNAME, TERM with a terminal, then the
// record's.
std::vector<std::string> process_environment(const ContainerRecord& record,
                                             const std::string& hostname, bool tty);
// The hostname inside: the record's, or the host's with the host's network.
std::string container_hostname(const ContainerRecord& record, const HostFacts& host);

}  // namespace wherry::engine
