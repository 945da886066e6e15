// Everything that can be known about a container before anything is made: the specification turned
// into numbers, flags and steps. Pure; what cannot be honoured is refused here by name.
#pragma once

#include <sched.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/container.h"
#include "runtime/credentials.h"
#include "runtime/devices.h"
#include "runtime/mount_plan.h"
#include "runtime/traits.h"

namespace wherry::runtime {

struct JoinedNamespace {
  int type = 0;  // one CLONE_NEW* bit
  std::string path;
};

struct NamespacePlan {
  uint64_t fresh = 0;  // CLONE_NEW* bits
  std::vector<JoinedNamespace> joined;

  bool is_fresh(uint64_t type) const { return (fresh & type) != 0; }
  bool has(uint64_t type) const;  // fresh or joined: not the caller's
};

// One process of a container: its init, or one that joins later. Borrows from what it was planned
// from.
struct ProcessPlan {
  const oci::Process* process = nullptr;
  CapabilitySets capabilities;
  Warnings warnings;
  std::vector<LimitPlan> limits;
  std::vector<std::string> environment;  // each name once
  std::string cwd;
  bool create_cwd = false;
  std::optional<std::string> user;
  Stdio stdio;
  std::string_view seccomp_filter;
  BundlePart bundle;
  TraitsPlan traits;
  // In a user namespace that is not the creator's the process may not raise its own limits: its
  // parent has done so.
  bool limits_by_parent = false;
  const std::vector<oci::Hook>* start_hooks = nullptr;  // startContainer; null: none

  // Whether the last confinement comes after the start: what is done until then needs calls that a
  // filter may forbid.
  bool confined_late() const {
    return bundle.start_socket >= 0 || start_hooks != nullptr || bundle.seccomp_listener;
  }
};

struct CreatePlan {
  NamespacePlan namespaces;
  std::vector<MountStep> mounts;
  std::vector<DeviceNode> devices;
  bool host_dev = false;  // /dev is a bind of the user's: nothing is made in it
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::vector<std::pair<std::string, std::string>> sysctls;  // path below /proc/sys -> value
  uint64_t root_propagation = 0;
  std::vector<std::pair<std::string, std::string>> net_devices;  // here -> in the container
  ProcessPlan process;
};

// Each name once, where it came first and with the value that came last: what a program's getenv
// finds must not depend on which of two its library takes.
std::vector<std::string> unique_environment(const std::vector<std::string>& environment);
Result<ProcessPlan> plan_process(const oci::Process& process, const std::string& seccomp_filter);
Result<NamespacePlan> plan_namespaces(const std::vector<oci::Namespace>& namespaces);
// "net.ipv4.ip_forward" -> "net/ipv4/ip_forward", only for what belongs to the container's own
// namespaces.
Result<std::string> plan_sysctl(const std::string& key, const NamespacePlan& namespaces);
Result<CreatePlan> plan_create(const CreateOptions& options);

}  // namespace wherry::runtime
