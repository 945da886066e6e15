// The seccomp section of a configuration, compiled: its verdicts, and what is refused by name.
#include "runtime/seccomp_spec.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "bpf_verdict.h"

namespace wherry::runtime {
namespace {

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

oci::Seccomp section(const std::string& action) {
  return {.default_action = action,
          .architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}};
}

std::string program(const oci::Seccomp& seccomp) {
  auto filter = compile_spec_filter(seccomp);
  EXPECT_TRUE(filter) << filter.error().message();
  return filter ? filter->program : "";
}

uint32_t ask(const std::string& filter, int number, uint64_t first = 0, uint64_t second = 0,
             uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  data.args[0] = first;
  data.args[1] = second;
  return verdict(filter, data);
}

int number_of(const char* name, uint32_t arch = SCMP_ARCH_X86_64) {
  return seccomp_syscall_resolve_name_arch(arch, name);
}

TEST(SeccompSpec, EveryActionBecomesItsVerdict) {
  struct Case {
    const char* action;
    std::optional<uint32_t> errno_ret;
    uint32_t verdict;
  };
  for (const Case& c : {Case{"SCMP_ACT_KILL", {}, SECCOMP_RET_KILL_THREAD},
                        {"SCMP_ACT_KILL_THREAD", {}, SECCOMP_RET_KILL_THREAD},
                        {"SCMP_ACT_KILL_PROCESS", {}, SECCOMP_RET_KILL_PROCESS},
                        {"SCMP_ACT_TRAP", {}, SECCOMP_RET_TRAP},
                        {"SCMP_ACT_ERRNO", {}, SECCOMP_RET_ERRNO | EPERM},
                        {"SCMP_ACT_ERRNO", 99, SECCOMP_RET_ERRNO | 99},
                        {"SCMP_ACT_TRACE", 7, SECCOMP_RET_TRACE | 7},
                        {"SCMP_ACT_LOG", {}, SECCOMP_RET_LOG},
                        {"SCMP_ACT_NOTIFY", {}, SECCOMP_RET_USER_NOTIF}}) {
    oci::Seccomp seccomp = section("SCMP_ACT_ALLOW");
    seccomp.syscalls = {{.names = {"mkdir"}, .action = c.action, .errno_ret = c.errno_ret}};
    const std::string filter = program(seccomp);
    EXPECT_EQ(ask(filter, number_of("mkdir")), c.verdict) << c.action;
    EXPECT_EQ(ask(filter, number_of("rmdir")), kAllow) << c.action;
    EXPECT_EQ(ask(filter, number_of("mkdir", SCMP_ARCH_X86), 0, 0, AUDIT_ARCH_I386), c.verdict);
    EXPECT_EQ(ask(filter, number_of("mkdir", SCMP_ARCH_X32)), c.verdict) << "x32";
  }
}

TEST(SeccompSpec, EveryOperatorComparesAllSixtyFourBits) {
  struct Case {
    const char* op;
    uint64_t value, two;
    uint64_t yes, no;
  };
  const uint64_t high = uint64_t{5} << 32;
  for (const Case& c : {Case{"SCMP_CMP_EQ", high, 0, high, high + 1},
                        {"SCMP_CMP_NE", high, 0, 1, high},
                        {"SCMP_CMP_LT", high, 0, high - 1, high},
                        {"SCMP_CMP_LE", high, 0, high, high + 1},
                        {"SCMP_CMP_GT", high, 0, high + 1, high},
                        {"SCMP_CMP_GE", high, 0, high, high - 1},
                        {"SCMP_CMP_MASKED_EQ", 0xff, 0x12, 0xab12, 0xab13}}) {
    oci::Seccomp seccomp = section("SCMP_ACT_ALLOW");
    seccomp.syscalls = {{.names = {"personality"},
                         .action = "SCMP_ACT_ERRNO",
                         .args = {{.index = 0, .value = c.value, .value_two = c.two, .op = c.op}}}};
    const std::string filter = program(seccomp);
    EXPECT_EQ(ask(filter, number_of("personality"), c.yes), SECCOMP_RET_ERRNO | EPERM) << c.op;
    EXPECT_EQ(ask(filter, number_of("personality"), c.no), kAllow) << c.op;
  }
}

TEST(SeccompSpec, ConditionsOnOneArgumentAreAlternativesAndOnSeveralBelongTogether) {
  oci::Seccomp seccomp = section("SCMP_ACT_ERRNO");
  seccomp.syscalls = {{.names = {"personality"},
                       .action = "SCMP_ACT_ALLOW",
                       .args = {{.index = 0, .value = 1, .op = "SCMP_CMP_EQ"},
                                {.index = 0, .value = 2, .op = "SCMP_CMP_EQ"}}},
                      {.names = {"socket"},
                       .action = "SCMP_ACT_ALLOW",
                       .args = {{.index = 0, .value = 1, .op = "SCMP_CMP_EQ"},
                                {.index = 1, .value = 2, .op = "SCMP_CMP_EQ"}}}};
  const std::string filter = program(seccomp);
  EXPECT_EQ(ask(filter, number_of("personality"), 1), kAllow);
  EXPECT_EQ(ask(filter, number_of("personality"), 2), kAllow);
  EXPECT_NE(ask(filter, number_of("personality"), 3), kAllow);
  EXPECT_EQ(ask(filter, number_of("socket"), 1, 2), kAllow);
  EXPECT_NE(ask(filter, number_of("socket"), 1, 3), kAllow);
}

TEST(SeccompSpec, CallsNewerThanTheProfileDoNotExist) {
  oci::Seccomp seccomp = section("SCMP_ACT_ERRNO");
  seccomp.syscalls = {{.names = {"read", "openat2"}, .action = "SCMP_ACT_ALLOW"}};
  const std::string filter = program(seccomp);
  EXPECT_EQ(ask(filter, number_of("openat2")), kAllow);
  EXPECT_EQ(ask(filter, number_of("openat2") + 1), kEnosys);
  EXPECT_EQ(ask(filter, 9999), kEnosys);
  EXPECT_EQ(ask(filter, 0x40000000 | 9999), kEnosys) << "x32";
  EXPECT_EQ(ask(filter, 9999, 0, 0, AUDIT_ARCH_I386), kEnosys);
  EXPECT_EQ(ask(filter, number_of("mkdir")), SECCOMP_RET_ERRNO | EPERM) << "older: as it says";
  seccomp.default_errno_ret = ENOSYS;
  EXPECT_EQ(ask(program(seccomp), number_of("mkdir")), kEnosys);
  seccomp.default_errno_ret.reset();
  seccomp.default_action = "SCMP_ACT_LOG";
  EXPECT_EQ(ask(program(seccomp), 9999), SECCOMP_RET_LOG) << "what lets through lets all through";
}

TEST(SeccompSpec, CallsThatTheLibraryHasNoNameForAreMatchedByNumber) {
  oci::Seccomp seccomp = section("SCMP_ACT_ERRNO");
  seccomp.syscalls = {{.names = {"read", "statmount", "mseal"}, .action = "SCMP_ACT_ALLOW"},
                      {.names = {"listmount"}, .action = "SCMP_ACT_KILL_PROCESS"}};
  const std::string filter = program(seccomp);
  EXPECT_EQ(ask(filter, 457), kAllow);
  EXPECT_EQ(ask(filter, 0x40000000 | 457), kAllow) << "x32";
  EXPECT_EQ(ask(filter, 457, 0, 0, AUDIT_ARCH_I386), kAllow);
  EXPECT_EQ(ask(filter, 458), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(ask(filter, 459), SECCOMP_RET_ERRNO | EPERM) << "older than mseal, and not named";
  EXPECT_EQ(ask(filter, 462), kAllow);
  EXPECT_EQ(ask(filter, 463), kEnosys);
}

TEST(SeccompSpec, RefusesByNameWhatItDoesNotKnow) {
  auto refusal = [](auto change) {
    oci::Seccomp seccomp = section("SCMP_ACT_ALLOW");
    seccomp.syscalls = {{.names = {"mkdir"}, .action = "SCMP_ACT_ERRNO"}};
    change(seccomp);
    auto filter = compile_spec_filter(seccomp);
    return filter ? std::string() : filter.error().message();
  };
  const std::string context = "invalid seccomp section: ";
  EXPECT_EQ(refusal([](auto& s) { s.default_action = "SCMP_ACT_JUMP"; }),
            context + "unknown action 'SCMP_ACT_JUMP'");
  EXPECT_EQ(refusal([](auto& s) { s.default_action = "SCMP_ACT_NOTIFY"; }),
            context + "SCMP_ACT_NOTIFY cannot be the default action");
  EXPECT_EQ(refusal([](auto& s) { s.architectures = {"SCMP_ARCH_Z80"}; }),
            context + "unknown architecture 'SCMP_ARCH_Z80'");
  EXPECT_EQ(refusal([](auto& s) { s.flags = {"SECCOMP_FILTER_FLAG_FAST"}; }),
            context + "unknown flag 'SECCOMP_FILTER_FLAG_FAST'");
  EXPECT_EQ(refusal([](auto& s) { s.syscalls[0].args = {{.index = 0, .op = "SCMP_CMP_IS"}}; }),
            context + "unknown operator 'SCMP_CMP_IS'");
  EXPECT_EQ(refusal([](auto& s) { s.syscalls[0].args = {{.index = 6, .op = "SCMP_CMP_EQ"}}; }),
            context + "system calls have no argument 6");
  EXPECT_EQ(refusal([](auto& s) {
              s.syscalls[0].action = "SCMP_ACT_ALLOW";
              s.syscalls[0].errno_ret = 1;
            }),
            context + "the action 'SCMP_ACT_ALLOW' takes no errnoRet");
  EXPECT_EQ(refusal([](auto& s) {
              s.syscalls[0].names = {"write"};
              s.syscalls[0].action = "SCMP_ACT_NOTIFY";
            }),
            context + "SCMP_ACT_NOTIFY cannot be used for 'write'");
}

TEST(SeccompSpec, FlagsBecomeTheKernelsAndOneThatNotifiesIsMarked) {
  oci::Seccomp seccomp = section("SCMP_ACT_ALLOW");
  seccomp.syscalls = {{.names = {"mkdir"}, .action = "SCMP_ACT_NOTIFY"}};
  EXPECT_EQ(compile_spec_filter(seccomp)->flags, uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW});
  EXPECT_TRUE(compile_spec_filter(seccomp)->listener);
  seccomp.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  EXPECT_EQ(compile_spec_filter(seccomp)->flags,
            uint32_t{SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV});
  EXPECT_TRUE(compile_spec_filter(section("SCMP_ACT_ALLOW"))->program.empty());
}

TEST(SeccompSpec, ACompiledSectionIsFoundAgainAndABrokenOneMadeAnew) {
  char name[] = "/tmp/wherry-seccomp-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  oci::Seccomp seccomp = section("SCMP_ACT_ALLOW");
  seccomp.syscalls = {{.names = {"mkdir"}, .action = "SCMP_ACT_ERRNO"}};
  auto first = cached_spec_filter(seccomp, name);
  ASSERT_TRUE(first);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(name)) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(cached_spec_filter(seccomp, name)->program, first->program);
  std::ofstream(files[0], std::ios::trunc) << "abc";
  EXPECT_EQ(cached_spec_filter(seccomp, name)->program, first->program);
  seccomp.syscalls[0].names = {"rmdir"};
  EXPECT_NE(cached_spec_filter(seccomp, name)->program, first->program);
  EXPECT_TRUE(cached_spec_filter(seccomp, "/no/such/directory"));
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace wherry::runtime
