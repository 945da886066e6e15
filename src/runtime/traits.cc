#include "runtime/traits.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::runtime {
namespace {

struct Name {
  std::string_view name;
  uint64_t value;
};

constexpr uint64_t kSchedIso = 4;  // reserved by the kernel, never implemented
constexpr Name kPolicies[] = {{"SCHED_OTHER", SCHED_OTHER}, {"SCHED_FIFO", SCHED_FIFO},
                              {"SCHED_RR", SCHED_RR},       {"SCHED_BATCH", SCHED_BATCH},
                              {"SCHED_ISO", kSchedIso},     {"SCHED_IDLE", SCHED_IDLE},
                              {"SCHED_DEADLINE", 6}};
constexpr Name kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
constexpr Name kIoClasses[] = {{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
                               {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
                               {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE}};
constexpr Name kMemoryModes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT}, {"MPOL_PREFERRED", MPOL_PREFERRED},
    {"MPOL_BIND", MPOL_BIND},       {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
    {"MPOL_LOCAL", MPOL_LOCAL},     {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr Name kMemoryFlags[] = {{"MPOL_F_STATIC_NODES", 1u << 15},
                                 {"MPOL_F_RELATIVE_NODES", 1u << 14},
                                 {"MPOL_F_NUMA_BALANCING", 1u << 13}};
constexpr uint64_t kMaxBit = 8191;
constexpr size_t kWordBits = 64;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

template <size_t N>
Result<uint64_t> value_of(const Name (&table)[N], std::string_view name, const char* what) {
  const auto* known = std::ranges::find(table, name, &Name::name);
  if (known == std::end(table))
    return invalid("unknown " + std::string(what) + " '" + std::string(name) + "'");
  return known->value;
}

template <size_t N>
Result<uint64_t> bits_of(const Name (&table)[N], const std::vector<std::string>& names,
                         const char* what) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    TRY(const uint64_t bit, value_of(table, name, what));
    bits |= bit;
  }
  return bits;
}

Result<SchedulerAttributes> plan_scheduler(const oci::Scheduler& wanted) {
  SchedulerAttributes attributes;
  TRY(const uint64_t policy, value_of(kPolicies, wanted.policy, "scheduling policy"));
  attributes.policy = static_cast<uint32_t>(policy);
  TRY(attributes.flags, bits_of(kSchedulerFlags, wanted.flags, "scheduling flag"));
  attributes.nice = wanted.nice;
  if (wanted.priority < 0) return invalid("a scheduling priority cannot be below 0");
  attributes.priority = static_cast<uint32_t>(wanted.priority);
  attributes.runtime = wanted.runtime;
  attributes.deadline = wanted.deadline;
  attributes.period = wanted.period;
  return attributes;
}

Result<int> plan_io_priority(const oci::IoPriority& wanted) {
  TRY(const uint64_t io_class, value_of(kIoClasses, wanted.io_class, "I/O priority class"));
  if (wanted.priority < 0 || wanted.priority > 7)
    return invalid("the I/O priority " + std::to_string(wanted.priority) + " is not in 0 to 7");
  return static_cast<int>(IOPRIO_PRIO_VALUE(io_class, wanted.priority));
}

Result<void> write_label(int proc, const char* file, const std::string& text,
                         const std::string& context) {
  TRY_CTX(const sys::Fd attribute, sys::open_at(proc, file, O_WRONLY | O_NOFOLLOW), context);
  TRY_VOID_CTX(sys::write_all(attribute.get(), text), context);
  return {};
}

}  // namespace

Result<std::vector<uint64_t>> parse_bit_list(const std::string& list) {
  std::vector<uint64_t> bits;
  for (std::string_view range : split(list, ',')) {
    const auto [first_text, last_text] = split_once(trim(range), '-');
    const auto first = parse_u64(first_text);
    const auto last = last_text ? parse_u64(*last_text) : first;
    if (!first || !last || *first > *last || *last > kMaxBit)
      return invalid("'" + list + "' is not a list of numbers like 0-3,7");
    bits.resize(std::max(bits.size(), *last / kWordBits + 1));
    for (uint64_t i = *first; i <= *last; ++i) bits[i / kWordBits] |= uint64_t{1} << i % kWordBits;
  }
  return bits;
}

Result<TraitsPlan> plan_traits(const oci::Process& process) {
  TraitsPlan plan;
  if (process.scheduler) {
    TRY(plan.scheduler, plan_scheduler(*process.scheduler));
  }
  if (process.io_priority) {
    TRY(plan.io_priority, plan_io_priority(*process.io_priority));
  }
  if (process.exec_cpu_affinity && !process.exec_cpu_affinity->initial.empty()) {
    TRY_CTX(plan.initial_cpus, parse_bit_list(process.exec_cpu_affinity->initial),
            "process.execCPUAffinity.initial");
  }
  if (process.exec_cpu_affinity && !process.exec_cpu_affinity->final_cpus.empty()) {
    TRY_CTX(plan.final_cpus, parse_bit_list(process.exec_cpu_affinity->final_cpus),
            "process.execCPUAffinity.final");
  }
  plan.apparmor_profile = process.apparmor_profile;
  plan.selinux_label = process.selinux_label;
  return plan;
}

Result<std::optional<unsigned long>> plan_personality(
    const std::optional<oci::Personality>& personality) {
  if (!personality) return std::nullopt;
  if (!personality->flags.empty())
    return Error(ErrorKind::kUnsupported,
                 "'linux.personality.flags' is not supported: the "
                 "specification defines no flag");
  if (personality->domain == "LINUX") return static_cast<unsigned long>(PER_LINUX);
  if (personality->domain == "LINUX32") return static_cast<unsigned long>(PER_LINUX32);
  return invalid("unknown personality '" + personality->domain + "'");
}

Result<std::optional<TraitsPlan::MemoryPolicy>> plan_memory_policy(
    const std::optional<oci::MemoryPolicy>& policy) {
  if (!policy) return std::nullopt;
  TraitsPlan::MemoryPolicy plan;
  TRY(const uint64_t mode, value_of(kMemoryModes, policy->mode, "memory policy"));
  TRY(const uint64_t flags, bits_of(kMemoryFlags, policy->flags, "memory policy flag"));
  plan.mode = static_cast<int>(mode | flags);
  if (!policy->nodes.empty()) {
    TRY_CTX(plan.nodes, parse_bit_list(policy->nodes), "linux.memoryPolicy.nodes");
  }
  return plan;
}

Result<void> check_labels(const std::string& apparmor_profile, const std::string& selinux_label) {
  if (!apparmor_profile.empty() && apparmor_profile != "unconfined") {
    const Result<std::string> enabled =
        sys::read_file("/sys/module/apparmor/parameters/enabled", 16);
    if (!enabled || !enabled->starts_with('Y'))
      return Error(ErrorKind::kUnsupported, "cannot apply the AppArmor profile '" +
                                                apparmor_profile + "': this host has no AppArmor")
          .set_hint("leave process.apparmorProfile out");
  }
  if (!selinux_label.empty() && access("/sys/fs/selinux/enforce", F_OK) != 0)
    return Error(ErrorKind::kUnsupported,
                 "cannot apply the SELinux label '" + selinux_label + "': this host has no SELinux")
        .set_hint("leave process.selinuxLabel and linux.mountLabel out");
  return {};
}

Result<void> set_processors(const std::vector<uint64_t>& cpus) {
  if (cpus.empty()) return {};
  if (syscall(SYS_sched_setaffinity, 0, cpus.size() * sizeof(uint64_t), cpus.data()) == 0)
    return {};
  return Error::from_errno(errno, "cannot set the processors of the process");
}

Result<void> apply_traits(const TraitsPlan& plan) {
  if (plan.scheduler && syscall(SYS_sched_setattr, 0, &*plan.scheduler, 0) != 0)
    return Error::from_errno(errno, "cannot set the scheduler");
  if (plan.io_priority && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, *plan.io_priority) != 0)
    return Error::from_errno(errno, "cannot set the I/O priority");
  if (plan.personality && personality(*plan.personality) < 0)
    return Error::from_errno(errno, "cannot set the personality");
  if (plan.memory_policy &&
      syscall(SYS_set_mempolicy, plan.memory_policy->mode, plan.memory_policy->nodes.data(),
              plan.memory_policy->nodes.size() * kWordBits + 1) != 0)
    return Error::from_errno(errno, "cannot set the memory policy");
  return {};
}

Result<void> label_next_exec(int proc, const TraitsPlan& plan) {
  if (!plan.apparmor_profile.empty() && plan.apparmor_profile != "unconfined") {
    const std::string context = "cannot apply the AppArmor profile '" + plan.apparmor_profile + "'";
    const std::string text = "exec " + plan.apparmor_profile;
    // Kernels before 5.8 have only the file that the modules share.
    const Result<void> done = write_label(proc, "self/attr/apparmor/exec", text, context);
    if (!done && done.error().errnum() != ENOENT) return Error(done.error());
    if (!done) TRY_VOID(write_label(proc, "self/attr/exec", text, context));
  }
  if (plan.selinux_label.empty()) return {};
  return write_label(proc, "self/attr/exec", plan.selinux_label,
                     "cannot apply the SELinux label '" + plan.selinux_label + "'");
}

Result<void> label_next_keys(int proc, const TraitsPlan& plan) {
  return write_label(proc, "self/attr/keycreate", plan.selinux_label,
                     "cannot apply the SELinux label '" + plan.selinux_label + "' to keys");
}

}  // namespace wherry::runtime
