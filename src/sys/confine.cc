#include "sys/confine.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#ifdef WHERRY_SANITIZED
// The leak checker stops its process with ptrace at the end, which a confined one may not, and
// fails it.
extern "C" const char* __asan_default_options() {
  return "detect_leaks=0";
}
#endif

namespace wherry::sys {
namespace {

// Lowers both limits; what is lower already stays.
Result<void> lower_limit(__rlimit_resource resource, uint64_t value, const char* what) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return Error::from_errno(errno, what);
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(resource, &limit) != 0) return Error::from_errno(errno, what);
  return {};
}

}  // namespace

Result<void> limit_process(uint64_t address_space, uint64_t files) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return Error::from_errno(errno, "cannot tie the process to its parent");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot renounce new privileges");
  TRY_VOID(lower_limit(RLIMIT_CORE, 0, "cannot forbid core dumps"));
  TRY_VOID(lower_limit(RLIMIT_NOFILE, files, "cannot limit open files"));
#ifndef WHERRY_SANITIZED
  if (address_space != 0) TRY_VOID(lower_limit(RLIMIT_AS, address_space, "cannot limit memory"));
#else
  static_cast<void>(address_space);  // AddressSanitizer's shadow is larger than any bound of ours
#endif
  return {};
}

Result<void> drop_capabilities(std::span<const int> keep) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  uint64_t kept = 0;
  for (int capability : keep) kept |= uint64_t{1} << capability;
  for (int capability = 0; capability < 64; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;  // behind the last one this kernel has
    if (held == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
      return Error::from_errno(errno, "cannot drop a capability from the bounding set");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0)
    return Error::from_errno(errno, "cannot read capabilities");
  for (int word = 0; word < 2; ++word) {
    data[word].permitted &= static_cast<uint32_t>(kept >> (32 * word));
    data[word].effective = data[word].permitted;
    data[word].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0)
    return Error::from_errno(errno, "cannot drop capabilities");
  return {};
}

Result<void> allow_only(std::span<const std::string_view> names) {
#ifndef WHERRY_SANITIZED
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(SCMP_ACT_KILL_PROCESS),
                                                          &seccomp_release);
  if (!filter || seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0)
    return Error(ErrorKind::kResourceExhausted, "cannot make a seccomp filter");
  for (std::string_view name : names) {
    int number = seccomp_syscall_resolve_name(std::string(name).c_str());
    if (number == __NR_SCMP_ERROR || number < 0) continue;
    int code = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    if (code != 0)
      return Error::from_errno(-code, "cannot allow system call '" + std::string(name) + "'");
  }
  int code = seccomp_load(filter.get());
  if (code != 0) return Error::from_errno(-code, "cannot load the seccomp filter");
#else
  static_cast<void>(names);
#endif
  return {};
}

}  // namespace wherry::sys
