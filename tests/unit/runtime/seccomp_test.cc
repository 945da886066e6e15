// The verdicts of the compiled filters, through a small interpreter of classic BPF, and once in the
// kernel.
#include "runtime/seccomp.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "bpf_verdict.h"
#include "runtime/seccomp_compile.h"
#include "runtime/seccomp_compose.h"

namespace wherry::runtime {
namespace {

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;

struct Arch {
  const char* name;
  uint32_t audit;
  uint32_t library;
};
constexpr Arch kX64{"x86_64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64};
constexpr Arch kX86{"i386", AUDIT_ARCH_I386, SCMP_ARCH_X86};
constexpr Arch kX32{"x32", AUDIT_ARCH_X86_64, SCMP_ARCH_X32};
constexpr Arch kArm64{"arm64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64};
constexpr Arch kArm{"arm", AUDIT_ARCH_ARM, SCMP_ARCH_ARM};

uint32_t by_number(std::string_view filter, const Arch& arch, int number, uint64_t argument = 0) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch.audit;
  data.args[0] = argument;
  return verdict(filter, data);
}

// nullopt: the machine has no such call.
std::optional<uint32_t> by_name(std::string_view filter, const Arch& arch, const char* name,
                                uint64_t argument = 0) {
  const int number = seccomp_syscall_resolve_name_arch(arch.library, name);
  if (number < 0) return std::nullopt;
  return by_number(filter, arch, number, argument);
}

std::string compiled(Machine machine, std::set<std::string, std::less<>> more = {}) {
  const auto names = default_capabilities();
  more.insert(names.begin(), names.end());
  auto filter = compile_profile(machine, more);
  if (!filter) throw std::runtime_error(filter.error().message());
  return std::move(*filter);
}

struct Expectation {
  const char* name;
  uint64_t argument;
  uint32_t verdict;
};

constexpr Expectation kTable[] = {
    {"read", 0, kAllow},
    {"execve", 0, kAllow},
    {"openat2", 0, kAllow},
    {"ptrace", 0, kAllow},
    {"landlock_create_ruleset", 0, kAllow},
    {"memfd_secret", 0, kAllow},
    {"cachestat", 0, kAllow},
    {"fchmodat2", 0, kAllow},
    {"pkey_alloc", 0, kAllow},
    {"chroot", 0, kAllow},  // CAP_SYS_CHROOT is among the 14
    {"socketcall", 0, kAllow},
    {"mount", 0, kEperm},
    {"umount2", 0, kEperm},
    {"pivot_root", 0, kEperm},
    {"unshare", 0, kEperm},
    {"unshare", 0x10000000, kEperm},
    {"setns", 0, kEperm},
    {"bpf", 0, kEperm},
    {"fsopen", 0, kEperm},
    {"open_tree", 0, kEperm},
    {"move_mount", 0, kEperm},
    {"mount_setattr", 0, kEperm},
    {"keyctl", 0, kEperm},
    {"add_key", 0, kEperm},
    {"request_key", 0, kEperm},
    {"userfaultfd", 0, kEperm},
    {"io_uring_setup", 0, kEperm},
    {"io_uring_enter", 0, kEperm},
    {"io_uring_register", 0, kEperm},
    {"kexec_load", 0, kEperm},
    {"kexec_file_load", 0, kEperm},
    {"swapon", 0, kEperm},
    {"uselib", 0, kEperm},
    {"init_module", 0, kEperm},
    {"reboot", 0, kEperm},
    {"settimeofday", 0, kEperm},
    {"clock_settime", 0, kEperm},
    {"open_by_handle_at", 0, kEperm},
    {"process_madvise", 0, kEperm},
    {"pidfd_getfd", 0, kEperm},
    {"perf_event_open", 0, kEperm},
    {"syslog", 0, kEperm},
    {"set_mempolicy", 0, kEperm},
    {"acct", 0, kEperm},
    {"sethostname", 0, kEperm},
    {"clone3", 0, kEnosys},
    {"clone", 0x01200011, kAllow},  // fork: CHILD_SETTID, CHILD_CLEARTID, SIGCHLD
    {"clone", 0x003d0f00, kAllow},  // a thread
    {"clone", 0x10000011, kEperm},  // NEWUSER
    {"clone", 0x00020011, kEperm},  // NEWNS
    {"clone", 0x02000011, kEperm},  // NEWCGROUP
    {"clone", 0x04000011, kEperm},  // NEWUTS
    {"clone", 0x08000011, kEperm},  // NEWIPC
    {"clone", 0x20000011, kEperm},  // NEWPID
    {"clone", 0x40000011, kEperm},  // NEWNET
    {"personality", 0, kAllow},
    {"personality", 8, kAllow},
    {"personality", 0x20000, kAllow},
    {"personality", 0x20008, kAllow},
    {"personality", 0xffffffff, kAllow},
    {"personality", 0x40000, kEperm},  // ADDR_NO_RANDOMIZE
    {"personality", 4, kEperm},
    {"socket", 1, kAllow},
    {"socket", 2, kAllow},
    {"socket", 10, kAllow},
    {"socket", 16, kAllow},
    {"socket", 37, kAllow},
    {"socket", 38, kEperm},  // ALG
    {"socket", 39, kAllow},
    {"socket", 40, kEperm},  // VSOCK
    {"socket", 41, kAllow},
};

void expect_table(std::string_view filter, const Arch& arch) {
  size_t seen = 0;
  for (const Expectation& row : kTable) {
    const auto answer = by_name(filter, arch, row.name, row.argument);
    if (!answer) continue;
    ++seen;
    EXPECT_EQ(*answer, row.verdict) << arch.name << " " << row.name << " " << row.argument;
  }
  // i386's socket has a pseudo number in libseccomp; see DirectSocketCallsOfI386.
  EXPECT_GE(seen, std::size(kTable) - 10) << arch.name;
}

TEST(Seccomp, VerdictsOnX86) {
  const std::string filter = compiled(Machine::kX86);
  for (const Arch& arch : {kX64, kX86, kX32}) expect_table(filter, arch);
  EXPECT_EQ(by_name(filter, kX64, "arch_prctl"), kAllow);
  EXPECT_EQ(by_name(filter, kX86, "modify_ldt"), kAllow);
  EXPECT_EQ(by_name(filter, kX86, "umount"), kEperm);
  EXPECT_EQ(by_name(filter, kX86, "vm86"), kEperm);
}

TEST(Seccomp, DirectSocketCallsOfI386) {
  const std::string filter = compiled(Machine::kX86);
  for (uint64_t family : {1, 2, 10, 16, 37, 39, 41}) {
    EXPECT_EQ(by_number(filter, kX86, 359, family), kAllow) << family;
  }
  for (uint64_t family : {38, 40}) {
    EXPECT_EQ(by_number(filter, kX86, 359, family), kEperm) << family;
  }
  for (int number = 360; number <= 373; ++number) {  // socketpair to shutdown
    EXPECT_EQ(by_number(filter, kX86, number), kAllow) << number;
  }
}

TEST(Seccomp, VerdictsOnArm) {
  const std::string filter = compiled(Machine::kArm);
  for (const Arch& arch : {kArm64, kArm}) expect_table(filter, arch);
  EXPECT_EQ(by_number(filter, kArm, 0xf0002), kAllow) << "cacheflush";
  EXPECT_EQ(by_number(filter, kArm, 0xf0005), kAllow) << "set_tls";
}

TEST(Seccomp, EveryNamedCallIsAllowedWhereItExists) {
  const std::string x86 = compiled(Machine::kX86);
  const std::string arm = compiled(Machine::kArm);
  for (std::string_view name : always_allowed_calls()) {
    for (const Arch& arch : {kX64, kX86, kX32, kArm64, kArm}) {
      const bool on_arm = arch.audit == AUDIT_ARCH_AARCH64 || arch.audit == AUDIT_ARCH_ARM;
      const auto answer = by_name(on_arm ? arm : x86, arch, std::string(name).c_str());
      if (answer) {
        EXPECT_EQ(*answer, kAllow) << arch.name << " " << name;
      }
    }
  }
}

TEST(Seccomp, WhatNoTableNamesIsRefused) {
  const std::string filter = compiled(Machine::kX86);
  std::set<std::string, std::less<>> named;
  for (std::string_view name : always_allowed_calls()) named.emplace(name);
  for (const auto& call : conditional_calls()) named.emplace(call.name);
  for (const auto& call : machine_calls()) named.emplace(call.name);
  for (const char* name : {"chroot", "clone3"}) named.emplace(name);
  for (const Arch& arch : {kX64, kX86}) {
    for (int number = 0; number < 457; ++number) {
      char* name = seccomp_syscall_resolve_num_arch(arch.library, number);
      const bool known = name != nullptr && named.contains(std::string_view(name));
      if (!known) {
        EXPECT_EQ(by_number(filter, arch, number), kEperm)
            << arch.name << " " << number << " " << (name ? name : "-");
      }
      ::free(name);
    }
  }
}

TEST(Seccomp, RecentCallsAreAnsweredByNumber) {
  const std::string x86 = compiled(Machine::kX86);
  const std::string arm = compiled(Machine::kArm);
  for (const RecentCall& call : recent_calls()) {
    const uint32_t expected = call.capability.empty() ? kAllow : kEperm;
    const int number = static_cast<int>(call.number);
    EXPECT_EQ(by_number(x86, kX64, number), expected) << call.name;
    EXPECT_EQ(by_number(x86, kX86, number), expected) << call.name;
    EXPECT_EQ(by_number(x86, kX32, number | 0x40000000), expected) << call.name;
    EXPECT_EQ(by_number(arm, kArm64, number), expected) << call.name;
    EXPECT_EQ(by_number(arm, kArm, number), expected) << call.name;
  }
}

TEST(Seccomp, CallsOfTheFutureDoNotExist) {
  const int newest = static_cast<int>(recent_calls().back().number);
  const std::string x86 = compiled(Machine::kX86);
  const std::string arm = compiled(Machine::kArm);
  for (int number : {newest + 1, 511, 1000, 9999, 0x3fffffff}) {
    EXPECT_EQ(by_number(x86, kX64, number), kEnosys) << number;
    EXPECT_EQ(by_number(x86, kX86, number), kEnosys) << number;
    EXPECT_EQ(by_number(arm, kArm64, number), kEnosys) << number;
  }
  for (int number : {newest + 1, 511, 548, 9999}) {
    EXPECT_EQ(by_number(x86, kX32, number | 0x40000000), kEnosys) << number;
  }
  EXPECT_EQ(by_number(arm, kArm, 9999), kEnosys);
  EXPECT_EQ(by_number(x86, kX64, -1), kEnosys);
}

TEST(Seccomp, ForeignMachinesAreKilled) {
  const std::string x86 = compiled(Machine::kX86);
  EXPECT_EQ(by_number(x86, kArm64, 63), kKill);
  EXPECT_EQ(by_number(compiled(Machine::kArm), kX64, 0), kKill);
  EXPECT_EQ(by_number(x86, {"none", 0, 0}, 0), kKill);
}

TEST(Seccomp, UpperHalvesOfArgumentsOpenNothing) {
  const std::string x86 = compiled(Machine::kX86);
  const std::string arm = compiled(Machine::kArm);
  constexpr uint64_t kHigh = 0x1'0000'0000;
  for (uint64_t family : {38u, 40u}) {
    EXPECT_EQ(by_name(x86, kX64, "socket", kHigh | family), kEperm);
    EXPECT_EQ(by_name(x86, kX32, "socket", kHigh | family), kEperm);
    EXPECT_EQ(by_name(arm, kArm64, "socket", kHigh | family), kEperm);
  }
  EXPECT_EQ(by_name(x86, kX64, "clone", kHigh | 0x10000011), kEperm);
  EXPECT_EQ(by_name(x86, kX64, "personality", kHigh | 0x40000), kEperm);
}

TEST(Seccomp, CapabilitiesOpenTheirCalls) {
  const std::string admin = compiled(Machine::kX86, {"CAP_SYS_ADMIN"});
  for (const char* name :
       {"mount", "unshare", "setns", "clone3", "bpf", "fsopen", "perf_event_open"}) {
    EXPECT_EQ(by_name(admin, kX64, name), kAllow) << name;
  }
  EXPECT_EQ(by_name(admin, kX64, "clone", 0x10000011), kAllow);
  EXPECT_EQ(by_number(admin, kX64, 467), kAllow) << "open_tree_attr";
  EXPECT_EQ(by_number(admin, kX64, 468), kEperm) << "file_getattr";
  EXPECT_EQ(by_name(admin, kX64, "init_module"), kEperm);
  for (const CapabilityCall& call : capability_calls()) {
    const std::string filter = compiled(Machine::kX86, {std::string(call.capability)});
    const auto answer = by_name(filter, kX64, std::string(call.name).c_str());
    if (answer) {
      EXPECT_EQ(*answer, kAllow) << call.name << " with " << call.capability;
    }
  }
  const auto none = compose_default_filter({});
  ASSERT_TRUE(none);
  if (native_machine() == Machine::kX86) {
    EXPECT_EQ(by_name(*none, kX64, "chroot"), kEperm);
  }
}

TEST(Seccomp, ThePrecompiledFilterIsTheComposedOne) {
  const auto names = default_capabilities();
  const auto composed = compose_default_filter({names.begin(), names.end()});
  ASSERT_TRUE(composed);
  EXPECT_EQ(default_seccomp_filter(), *composed);
  EXPECT_EQ(names.size(), 14u);
  EXPECT_EQ(compiled(native_machine()), compiled(native_machine()));
}

TEST(Seccomp, TheKernelTakesItAndAgrees) {
  const std::string_view filter = default_seccomp_filter();
  const pid_t child = ::fork();
  if (child == 0) {
    sock_fprog program{.len = static_cast<unsigned short>(filter.size() / sizeof(sock_filter)),
                       .filter = reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()))};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(2);
    if (::mount("x", "/", "tmpfs", 0, nullptr) == 0 || errno != EPERM) ::_exit(3);
    if (::syscall(SYS_clone3, nullptr, 0) == 0 || errno != ENOSYS) ::_exit(4);
    if (::syscall(9999) == 0 || errno != ENOSYS) ::_exit(5);
    if (::socket(38, SOCK_STREAM, 0) >= 0 || errno != EPERM) ::_exit(6);
    if (::socket(AF_UNIX, SOCK_STREAM, 0) < 0) ::_exit(7);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(0);
    if (grandchild < 0) ::_exit(8);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(WIFEXITED(status));
}

}  // namespace
}  // namespace wherry::runtime
