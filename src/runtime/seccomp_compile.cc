#include "runtime/seccomp_compile.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "runtime/seccomp_shrink.h"

namespace wherry::runtime {
namespace {

using Capabilities = std::set<std::string, std::less<>>;
using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr size_t kMaxInstructions = 4096;  // BPF_MAXINSNS
constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kX32First = 512;  // numbers only x32 has, above all others
constexpr uint32_t kX32Last = 547;
constexpr uint32_t kArmPrivate = 0xf0000;  // breakpoint, cacheflush, set_tls: far above all others

// A jump-by-label assembler for the prefix; labels are small numbers, jumps go forward only.
class Prefix {
 public:
  enum Label : uint8_t {
    kNext,
    kNative,
    kCommon,
    kRecent,
    kSocket,
    kAllow,
    kNoSystemCall,
    kRefuse,
    kRest
  };

  void load(uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, kNext, kNext); }
  void clear_bit(uint32_t bit) { add(BPF_ALU | BPF_AND | BPF_K, ~bit, kNext, kNext); }
  void jump_if(uint16_t comparison, uint32_t value, Label then, Label otherwise = kNext) {
    add(static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), value, then, otherwise);
  }
  void jump(Label to) { jump_if(BPF_JGE, 0, to, to); }  // the short form of an unconditional jump
  void verdict(uint32_t action) { add(BPF_RET | BPF_K, action, kNext, kNext); }
  void place(Label label) { positions_[label] = code_.size(); }

  std::vector<sock_filter> assemble() {
    place(kRest);
    for (size_t i = 0; i < code_.size(); ++i) {
      code_[i].jt = distance(i, targets_[i].first);
      code_[i].jf = distance(i, targets_[i].second);
    }
    return code_;
  }

 private:
  void add(uint16_t code, uint32_t value, Label then, Label otherwise) {
    code_.push_back({.code = code, .jt = 0, .jf = 0, .k = value});
    targets_.emplace_back(then, otherwise);
  }
  uint8_t distance(size_t from, Label to) const {
    return to == kNext ? 0 : static_cast<uint8_t>(positions_[to] - from - 1);
  }

  std::vector<sock_filter> code_;
  std::vector<std::pair<Label, Label>> targets_;
  size_t positions_[kRest + 1] = {};
};

// Numbers above the newest call that are no calls of the future.
void pass_private_numbers(Prefix& code, Machine machine) {
  if (machine == Machine::kArm) code.jump_if(BPF_JGE, kArmPrivate, Prefix::kRest);
}

std::vector<sock_filter> make_prefix(Machine machine, const Capabilities& capabilities) {
  const bool x86 = machine == Machine::kX86;
  const uint32_t native = x86 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
  const uint32_t small = x86 ? AUDIT_ARCH_I386 : AUDIT_ARCH_ARM;
  const int socket =
      seccomp_syscall_resolve_name_arch(x86 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64, "socket");
  const auto recent = recent_calls();
  Prefix code;
  code.load(offsetof(seccomp_data, arch));
  code.jump_if(BPF_JEQ, native, Prefix::kNative);
  code.jump_if(BPF_JEQ, small, Prefix::kNext, Prefix::kRest);
  // 32-bit: arguments have no upper half, so sockets need no second look.
  code.load(offsetof(seccomp_data, nr));
  pass_private_numbers(code, machine);
  code.jump(Prefix::kRecent);

  code.place(Prefix::kNative);
  code.load(offsetof(seccomp_data, nr));
  if (x86) {
    code.jump_if(BPF_JSET, kX32Bit, Prefix::kNext, Prefix::kCommon);
    code.clear_bit(kX32Bit);
    code.jump_if(BPF_JGT, kX32Last, Prefix::kNoSystemCall);
    code.jump_if(BPF_JGE, kX32First, Prefix::kRest);
  }
  code.place(Prefix::kCommon);
  code.jump_if(BPF_JEQ, static_cast<uint32_t>(socket), Prefix::kSocket);

  code.place(Prefix::kRecent);
  code.jump_if(BPF_JGT, recent.back().number, Prefix::kNoSystemCall);
  code.jump_if(BPF_JGE, recent.front().number, Prefix::kNext, Prefix::kRest);
  for (const RecentCall& call : recent) {
    if (call.capability.empty() || capabilities.contains(call.capability)) {
      code.jump_if(BPF_JEQ, call.number, Prefix::kAllow);
    }
  }
  code.jump(Prefix::kRefuse);

  code.place(Prefix::kSocket);
  code.load(offsetof(seccomp_data, args));  // little endian: the low half
  for (uint32_t family : refused_socket_families()) {
    code.jump_if(BPF_JEQ, family, Prefix::kRefuse);
  }
  code.jump(Prefix::kRest);

  code.place(Prefix::kAllow);
  code.verdict(SECCOMP_RET_ALLOW);
  code.place(Prefix::kNoSystemCall);
  code.verdict(SECCOMP_RET_ERRNO | ENOSYS);
  code.place(Prefix::kRefuse);
  code.verdict(SECCOMP_RET_ERRNO | EPERM);
  return code.assemble();
}

Error failed(std::string_view what, int error) {
  return Error::from_errno(-error, fmt::format("cannot compile the seccomp profile: {}", what));
}

Result<void> set_architectures(scmp_filter_ctx filter, Machine machine) {
  const auto wanted = machine == Machine::kX86
                          ? std::vector<uint32_t>{SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32}
                          : std::vector<uint32_t>{SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
  for (uint32_t architecture : wanted) {
    const int added = seccomp_arch_add(filter, architecture);
    if (added < 0 && added != -EEXIST) return failed("an architecture", added);
  }
  if (seccomp_arch_native() != wanted[0]) {
    const int removed = seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
    if (removed < 0) return failed("the native architecture", removed);
  }
  return {};
}

Result<void> add_rule(scmp_filter_ctx filter, uint32_t action, std::string_view name,
                      const ArgumentTest* test = nullptr) {
  const int number = seccomp_syscall_resolve_name(std::string(name).c_str());
  if (number == __NR_SCMP_ERROR) {
    return Error(
        ErrorKind::kInternal,
        fmt::format("cannot compile the seccomp profile: libseccomp does not know '{}'", name));
  }
  int added;
  if (test == nullptr) {
    added = seccomp_rule_add_array(filter, action, number, 0, nullptr);
  } else {
    static constexpr scmp_compare kCompares[] = {SCMP_CMP_EQ, SCMP_CMP_LT, SCMP_CMP_GT,
                                                 SCMP_CMP_MASKED_EQ};
    const scmp_arg_cmp compare{.arg = 0,
                               .op = kCompares[static_cast<size_t>(test->compare)],
                               .datum_a = test->value,
                               .datum_b = test->masked};
    added = seccomp_rule_add_array(filter, action, number, 1, &compare);
  }
  if (added < 0) return failed(fmt::format("the rule of '{}'", name), added);
  return {};
}

Result<void> add_rules(scmp_filter_ctx filter, Machine machine, const Capabilities& capabilities) {
  for (std::string_view name : always_allowed_calls()) {
    TRY_VOID(add_rule(filter, SCMP_ACT_ALLOW, name));
  }
  for (const MachineCall& call : machine_calls()) {
    if (call.machine == machine) TRY_VOID(add_rule(filter, SCMP_ACT_ALLOW, call.name));
  }
  for (const CapabilityCall& call : capability_calls()) {
    if (capabilities.contains(call.capability)) {
      TRY_VOID(add_rule(filter, SCMP_ACT_ALLOW, call.name));
    }
  }
  for (const ConditionalCall& call : conditional_calls()) {
    if (!call.unless_capability.empty() && capabilities.contains(call.unless_capability)) continue;
    TRY_VOID(add_rule(filter, SCMP_ACT_ALLOW, call.name, &call.test));
  }
  // Its flags are in memory where no filter sees them: libraries fall back to clone.
  if (!capabilities.contains("CAP_SYS_ADMIN")) {
    TRY_VOID(add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3"));
  }
  return {};
}

Result<std::string> export_program(scmp_filter_ctx filter) {
  const int fd = ::memfd_create("seccomp", MFD_CLOEXEC);
  if (fd < 0) return failed("memory", -errno);
  const int exported = seccomp_export_bpf(filter, fd);
  std::string bytes(kMaxInstructions * sizeof(sock_filter), '\0');
  const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
  const int error = errno;
  ::close(fd);
  if (exported < 0) return failed("the program", exported);
  if (size < 0) return failed("the program", -error);
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

}  // namespace

Result<std::string> compile_profile(Machine machine, const Capabilities& capabilities) {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release);
  if (!filter) return failed("memory", -ENOMEM);
  TRY_VOID(set_architectures(filter.get(), machine));
  int set = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (set < 0) return failed("the foreign architectures", set);
  // 2: a binary tree over the numbers instead of a list: half the price per call and a shorter
  // load.
  set = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (set < 0) return failed("the optimisation", set);
  TRY_VOID(add_rules(filter.get(), machine, capabilities));
  TRY(const std::string program, export_program(filter.get()));

  std::vector<sock_filter> code = make_prefix(machine, capabilities);
  const size_t prefix = code.size();
  code.resize(prefix + program.size() / sizeof(sock_filter));
  std::memcpy(&code[prefix], program.data(), program.size());
  const bool x86 = machine == Machine::kX86;
  const std::vector<uint32_t> audit =
      x86 ? std::vector<uint32_t>{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386}
          : std::vector<uint32_t>{AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
  code = shrink_filter(std::move(code), audit);
  if (code.size() > kMaxInstructions) return failed("it is too long", -E2BIG);
  return std::string(reinterpret_cast<const char*>(code.data()), code.size() * sizeof(sock_filter));
}

}  // namespace wherry::runtime
