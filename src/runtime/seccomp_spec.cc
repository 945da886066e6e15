#include "runtime/seccomp_spec.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "base/text.h"
#include "runtime/seccomp_profile.h"
#include "runtime/seccomp_shrink.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::runtime {
namespace {

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr std::string_view kActions[] = {
    "SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",       "SCMP_ACT_TRACE",       "SCMP_ACT_TRAP"};
constexpr std::string_view kOperators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                           "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                           "SCMP_CMP_NE"};
constexpr scmp_compare kCompares[] = {SCMP_CMP_EQ, SCMP_CMP_GE,        SCMP_CMP_GT, SCMP_CMP_LE,
                                      SCMP_CMP_LT, SCMP_CMP_MASKED_EQ, SCMP_CMP_NE};

struct Architecture {
  std::string_view name;
  uint32_t token;  // libseccomp's
  uint32_t audit;  // the kernel's; x32 shares x86_64's
};
constexpr Architecture kArchitectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS, SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC, SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64, SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC, SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64, SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE, SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390, SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X, SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
};
constexpr std::string_view kFlags[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                       "SECCOMP_FILTER_FLAG_TSYNC",
                                       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
constexpr uint32_t kFlagBits[] = {SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                                  SECCOMP_FILTER_FLAG_TSYNC,
                                  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV};

constexpr uint32_t kX32Bit = 0x40000000;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, "invalid seccomp section: " + std::move(message));
}

Error failed(std::string_view what, int error) {
  return Error::from_errno(-error, fmt::format("cannot compile the seccomp section: {}", what));
}

// libseccomp's action for a name; `value`: of ERRNO and TRACE.
Result<uint32_t> action_of(const std::string& name, std::optional<uint32_t> value) {
  if (std::ranges::find(kActions, name) == std::end(kActions))
    return invalid(fmt::format("unknown action '{}'", name));
  const uint32_t number = value.value_or(EPERM);
  if (value && name != "SCMP_ACT_ERRNO" && name != "SCMP_ACT_TRACE")
    return invalid(fmt::format("the action '{}' takes no errnoRet", name));
  if (number > UINT16_MAX) return invalid(fmt::format("errnoRet {} is out of range", number));
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number);
  return SCMP_ACT_TRAP;
}

Result<uint32_t> flags_of(const oci::Seccomp& seccomp) {
  // As runc: without a word of the user's, speculation stays as it is for other programs.
  if (seccomp.flags.empty()) return uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW};
  uint32_t bits = 0;
  for (const std::string& flag : seccomp.flags) {
    const auto* known = std::ranges::find(kFlags, flag);
    if (known == std::end(kFlags)) return invalid(fmt::format("unknown flag '{}'", flag));
    bits |= kFlagBits[known - std::begin(kFlags)];
  }
  return bits;
}

Result<std::vector<Architecture>> architectures_of(const oci::Seccomp& seccomp) {
  const auto* native =
      std::ranges::find(kArchitectures, seccomp_arch_native(), &Architecture::token);
  std::vector<Architecture> list;
  if (native != std::end(kArchitectures)) list.push_back(*native);
  for (const std::string& name : seccomp.architectures) {
    const auto* known = std::ranges::find(kArchitectures, name, &Architecture::name);
    if (known == std::end(kArchitectures))
      return invalid(fmt::format("unknown architecture '{}'", name));
    if (std::ranges::find(list, known->token, &Architecture::token) == list.end())
      list.push_back(*known);
  }
  return list;
}

Result<scmp_arg_cmp> comparison(const oci::SeccompArgument& argument) {
  const auto* known = std::ranges::find(kOperators, argument.op);
  if (known == std::end(kOperators))
    return invalid(fmt::format("unknown operator '{}'", argument.op));
  if (argument.index > 5)
    return invalid(fmt::format("system calls have no argument {}", argument.index));
  return scmp_arg_cmp{.arg = argument.index,
                      .op = kCompares[known - std::begin(kOperators)],
                      .datum_a = argument.value,
                      .datum_b = argument.value_two};
}

// One call may only be compared once per argument in a rule of libseccomp; several conditions on
// one argument become one rule each.
Result<std::vector<std::vector<scmp_arg_cmp>>> alternatives(const oci::SeccompRule& rule) {
  std::vector<scmp_arg_cmp> all;
  std::set<uint32_t> seen;
  bool repeated = false;
  for (const oci::SeccompArgument& argument : rule.args) {
    TRY(scmp_arg_cmp compare, comparison(argument));
    repeated |= !seen.insert(argument.index).second;
    all.push_back(compare);
  }
  std::vector<std::vector<scmp_arg_cmp>> list;
  if (!repeated) {
    list.push_back(std::move(all));
  } else {
    for (const scmp_arg_cmp& compare : all) list.push_back({compare});
  }
  return list;
}

std::optional<uint32_t> recent_number(std::string_view name) {
  for (const RecentCall& call : recent_calls())
    if (call.name == name) return call.number;
  return std::nullopt;
}

struct Compiler {
  const oci::Seccomp& seccomp;
  std::vector<Architecture> architectures;
  uint32_t default_action = 0;
  bool listener = false;
  struct Recent {
    uint32_t number;
    uint32_t action;
  };
  std::vector<Recent> recent;    // calls that libseccomp has no name for
  std::vector<uint32_t> newest;  // by architecture: the highest number the section names
  bool permissive = false;       // the default action lets calls through

  Result<void> prepare();
  Result<void> add_rules(scmp_filter_ctx context);
  Result<void> add_rule(scmp_filter_ctx context, const oci::SeccompRule& rule);
  void take_recent(uint32_t number, uint32_t action, bool conditional);
  std::vector<sock_filter> prefix() const;
  std::vector<uint32_t> audit_numbers() const;
};

Result<void> Compiler::prepare() {
  TRY(architectures, architectures_of(seccomp));
  TRY(default_action, action_of(seccomp.default_action, seccomp.default_errno_ret));
  if (default_action == SCMP_ACT_NOTIFY)
    return invalid("SCMP_ACT_NOTIFY cannot be the default action");
  permissive = default_action == SCMP_ACT_ALLOW || default_action == SCMP_ACT_LOG ||
               seccomp.default_action == "SCMP_ACT_TRACE";
  newest.assign(architectures.size(), 0);
  return {};
}

void Compiler::take_recent(uint32_t number, uint32_t action, bool conditional) {
  for (uint32_t& known : newest) known = std::max(known, number);
  // The prefix does not look at arguments: where a condition would open, it stays closed.
  if (conditional && !permissive) return;
  if (std::ranges::find(recent, number, &Recent::number) == recent.end())
    recent.push_back({number, action});
}

Result<void> Compiler::add_rule(scmp_filter_ctx context, const oci::SeccompRule& rule) {
  TRY(const uint32_t action, action_of(rule.action, rule.errno_ret));
  TRY(const auto conditions, alternatives(rule));
  for (const std::string& name : rule.names) {
    if (const auto number = recent_number(name)) {
      if (action != default_action) take_recent(*number, action, !rule.args.empty());
      continue;
    }
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    for (size_t i = 0; i < architectures.size(); ++i) {
      const int there = seccomp_syscall_resolve_name_arch(architectures[i].token, name.c_str());
      if (there >= 0) newest[i] = std::max(newest[i], static_cast<uint32_t>(there) & ~kX32Bit);
    }
    if (action == default_action) continue;
    if (action == SCMP_ACT_NOTIFY) {
      // Our own way to the execve writes to the socket that tells of the listener.
      if (name == "write") return invalid("SCMP_ACT_NOTIFY cannot be used for 'write'");
      listener = true;
    }
    for (const auto& condition : conditions) {
      const int added = seccomp_rule_add_array(
          context, action, number, static_cast<unsigned>(condition.size()), condition.data());
      if (added < 0 && added != -EEXIST)
        return failed(fmt::format("the rule of '{}'", name), added);
    }
  }
  return {};
}

Result<void> Compiler::add_rules(scmp_filter_ctx context) {
  for (const Architecture& architecture : architectures) {
    const int added = seccomp_arch_add(context, architecture.token);
    if (added < 0 && added != -EEXIST)
      return failed(fmt::format("the architecture '{}'", architecture.name), added);
  }
  // 2: a binary tree over the numbers instead of a list. libseccomp cannot for some actions (it
  // says so), then it is a list.
  const int set = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (set < 0 && set != -EOPNOTSUPP) return failed("the optimisation", set);
  for (const oci::SeccompRule& rule : seccomp.syscalls) TRY_VOID(add_rule(context, rule));
  return {};
}

sock_filter instruction(int code, uint32_t value, uint8_t then = 0, uint8_t otherwise = 0) {
  return {static_cast<uint16_t>(code), then, otherwise, value};
}

// For each architecture: the recent calls by number, then ENOSYS for what is newer than the section
// and ENOSYS is not already the default.
std::vector<sock_filter> Compiler::prefix() const {
  const bool stub = !permissive && default_action != SCMP_ACT_ERRNO(ENOSYS);
  if (!stub && recent.empty()) return {};
  std::vector<sock_filter> code = {
      instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch))};
  std::vector<size_t> leave;  // jumps to the end, patched below
  for (size_t i = 0; i < architectures.size(); ++i) {
    const Architecture& architecture = architectures[i];
    const bool x32 = architecture.token == SCMP_ARCH_X32;
    std::vector<sock_filter> block;
    block.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    // x86_64 and x32 share the kernel's name: the bit tells them apart, the other one's turn may
    // still come, with the architecture loaded again.
    if (architecture.audit == AUDIT_ARCH_X86_64) {
      const size_t rest = 2 * recent.size() + (stub ? 2 : 0) + 1;
      block.push_back(x32 ? instruction(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, 1, 0)
                          : instruction(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, 0, 1));
      block.push_back(instruction(BPF_JMP | BPF_JA, static_cast<uint32_t>(rest)));
    }
    const uint32_t bit = x32 ? kX32Bit : 0;
    for (const Recent& call : recent) {
      block.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, call.number | bit, 0, 1));
      // libseccomp's actions are the kernel's verdicts.
      block.push_back(instruction(BPF_RET | BPF_K, call.action));
    }
    if (stub) {
      block.push_back(instruction(BPF_JMP | BPF_JGT | BPF_K, newest[i] | bit, 0, 1));
      block.push_back(instruction(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    }
    code.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, architecture.audit, 1, 0));
    // Over the block and its two last instructions.
    code.push_back(instruction(BPF_JMP | BPF_JA, static_cast<uint32_t>(block.size() + 2)));
    code.insert(code.end(), block.begin(), block.end());
    leave.push_back(code.size());
    code.push_back(instruction(BPF_JMP | BPF_JA, 0));
    code.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  }
  for (size_t at : leave) code[at].k = static_cast<uint32_t>(code.size() - at - 1);
  return code;
}

std::vector<uint32_t> Compiler::audit_numbers() const {
  std::vector<uint32_t> numbers;
  for (const Architecture& architecture : architectures) numbers.push_back(architecture.audit);
  return numbers;
}

Result<std::string> exported(scmp_filter_ctx context) {
  const sys::Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return failed("memory", -errno);
  const int done = seccomp_export_bpf(context, file.get());
  if (done < 0) return failed("the program", done);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return failed("the program", -errno);
  return sys::read_all(file.get(), BPF_MAXINSNS * sizeof(sock_filter));
}

// Bump when the compiler changes: old programs are not found any more.
constexpr std::string_view kCacheVersion = "wherry seccomp 2\n";

// A section as bytes that no other section has: every part with its length or its end.
class Canonical {
 public:
  void text(std::string_view value) {
    number(value.size());
    bytes_ += value;
  }
  void number(uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void optional(std::optional<uint32_t> value) {
    number(value ? uint64_t{*value} : std::numeric_limits<uint64_t>::max());
  }
  void texts(const std::vector<std::string>& list) {
    number(list.size());
    for (const std::string& value : list) text(value);
  }
  void rule(const oci::SeccompRule& rule) {
    texts(rule.names);
    text(rule.action);
    optional(rule.errno_ret);
    number(rule.args.size());
    for (const oci::SeccompArgument& argument : rule.args) {
      number(argument.index);
      number(argument.value);
      number(argument.value_two);
      text(argument.op);
    }
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_{kCacheVersion};
};

std::string file_of(std::string_view key) {
  return std::string(key) + ".bpf";
}

}  // namespace

Result<SpecFilter> compile_spec_filter(const oci::Seccomp& seccomp) {
  SpecFilter filter;
  Compiler compiler{seccomp, {}, 0, false, {}, {}, false};
  TRY(filter.flags, flags_of(seccomp));
  TRY_VOID(compiler.prepare());
  if (compiler.default_action == SCMP_ACT_ALLOW && seccomp.syscalls.empty()) return filter;
  const Context context(seccomp_init(compiler.default_action), seccomp_release);
  if (!context) return failed("memory", -ENOMEM);
  TRY_VOID(compiler.add_rules(context.get()));
  TRY(const std::string program, exported(context.get()));
  std::vector<sock_filter> code = compiler.prefix();
  const size_t prefix = code.size();
  code.resize(prefix + program.size() / sizeof(sock_filter));
  std::memcpy(&code[prefix], program.data(), program.size());
  code = shrink_filter(std::move(code), compiler.audit_numbers());
  if (code.size() > BPF_MAXINSNS) return failed("it is too long", -E2BIG);
  filter.program.assign(reinterpret_cast<const char*>(code.data()),
                        code.size() * sizeof(sock_filter));
  filter.listener = compiler.listener;
  return filter;
}

std::string spec_filter_key(const oci::Seccomp& seccomp) {
  Canonical canonical;
  canonical.text(seccomp.default_action);
  canonical.optional(seccomp.default_errno_ret);
  canonical.texts(seccomp.architectures);
  canonical.number(seccomp.syscalls.size());
  for (const oci::SeccompRule& rule : seccomp.syscalls) canonical.rule(rule);
  return sys::sha256(canonical.bytes()).hex();
}

std::optional<std::string> kept_filter_program(const std::string& directory, std::string_view key) {
  const Result<sys::Fd> file =
      sys::open_file(directory + "/" + file_of(key), O_RDONLY | O_NOFOLLOW);
  if (!file) return std::nullopt;
  Result<std::string> bytes = sys::read_all(file->get(), BPF_MAXINSNS * sizeof(sock_filter));
  if (!bytes || bytes->empty() || bytes->size() % sizeof(sock_filter) != 0) return std::nullopt;
  return std::move(*bytes);
}

Result<SpecFilter> cached_spec_filter(const oci::Seccomp& seccomp, const std::string& directory) {
  if (directory.empty()) return compile_spec_filter(seccomp);
  // Flags are cheap to see, the program is not.
  const std::string key = spec_filter_key(seccomp);
  if (std::optional<std::string> program = kept_filter_program(directory, key)) {
    SpecFilter filter;
    TRY(filter.flags, flags_of(seccomp));
    filter.program = std::move(*program);
    filter.key = key;
    return filter;
  }
  TRY(SpecFilter filter, compile_spec_filter(seccomp));
  // A listener is rare: it is not worth a second fact in the file.
  const Result<sys::Fd> folder = sys::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (folder && !filter.listener && !filter.program.empty()) {
    const Result<void> kept =
        sys::write_file_atomic(folder->get(), file_of(key), filter.program, 0600, sys::Sync::kNone);
    if (kept) filter.key = key;
  }
  return filter;
}

std::span<const std::string_view> seccomp_actions() {
  return kActions;
}
std::span<const std::string_view> seccomp_operators() {
  return kOperators;
}
std::span<const std::string_view> seccomp_architectures() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const Architecture& architecture : kArchitectures) list.push_back(architecture.name);
    return list;
  }();
  return names;
}
std::span<const std::string_view> seccomp_flags() {
  return kFlags;
}

}  // namespace wherry::runtime
