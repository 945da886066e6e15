#include "runtime/device_program.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "sys/fd.h"

namespace wherry::runtime {
namespace {

constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kUndecided = BPF_REG_3;  // access bits no rule has decided yet
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;
constexpr uint8_t kScratch = BPF_REG_6;
constexpr size_t kMaxAttached = 64;

bpf_insn instruction(uint8_t code, uint8_t dst, uint8_t src, int16_t offset, int32_t immediate) {
  bpf_insn result{};
  result.code = code;
  result.dst_reg = dst & 0xf;
  result.src_reg = src & 0xf;
  result.off = offset;
  result.imm = immediate;
  return result;
}

bpf_insn load_word(uint8_t dst, size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, dst, kContext, static_cast<int16_t>(offset), 0);
}

void give_verdict(std::vector<bpf_insn>& code, int verdict) {
  code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict));
  code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int32_t access_bits(const std::string& access) {
  int32_t bits = 0;
  if (access.find('m') != std::string::npos) bits |= BPF_DEVCG_ACC_MKNOD;
  if (access.find('r') != std::string::npos) bits |= BPF_DEVCG_ACC_READ;
  if (access.find('w') != std::string::npos) bits |= BPF_DEVCG_ACC_WRITE;
  return bits;
}

// One rule: jumps behind itself when the device is another one.
std::vector<bpf_insn> rule_block(const oci::DeviceRule& rule) {
  std::vector<bpf_insn> body;
  std::vector<size_t> jumps;  // to the end of the block, patched below
  const auto unless_equal = [&](uint8_t reg, int64_t value) {
    jumps.push_back(body.size());
    // 32-bit comparison: the immediate is not sign-extended into the upper half.
    body.push_back(instruction(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0,
                               static_cast<int32_t>(static_cast<uint32_t>(value))));
  };
  if (rule.type == 'c') unless_equal(kType, BPF_DEVCG_DEV_CHAR);
  if (rule.type == 'b') unless_equal(kType, BPF_DEVCG_DEV_BLOCK);
  if (rule.major) unless_equal(kMajor, *rule.major);
  if (rule.minor) unless_equal(kMinor, *rule.minor);
  const int32_t bits = access_bits(rule.access);
  if (rule.allow) {
    body.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, kUndecided, 0, 0, ~bits));
    jumps.push_back(body.size());
    body.push_back(instruction(BPF_JMP32 | BPF_JNE | BPF_K, kUndecided, 0, 0, 0));
    give_verdict(body, 1);
  } else {
    body.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, kScratch, kUndecided, 0, 0));
    body.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, kScratch, 0, 0, bits));
    jumps.push_back(body.size());
    body.push_back(instruction(BPF_JMP32 | BPF_JEQ | BPF_K, kScratch, 0, 0, 0));
    give_verdict(body, 0);
  }
  for (size_t at : jumps) body[at].off = static_cast<int16_t>(body.size() - at - 1);
  return body;
}

int bpf_call(int command, bpf_attr& attr) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof attr));
}

Result<sys::Fd> load_program(const std::vector<bpf_insn>& code) {
  static constexpr char kLicense[] =
      "GPL";  // what the verifier asks for some helpers; we call none
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.expected_attach_type = BPF_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uint64_t>(code.data());
  attr.insn_cnt = static_cast<uint32_t>(code.size());
  attr.license = reinterpret_cast<uint64_t>(kLicense);
  std::strncpy(attr.prog_name, "wherry_devices", sizeof attr.prog_name - 1);
  const int fd = bpf_call(BPF_PROG_LOAD, attr);
  if (fd < 0) return Error::from_errno(errno, "cannot load the device program");
  return sys::Fd(fd);
}

Result<std::vector<uint32_t>> attached_programs(int cgroup_fd) {
  std::array<uint32_t, kMaxAttached> ids{};
  bpf_attr attr{};
  attr.query.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = reinterpret_cast<uint64_t>(ids.data());
  attr.query.prog_cnt = ids.size();
  if (bpf_call(BPF_PROG_QUERY, attr) < 0) {
    return Error::from_errno(errno, "cannot list the device programs of the cgroup");
  }
  return std::vector<uint32_t>(ids.begin(), ids.begin() + attr.query.prog_cnt);
}

Result<void> detach_program(int cgroup_fd, uint32_t id) {
  bpf_attr by_id{};
  by_id.prog_id = id;
  const sys::Fd program(bpf_call(BPF_PROG_GET_FD_BY_ID, by_id));
  if (!program) {
    if (errno == ENOENT) return {};
    return Error::from_errno(errno, "cannot open the cgroup's earlier device program");
  }
  bpf_attr attr{};
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  if (bpf_call(BPF_PROG_DETACH, attr) < 0 && errno != ENOENT) {
    return Error::from_errno(errno, "cannot detach the cgroup's earlier device program");
  }
  return {};
}

}  // namespace

std::vector<bpf_insn> device_program(const std::vector<oci::DeviceRule>& rules) {
  std::vector<bpf_insn> code;
  // access_type: the device's type in the lower half, the accesses in the upper.
  code.push_back(load_word(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, kUndecided, kType, 0, 0));
  code.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  code.push_back(instruction(BPF_ALU64 | BPF_RSH | BPF_K, kUndecided, 0, 0, 16));
  code.push_back(load_word(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  code.push_back(load_word(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    const std::vector<bpf_insn> block = rule_block(*rule);
    code.insert(code.end(), block.begin(), block.end());
    const bool decides_all = rule->type == 'a' && !rule->major && !rule->minor &&
                             access_bits(rule->access) ==
                                 (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE);
    if (decides_all) break;  // what stands before it no longer matters
  }
  give_verdict(code, 1);
  return code;
}

Result<void> attach_device_program(int cgroup_fd, const std::vector<oci::DeviceRule>& rules) {
  TRY(const sys::Fd program, load_program(device_program(rules)));
  TRY(const std::vector<uint32_t> earlier, attached_programs(cgroup_fd));
  bpf_attr attr{};
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf_call(BPF_PROG_ATTACH, attr) < 0) {
    return Error::from_errno(errno, "cannot attach the device program to the cgroup");
  }
  for (uint32_t id : earlier) TRY_VOID(detach_program(cgroup_fd, id));
  return {};
}

}  // namespace wherry::runtime
