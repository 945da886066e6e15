// Every verdict of our compiled filters beside libseccomp's own: each number, each architecture,
// each class of argument. And the whole default profile written down, so that no rule changes
// unseen.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "bpf_verdict.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_compile.h"
#include "runtime/seccomp_spec.h"

namespace wherry::runtime {
namespace {

using Capabilities = std::set<std::string, std::less<>>;

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kX32Bit = 0x40000000;

struct Arch {
  const char* name;
  const char* spec_name;
  uint32_t audit;
  uint32_t library;
  uint32_t bit;
  Machine machine;
  bool narrow;  // arguments have 32 bits
};
constexpr Arch kArchs[] = {
    {"x86_64", "SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0, Machine::kX86, false},
    {"i386", "SCMP_ARCH_X86", AUDIT_ARCH_I386, SCMP_ARCH_X86, 0, Machine::kX86, true},
    {"x32", "SCMP_ARCH_X32", AUDIT_ARCH_X86_64, SCMP_ARCH_X32, kX32Bit, Machine::kX86, false},
    {"arm64", "SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, Machine::kArm, false},
    {"arm", "SCMP_ARCH_ARM", AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0, Machine::kArm, true},
};
constexpr uint32_t kForeign[] = {AUDIT_ARCH_RISCV64, AUDIT_ARCH_S390X, 0, 0xffffffff};

struct Rule {
  uint32_t action;
  std::string name;
  std::vector<scmp_arg_cmp> args;
};

struct Plain {
  uint32_t default_action;
  std::optional<uint32_t> foreign_action;
  std::vector<uint32_t> architectures;
  std::vector<Rule> rules;
};

// libseccomp's program as it comes: a list and not a tree, nothing of ours in front.
std::string plain_program(const Plain& plain) {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(plain.default_action),
                                                                seccomp_release);
  // The native one is there already; libseccomp 2.5 leaks what is removed.
  for (uint32_t architecture : plain.architectures)
    if (int added = seccomp_arch_add(filter.get(), architecture); added != 0 && added != -EEXIST)
      throw std::runtime_error("architecture");
  if (std::ranges::find(plain.architectures, seccomp_arch_native()) == plain.architectures.end())
    seccomp_arch_remove(filter.get(), SCMP_ARCH_NATIVE);
  if (plain.foreign_action)
    seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, *plain.foreign_action);
  for (const Rule& rule : plain.rules) {
    const int number = seccomp_syscall_resolve_name(rule.name.c_str());
    if (number == __NR_SCMP_ERROR) throw std::runtime_error("no call " + rule.name);
    const int added =
        seccomp_rule_add_array(filter.get(), rule.action, number,
                               static_cast<unsigned>(rule.args.size()), rule.args.data());
    if (added < 0 && added != -EEXIST) throw std::runtime_error("rule of " + rule.name);
  }
  const int fd = memfd_create("plain", MFD_CLOEXEC);
  if (seccomp_export_bpf(filter.get(), fd) != 0) throw std::runtime_error("export");
  std::string bytes(size_t{1} << 20, '\0');
  const ssize_t size = pread(fd, bytes.data(), bytes.size(), 0);
  close(fd);
  if (size <= 0) throw std::runtime_error("program");
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

Capabilities default_set(Capabilities more = {}) {
  more.insert(default_capabilities().begin(), default_capabilities().end());
  return more;
}

std::string compiled(Machine machine, const Capabilities& capabilities) {
  auto filter = compile_profile(machine, capabilities);
  if (!filter) throw std::runtime_error(filter.error().message());
  return std::move(*filter);
}

scmp_arg_cmp comparison(const ArgumentTest& test) {
  const std::map<Compare, scmp_compare> words{{Compare::kEqual, SCMP_CMP_EQ},
                                              {Compare::kLess, SCMP_CMP_LT},
                                              {Compare::kGreater, SCMP_CMP_GT},
                                              {Compare::kMaskedEqual, SCMP_CMP_MASKED_EQ}};
  return {.arg = 0, .op = words.at(test.compare), .datum_a = test.value, .datum_b = test.masked};
}

std::vector<Rule> profile_rules(Machine machine, const Capabilities& capabilities) {
  std::vector<Rule> rules;
  auto allow = [&](std::string_view name, std::vector<scmp_arg_cmp> args = {}) {
    rules.push_back({SCMP_ACT_ALLOW, std::string(name), std::move(args)});
  };
  for (std::string_view name : always_allowed_calls()) allow(name);
  for (const MachineCall& call : machine_calls())
    if (call.machine == machine) allow(call.name);
  for (const CapabilityCall& call : capability_calls())
    if (capabilities.contains(call.capability)) allow(call.name);
  for (const ConditionalCall& call : conditional_calls())
    if (call.unless_capability.empty() || !capabilities.contains(call.unless_capability))
      allow(call.name, {comparison(call.test)});
  if (!capabilities.contains("CAP_SYS_ADMIN"))
    rules.push_back({SCMP_ACT_ERRNO(ENOSYS), "clone3", {}});
  return rules;
}

// All that a call table may hold and what lies around its edges.
std::vector<uint32_t> numbers_of(const Arch& arch) {
  std::vector<uint32_t> numbers;
  for (uint32_t number = 0; number < 700; ++number) numbers.push_back(number | arch.bit);
  for (uint32_t number : {1000u, 9999u, 0xeffffu, 0xf0000u, 0xf0001u, 0xf0002u, 0xf0003u, 0xf0004u,
                          0xf0005u, 0xf0006u, 0xfffffu, 0x3fffffffu})
    numbers.push_back(number | arch.bit);
  for (uint32_t number : {0x40000000u, 0x400001ffu, 0x40000200u, 0x40000223u, 0x40000224u,
                          0x7fffffffu, 0x80000000u, 0xc0000000u, 0xffffffffu})
    numbers.push_back(number);
  return numbers;
}

// Around the datum and the mask of a comparison, in both halves of the register.
void add_classes(const scmp_arg_cmp& compare, std::set<uint64_t>& values) {
  for (uint64_t datum : {compare.datum_a, compare.datum_b})
    for (uint64_t value : {datum - 1, datum, datum + 1}) {
      values.insert(value);
      values.insert(value ^ uint64_t{1} << 32);
      values.insert(value ^ uint64_t{1} << 63);
      values.insert(value & 0xffffffff);
      values.insert(~value);
    }
  if (compare.op != SCMP_CMP_MASKED_EQ) return;
  for (int bit = 0; bit < 64; ++bit) {
    values.insert(uint64_t{1} << bit);
    values.insert(compare.datum_b ^ uint64_t{1} << bit);
  }
  values.insert(compare.datum_a | compare.datum_b);
  values.insert(~compare.datum_a | compare.datum_b);
}

// By number of a call: values that tell its rules apart.
using Classes = std::map<uint32_t, std::set<uint64_t>>;

Classes classes_of(const Arch& arch, const std::vector<Rule>& rules) {
  Classes classes;
  for (const Rule& rule : rules) {
    if (rule.args.empty()) continue;
    // A call of a 32-bit machine may have a number of its own beside the shared entry.
    std::vector<int> numbers{seccomp_syscall_resolve_name_arch(arch.library, rule.name.c_str())};
    if (arch.audit == AUDIT_ARCH_I386 && rule.name == "socket") numbers.push_back(359);
    for (int number : numbers)
      if (number >= 0)
        for (const scmp_arg_cmp& compare : rule.args)
          add_classes(compare, classes[static_cast<uint32_t>(number)]);
  }
  return classes;
}

// Calls `look` with each question about the architecture.
template <typename Look>
void ask_everything(const Arch& arch, const Classes& classes, const Look& look) {
  for (uint32_t number : numbers_of(arch)) {
    std::set<uint64_t> values{0, 1, 0x1'0000'0000, ~uint64_t{0}};
    const auto more = classes.find(number);
    if (more != classes.end()) values.insert(more->second.begin(), more->second.end());
    for (uint64_t value : values) {
      seccomp_data data{};
      data.nr = static_cast<int>(number);
      data.arch = arch.audit;
      data.args[0] = arch.narrow ? value & 0xffffffff : value;
      look(data);
      // The others in their turn: a rule may be about any of them.
      for (int other = 1; other < 6 && more != classes.end(); ++other) {
        seccomp_data moved = data;
        std::swap(moved.args[0], moved.args[other]);
        look(moved);
        moved.args[0] = data.args[0];
        look(moved);
      }
    }
  }
}

std::string describe(const seccomp_data& data) {
  return fmt::format("arch {:#x} call {:#x} arguments {:#x} {:#x} {:#x}", data.arch,
                     static_cast<uint32_t>(data.nr), data.args[0], data.args[1], data.args[2]);
}

bool native_socket(const seccomp_data& data) {
  if (data.arch == AUDIT_ARCH_AARCH64) return data.nr == 198;
  return data.arch == AUDIT_ARCH_X86_64 && (static_cast<uint32_t>(data.nr) & ~kX32Bit) == 41;
}

// Where our profile says more than libseccomp can: the table is the specification of the prefix.
uint32_t expected(const seccomp_data& data, const Capabilities& capabilities, uint32_t plain) {
  auto number = static_cast<uint32_t>(data.nr);
  const bool x32 = data.arch == AUDIT_ARCH_X86_64 && (number & kX32Bit) != 0;
  if (x32) number &= ~kX32Bit;
  if (x32 && number >= 512 && number <= 547) return plain;
  if (data.arch == AUDIT_ARCH_ARM && number >= 0xf0000) return plain;
  const auto recent = recent_calls();
  if (number > recent.back().number) return kEnosys;
  for (const RecentCall& call : recent)
    if (call.number == number)
      return call.capability.empty() || capabilities.contains(call.capability) ? kAllow : kEperm;
  const auto family = static_cast<uint32_t>(data.args[0]);
  if (native_socket(data) && std::ranges::count(refused_socket_families(), family) > 0)
    return kEperm;
  return plain;
}

// Counts instead of a failure for each of a hundred thousand questions.
struct Comparison {
  size_t asked = 0, different = 0;
  std::string first;

  void add(const seccomp_data& data, uint32_t ours, uint32_t theirs) {
    ++asked;
    if (ours == theirs) return;
    if (++different == 1)
      first = fmt::format("{}: ours {:#x}, expected {:#x}", describe(data), ours, theirs);
  }
};

Comparison compare_profile(Machine machine, const Capabilities& capabilities,
                           std::string_view ours) {
  const std::vector<Rule> rules = profile_rules(machine, capabilities);
  Plain plain{SCMP_ACT_ERRNO(EPERM), SCMP_ACT_KILL_PROCESS, {}, rules};
  for (const Arch& arch : kArchs)
    if (arch.machine == machine) plain.architectures.push_back(arch.library);
  const std::string theirs = plain_program(plain);
  Comparison result;
  for (const Arch& arch : kArchs) {
    if (arch.machine != machine) continue;
    ask_everything(arch, classes_of(arch, rules), [&](const seccomp_data& data) {
      result.add(data, verdict(ours, data), expected(data, capabilities, verdict(theirs, data)));
    });
  }
  for (uint32_t audit : kForeign)
    for (int number = 0; number < 500; ++number) {
      seccomp_data data{};
      data.nr = number;
      data.arch = audit;
      result.add(data, verdict(ours, data), SECCOMP_RET_KILL_PROCESS);
      result.add(data, verdict(theirs, data), SECCOMP_RET_KILL_PROCESS);
    }
  return result;
}

TEST(SeccompEquivalence, ThePrecompiledFilterAnswersEveryCallAsLibseccompDoes) {
  const Comparison result =
      compare_profile(native_machine(), default_set(), default_seccomp_filter());
  EXPECT_EQ(result.different, 0u) << result.first;
  EXPECT_GT(result.asked, 10'000u);
}

TEST(SeccompEquivalence, SoDoTheComposedOnesOfBothMachinesAndEveryCapability) {
  std::vector<Capabilities> sets{{}, default_set()};
  for (const CapabilityCall& call : capability_calls())
    sets.push_back({std::string(call.capability)});
  std::ranges::sort(sets);
  sets.erase(std::ranges::unique(sets).begin(), sets.end());
  for (Machine machine : {Machine::kX86, Machine::kArm})
    for (const Capabilities& set : sets) {
      const Comparison result = compare_profile(machine, set, compiled(machine, set));
      EXPECT_EQ(result.different, 0u)
          << (set.empty() ? "no capability" : *set.begin()) << ": " << result.first;
    }
}

// ---- the profile, written down ----

const char* word(uint32_t verdict) {
  if (verdict == kAllow) return "allow";
  if (verdict == kEperm) return "EPERM";
  if (verdict == kEnosys) return "ENOSYS";
  return verdict == SECCOMP_RET_KILL_PROCESS ? "kill" : "other";
}

uint32_t answer(std::string_view filter, const Arch& arch, uint32_t number, uint64_t first) {
  seccomp_data data{};
  data.nr = static_cast<int>(number | arch.bit);
  data.arch = arch.audit;
  data.args[0] = first;
  return verdict(filter, data);
}

// "x86_64 allow 0-55 57-61": all numbers, asked with an argument of 0.
std::string describe_numbers(std::string_view filter, const Arch& arch) {
  std::map<std::string, std::string> lines;
  constexpr uint32_t kEnd = 600;
  for (uint32_t from = 0; from < kEnd;) {
    const uint32_t verdict = answer(filter, arch, from, 0);
    uint32_t to = from;
    while (to + 1 < kEnd && answer(filter, arch, to + 1, 0) == verdict) ++to;
    lines[word(verdict)] += from == to ? fmt::format(" {}", from) : fmt::format(" {}-{}", from, to);
    from = to + 1;
  }
  std::string text;
  for (const auto& [verdict, list] : lines)
    text += fmt::format("{} {}{}\n", arch.name, verdict, list);
  return text;
}

struct Probe {
  const char* name;
  std::vector<uint64_t> values;
};

// Chosen by hand from the profile's words, not from the table.
const std::vector<Probe>& probes() {
  static const std::vector<Probe> list{
      {"clone",
       {0x11, 0x80, 0x100, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000,
        0x40000000, 0x80000000, 0x7e020000, 0x81fdffff, 0x100000011}},
      {"personality",
       {0, 1, 7, 8, 9, 0x1ffff, 0x20000, 0x20001, 0x20008, 0x40000, 0xfffffffe, 0xffffffff,
        0x100000000}},
      {"socket", {0, 1, 16, 37, 38, 39, 40, 41, 45, 0xffffffff, 0x100000026, 0x100000028}},
  };
  return list;
}

std::string describe_arguments(std::string_view filter, const Arch& arch) {
  std::string text;
  for (const Probe& probe : probes()) {
    int number = seccomp_syscall_resolve_name_arch(arch.library, probe.name);
    if (number < 0) number = 359;  // socket(2) of i386
    text += fmt::format("{} {}", arch.name, probe.name);
    for (uint64_t value : probe.values)
      if (!arch.narrow || value <= 0xffffffff)
        text += fmt::format(" {:#x}:{}", value,
                            word(answer(filter, arch, static_cast<uint32_t>(number), value)));
    text += '\n';
  }
  return text;
}

std::string describe_profile(const Capabilities& capabilities) {
  std::string text;
  for (const Arch& arch : kArchs) {
    const std::string filter = compiled(arch.machine, capabilities);
    text += describe_numbers(filter, arch) + describe_arguments(filter, arch);
  }
  return text;
}

// After a change of the profile that is meant, WHERRY_UPDATE_GOLDEN=1 writes the files anew: their
// difference is what a reviewer reads.
TEST(SeccompEquivalence, TheDefaultProfileIsTheOneThatIsWrittenDown) {
  Capabilities all = default_set();
  for (const CapabilityCall& call : capability_calls()) all.emplace(call.capability);
  const std::map<std::string, std::string> profiles{
      {"seccomp_default.txt", describe_profile(default_set())},
      {"seccomp_privileged.txt", describe_profile(all)}};
  for (const auto& [name, now] : profiles) {
    const std::string path = std::string(WHERRY_TEST_DATA) + "/" + name;
    if (getenv("WHERRY_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << now;
    std::ifstream file(path);
    const std::string written{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(now, written) << path;
  }
}

// ---- sections of configurations ----

uint32_t action_of(const std::string& word, std::optional<uint32_t> errno_ret) {
  const std::map<std::string, uint32_t> words{
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
      {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(errno_ret.value_or(EPERM))}};
  return words.at(word);
}

const std::map<std::string, scmp_compare>& operators() {
  static const std::map<std::string, scmp_compare> words{
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  return words;
}

std::vector<Rule> section_rules(const oci::Seccomp& section) {
  const uint32_t default_action = action_of(section.default_action, section.default_errno_ret);
  std::vector<Rule> rules;
  for (const oci::SeccompRule& rule : section.syscalls) {
    const uint32_t action = action_of(rule.action, rule.errno_ret);
    if (action == default_action) continue;
    std::vector<scmp_arg_cmp> args;
    std::set<uint32_t> indices;
    for (const oci::SeccompArgument& argument : rule.args) {
      args.push_back({.arg = argument.index,
                      .op = operators().at(argument.op),
                      .datum_a = argument.value,
                      .datum_b = argument.value_two});
      indices.insert(argument.index);
    }
    for (const std::string& name : rule.names) {
      if (indices.size() == args.size()) {
        rules.push_back({action, name, args});
      } else {
        for (const scmp_arg_cmp& compare : args) rules.push_back({action, name, {compare}});
      }
    }
  }
  return rules;
}

uint32_t newest_of(const oci::Seccomp& section, const Arch& arch) {
  uint32_t newest = 0;
  for (const oci::SeccompRule& rule : section.syscalls)
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name_arch(arch.library, name.c_str());
      if (number >= 0) newest = std::max(newest, static_cast<uint32_t>(number) & ~arch.bit);
    }
  return newest;
}

Comparison compare_section(const oci::Seccomp& section) {
  auto ours = compile_spec_filter(section);
  if (!ours) throw std::runtime_error(ours.error().message());
  const std::vector<Rule> rules = section_rules(section);
  Plain plain{action_of(section.default_action, section.default_errno_ret), {}, {}, rules};
  for (const Arch& arch : kArchs)
    if (arch.machine == Machine::kX86) plain.architectures.push_back(arch.library);
  const std::string theirs = plain_program(plain);
  const bool closed =
      section.default_action != "SCMP_ACT_ALLOW" && section.default_action != "SCMP_ACT_LOG";
  Comparison result;
  for (const Arch& arch : kArchs) {
    if (arch.machine != Machine::kX86) continue;
    const uint32_t newest = newest_of(section, arch);
    ask_everything(arch, classes_of(arch, rules), [&](const seccomp_data& data) {
      const auto number = static_cast<uint32_t>(data.nr);
      // Questions beyond the bit are the other architecture's of the two that share a name.
      const bool own = arch.audit != AUDIT_ARCH_X86_64 || (number & kX32Bit) == arch.bit;
      if (!own) return;
      const bool unknown = closed && number > (newest | arch.bit);
      result.add(data, verdict(ours->program, data), unknown ? kEnosys : verdict(theirs, data));
    });
  }
  return result;
}

oci::Seccomp section_of(const char* action) {
  return {.default_action = action,
          .architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}};
}

template <typename T>
const T& one_of(std::mt19937& random, const std::vector<T>& list) {
  return list[random() % list.size()];
}

oci::Seccomp random_section(std::mt19937& random) {
  static const std::vector<std::string> names{
      "read",   "mkdir", "clone",  "personality", "prctl", "ioctl",       "openat2", "futex",
      "mremap", "mmap",  "keyctl", "ptrace",      "uname", "sethostname", "setns",   "fcntl"};
  static const std::vector<std::string> actions{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG",
                                                "SCMP_ACT_TRAP", "SCMP_ACT_KILL_PROCESS"};
  static const std::vector<uint64_t> data{
      0, 1, 8, 0x20000, 0x7e020000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, ~uint64_t{0}};
  static const std::vector<std::string> words = [] {
    std::vector<std::string> list;
    for (const auto& [name, value] : operators()) list.push_back(name);
    return list;
  }();
  oci::Seccomp section = section_of(one_of(random, actions).c_str());
  if (section.default_action == "SCMP_ACT_ERRNO" && random() % 2 == 0)
    section.default_errno_ret = random() % 40;
  // One action for each call: which of two wins is nobody's promise.
  std::map<std::string, std::string> action_by_name;
  for (size_t count = 1 + random() % 12; count > 0; --count) {
    const std::string& name = one_of(random, names);
    const std::string& action =
        action_by_name.try_emplace(name, one_of(random, actions)).first->second;
    oci::SeccompRule rule{.names = {name}, .action = action};
    for (size_t args = random() % 4; args > 0; --args)
      rule.args.push_back({.index = static_cast<uint32_t>(random() % 3),
                           .value = one_of(random, data),
                           .value_two = one_of(random, data),
                           .op = one_of(random, words)});
    section.syscalls.push_back(std::move(rule));
  }
  return section;
}

TEST(SeccompEquivalence, SectionsOfConfigurationsAnswerAsLibseccompDoes) {
#ifdef __SANITIZE_ADDRESS__
  // libseccomp 2.5.4 forgets 96 bytes of some rules that others make needless.
  const __lsan::ScopedDisabler disabler;
#endif
  std::mt19937 random(20261123);
  for (int round = 0; round < 60; ++round) {
    const oci::Seccomp section = random_section(random);
    const Comparison result = compare_section(section);
    ASSERT_EQ(result.different, 0u) << "round " << round << ": " << result.first << "\n"
                                    << oci::to_json(section);
  }
}

// What dockerd writes into a configuration for its defaults, built from the same tables.
oci::Seccomp docker_section() {
  oci::Seccomp section = section_of("SCMP_ACT_ERRNO");
  for (const Rule& rule : profile_rules(Machine::kX86, default_set())) {
    oci::SeccompRule entry{.names = {rule.name}, .action = "SCMP_ACT_ALLOW"};
    if (rule.action != SCMP_ACT_ALLOW) {
      entry.action = "SCMP_ACT_ERRNO";
      entry.errno_ret = ENOSYS;
    }
    for (const scmp_arg_cmp& compare : rule.args)
      for (const auto& [name, value] : operators())
        if (value == compare.op)
          entry.args.push_back({.index = compare.arg,
                                .value = compare.datum_a,
                                .value_two = compare.datum_b,
                                .op = name});
    section.syscalls.push_back(std::move(entry));
  }
  return section;
}

TEST(SeccompEquivalence, DockersSectionAndOurProfileSayTheSame) {
  const oci::Seccomp section = docker_section();
  const Comparison alone = compare_section(section);
  EXPECT_EQ(alone.different, 0u) << alone.first;
  const std::string ours = compiled(Machine::kX86, default_set());
  const auto theirs = compile_spec_filter(section);
  ASSERT_TRUE(theirs);
  Comparison result;
  for (const Arch& arch : kArchs) {
    if (arch.machine != Machine::kX86) continue;
    const uint32_t newest = newest_of(section, arch);
    ask_everything(arch, classes_of(arch, section_rules(section)), [&](const seccomp_data& data) {
      const uint32_t number = static_cast<uint32_t>(data.nr) ^ arch.bit;
      // Of the newest each knows some by number; and ours looks at families with 32 bits, too.
      const bool recent = number >= recent_calls().front().number && number < 512;
      if (recent || number > newest || (native_socket(data) && data.args[0] > 0xffffffff)) return;
      result.add(data, verdict(ours, data), verdict(theirs->program, data));
    });
  }
  EXPECT_EQ(result.different, 0u) << result.first;
}

}  // namespace
}  // namespace wherry::runtime
