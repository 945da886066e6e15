// What a process is besides its ids and limits: scheduling, I/O priority, processors, memory nodes,
// execution domain and the labels of security modules. Names become numbers in a pure plan made by
// the parent; the steps run in the stage before execve, with full privileges.
// Sources: sched_setattr(2), ioprio_set(2), set_mempolicy(2), personality(2), OCI runtime-spec 1.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"

namespace wherry::runtime {

// The kernel's struct sched_attr, whose header cannot stand beside <sched.h>.
struct SchedulerAttributes {
  uint32_t size = sizeof(SchedulerAttributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0, deadline = 0, period = 0;
};

struct TraitsPlan {
  std::optional<SchedulerAttributes> scheduler;
  std::optional<int> io_priority;
  // Bits of processors, 64 a word; empty: unchanged. Before and after joining the cgroup.
  std::vector<uint64_t> initial_cpus, final_cpus;
  std::optional<unsigned long> personality;
  struct MemoryPolicy {
    int mode = 0;  // with flags
    std::vector<uint64_t> nodes;
  };
  std::optional<MemoryPolicy> memory_policy;
  std::string apparmor_profile, selinux_label;
};

// "0-3,7" as bits; kInvalidArgument above 8191.
Result<std::vector<uint64_t>> parse_bit_list(const std::string& list);

Result<TraitsPlan> plan_traits(const oci::Process& process);
// Of the container, for its init.
Result<std::optional<unsigned long>> plan_personality(
    const std::optional<oci::Personality>& personality);
Result<std::optional<TraitsPlan::MemoryPolicy>> plan_memory_policy(
    const std::optional<oci::MemoryPolicy>& policy);

// Whether the security module that a label is for is there; names it when it is not.
Result<void> check_labels(const std::string& apparmor_profile, const std::string& selinux_label);

Result<void> set_processors(const std::vector<uint64_t>& cpus);
// All but processors and labels.
Result<void> apply_traits(const TraitsPlan& plan);
// The labels that the next execve takes. `proc`: a directory fd of a private procfs.
Result<void> label_next_exec(int proc, const TraitsPlan& plan);
// The SELinux label, which there must be, of the keys that are made before it.
Result<void> label_next_keys(int proc, const TraitsPlan& plan);

}  // namespace wherry::runtime
