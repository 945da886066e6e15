// What a container's process may do: capabilities, ids, limits, out-of-memory score, seccomp
// filter.
//
// First pure plans from names to numbers, made by the parent (an unknown name is an error before
// anything exists), then the steps of the stage before execve, in the order of this file. What this
// host cannot grant (a capability outside our own bounding set, a limit above our own) is clamped
// with a warning. Sources: capabilities(7), prlimit(2), credentials(7), seccomp(2).
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "sys/fd.h"

namespace wherry::runtime {

struct CapabilitySets {  // bit n: capability n
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
  uint64_t ambient = 0;
};

struct LimitPlan {
  int resource = 0;
  std::string name;
  rlim_t soft = 0;
  rlim_t hard = 0;
};

using Warnings = std::vector<std::string>;

// "CAP_CHOWN" -> 0; nullopt when unknown.
std::optional<int> capability_number(std::string_view name);
// A name that is not known is left out, with a warning, as the specification demands.
CapabilitySets plan_capabilities(const oci::Capabilities& names, Warnings& warnings);
Result<std::vector<LimitPlan>> plan_limits(const std::vector<oci::Rlimit>& limits);

// Of the process `pid`, 0: the caller's. Needs our privileges: before the ids change.
Result<void> set_limits(pid_t pid, const std::vector<LimitPlan>& limits, Warnings& warnings);
// `proc`: a directory fd of a procfs of the caller's pid namespace; `process`: "self" or a pid.
Result<void> set_oom_score(int proc, const std::string& process, int score, Warnings& warnings);

// Takes out what our own bounding set lacks, with one warning.
Result<void> clamp_capabilities(CapabilitySets& sets, Warnings& warnings);

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
};
// Drops the bounding set to what is wanted and changes the ids; permitted capabilities survive, so
// that the seccomp filter can still be loaded. Then drop_to() makes them exactly what is wanted.
Result<void> switch_identity(const Identity& identity, uint64_t bounding);
// Effective, permitted and inheritable as given; ambient only in the last call, when everything
// else is done. `keep`: more effective capabilities until the next call.
Result<void> set_capabilities(const CapabilitySets& sets, uint64_t keep);
Result<void> raise_ambient(uint64_t ambient);

Result<void> forbid_new_privileges();
// Bytes of struct sock_filter[]. Without no_new_privs it needs CAP_SYS_ADMIN. `flags`:
// SECCOMP_FILTER_FLAG_ bits. `listen`: the filter notifies, its listener is returned; else empty.
Result<sys::Fd> load_seccomp_filter(std::string_view filter, uint32_t flags, bool listen);

}  // namespace wherry::runtime
