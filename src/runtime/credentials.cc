#include "runtime/credentials.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/text.h"
#include "base/weaken.h"
#include "sys/capability_names.h"
#include "sys/fd.h"

namespace wherry::runtime {
namespace {

struct LimitName {
  std::string_view name;
  int resource;
};
constexpr LimitName kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

uint64_t capability_bits(const std::vector<std::string>& names, std::set<std::string>& unknown) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    if (std::optional<int> number = capability_number(name)) {
      bits |= uint64_t{1} << *number;
    } else {
      unknown.insert(name);
    }
  }
  return bits;
}

// Our own bounding set; a number above the kernel's last is not in it.
uint64_t own_bounding_set() {
  uint64_t bits = 0;
  for (size_t number = 0; number < std::size(sys::kCapabilityNames); ++number)
    if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) bits |= uint64_t{1} << number;
  return bits;
}

std::string describe(rlim_t value) {
  return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

std::string capability_list(uint64_t set) {
  std::string names;
  for (size_t number = 0; number < std::size(sys::kCapabilityNames); ++number)
    if ((set >> number & 1) != 0)
      names.append(names.empty() ? "" : ", ").append(sys::kCapabilityNames[number]);
  return names;
}

}  // namespace

std::optional<int> capability_number(std::string_view name) {
  auto found = std::ranges::find(sys::kCapabilityNames, name);
  if (found == std::end(sys::kCapabilityNames)) return std::nullopt;
  return static_cast<int>(found - std::begin(sys::kCapabilityNames));
}

CapabilitySets plan_capabilities(const oci::Capabilities& names, Warnings& warnings) {
  CapabilitySets sets;
  std::set<std::string> unknown;
  sets.bounding = capability_bits(names.bounding, unknown);
  sets.effective = capability_bits(names.effective, unknown);
  sets.permitted = capability_bits(names.permitted, unknown);
  sets.inheritable = capability_bits(names.inheritable, unknown);
  sets.ambient = capability_bits(names.ambient, unknown);
  for (const std::string& name : unknown)
    warnings.push_back("ignoring unknown or unavailable capability '" + name + "'");
  return sets;
}

Result<std::vector<LimitPlan>> plan_limits(const std::vector<oci::Rlimit>& limits) {
  std::vector<LimitPlan> plans;
  for (const oci::Rlimit& limit : limits) {
    auto known = std::ranges::find(kLimits, limit.type, &LimitName::name);
    if (known == std::end(kLimits))
      return Error(ErrorKind::kInvalidArgument, "unknown limit '" + limit.type + "'");
    if (limit.soft > limit.hard)
      return Error(ErrorKind::kInvalidArgument,
                   "the soft limit of '" + limit.type + "' (" + describe(limit.soft) +
                       ") is above its hard limit (" + describe(limit.hard) + ")");
    if (std::ranges::find(plans, known->resource, &LimitPlan::resource) != plans.end())
      return Error(ErrorKind::kInvalidArgument, "the limit '" + limit.type + "' is given twice");
    plans.push_back({known->resource, limit.type, limit.soft, limit.hard});
  }
  return plans;
}

Result<void> set_limits(pid_t pid, const std::vector<LimitPlan>& limits, Warnings& warnings) {
  for (const LimitPlan& plan : limits) {
    rlimit wanted{plan.soft, plan.hard};
    const auto resource = static_cast<__rlimit_resource>(plan.resource);
    if (prlimit(pid, resource, &wanted, nullptr) == 0) continue;
    rlimit current{};
    if (errno != EPERM || prlimit(pid, resource, nullptr, &current) != 0)
      return Error::from_errno(errno, "cannot set '" + plan.name + "'");
    wanted.rlim_max = std::min(plan.hard, current.rlim_max);
    wanted.rlim_cur = std::min(plan.soft, wanted.rlim_max);
    if (prlimit(pid, resource, &wanted, nullptr) != 0)
      return Error::from_errno(errno, "cannot set '" + plan.name + "'");
    warnings.push_back("cannot raise " + plan.name + " to " + describe(plan.hard) + "; using " +
                       describe(wanted.rlim_max));
  }
  return {};
}

Result<void> set_oom_score(int proc, const std::string& process, int score, Warnings& warnings) {
  TRY_CTX(sys::Fd file, sys::open_at(proc, process + "/oom_score_adj", O_RDWR),
          "cannot set the out-of-memory score");
  Result<void> written = sys::write_all(file.get(), std::to_string(score));
  if (written) return {};
  if (written.error().errnum() != EACCES && written.error().errnum() != EPERM)
    return fail(std::move(written),
                "cannot set the out-of-memory score to '" + std::to_string(score) + "'");
  TRY(std::string current, sys::read_all(file.get(), 64));
  warnings.push_back("cannot lower the out-of-memory score to " + std::to_string(score) +
                     "; using " + std::string(trim(current)));
  return {};
}

Result<void> clamp_capabilities(CapabilitySets& sets, Warnings& warnings) {
  uint64_t ours = own_bounding_set();
  uint64_t wanted =
      sets.bounding | sets.effective | sets.permitted | sets.inheritable | sets.ambient;
  if (uint64_t missing = wanted & ~ours; missing != 0)
    warnings.push_back("cannot grant " + capability_list(missing) + ": not ours to give");
  for (uint64_t* set :
       {&sets.bounding, &sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient})
    *set &= ours;
  // What the kernel demands of ambient capabilities. Engines ask for them beside an empty
  // inheritable set; runc grants what is left as well.
  if (uint64_t unfit = sets.ambient & ~(sets.permitted & sets.inheritable); unfit != 0) {
    warnings.push_back("cannot make " + capability_list(unfit) +
                       " ambient: not permitted and inheritable");
    sets.ambient &= ~unfit;
  }
  return {};
}

Result<void> switch_identity(const Identity& identity, uint64_t bounding) {
  uint64_t unwanted = own_bounding_set() & ~bounding;
  for (size_t number = 0; number < std::size(sys::kCapabilityNames); ++number)
    if ((unwanted >> number & 1) != 0 && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
      return Error::from_errno(errno,
                               "cannot drop '" + std::string(sys::kCapabilityNames[number]) + "'");
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot keep capabilities over the change of user");
  if (!weakened(Defence::kGroups) && setgroups(identity.groups.size(), identity.groups.data()) != 0)
    return Error::from_errno(errno, "cannot set the supplementary groups");
  if (setresgid(identity.gid, identity.gid, identity.gid) != 0)
    return Error::from_errno(errno, "cannot become group '" + std::to_string(identity.gid) + "'");
  if (setresuid(identity.uid, identity.uid, identity.uid) != 0)
    return Error::from_errno(errno, "cannot become user '" + std::to_string(identity.uid) + "'");
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot stop keeping capabilities");
  return {};
}

Result<void> set_capabilities(const CapabilitySets& sets, uint64_t keep) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    auto word = [&](uint64_t bits) { return static_cast<uint32_t>(bits >> (32 * half)); };
    data[half].effective = word(sets.effective | keep);
    data[half].permitted = word(sets.permitted | keep);
    data[half].inheritable =
        word(weakened(Defence::kInheritable) ? sets.bounding : sets.inheritable);
  }
  if (syscall(SYS_capset, &header, data) == 0) return {};
  return Error::from_errno(errno, "cannot set capabilities");
}

Result<void> raise_ambient(uint64_t ambient) {
  for (size_t number = 0; number < std::size(sys::kCapabilityNames); ++number)
    if ((ambient >> number & 1) != 0 &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
      return Error::from_errno(
          errno, "cannot make '" + std::string(sys::kCapabilityNames[number]) + "' ambient");
  return {};
}

Result<void> forbid_new_privileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return Error::from_errno(errno, "cannot set no_new_privs");
}

Result<sys::Fd> load_seccomp_filter(std::string_view filter, uint32_t flags, bool listen) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.size() / sizeof(sock_filter));
  program.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()));
  if (listen) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  long done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (done < 0) return Error::from_errno(errno, "cannot load the seccomp filter");
  return listen ? sys::Fd(static_cast<int>(done)) : sys::Fd();
}

}  // namespace wherry::runtime
