// The device program of cgroup version 2, run by a small interpreter of the instructions it is made
// of.
#include "runtime/device_program.h"

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>

namespace wherry::runtime {
namespace {

uint64_t run(const std::vector<bpf_insn>& code, const bpf_cgroup_dev_ctx& context) {
  uint64_t registers[11] = {};
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const bpf_insn& line = code[pc];
    uint64_t& dst = registers[line.dst_reg];
    const auto immediate = static_cast<uint64_t>(static_cast<int64_t>(line.imm));
    switch (line.code) {
      case BPF_LDX | BPF_MEM | BPF_W: {
        uint32_t word;
        std::memcpy(&word, reinterpret_cast<const char*>(&context) + line.off, 4);
        dst = word;
        break;
      }
      case BPF_ALU64 | BPF_MOV | BPF_X:
        dst = registers[line.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        dst = immediate;
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        dst &= immediate;
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        dst >>= immediate;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        if (static_cast<uint32_t>(dst) != static_cast<uint32_t>(line.imm)) pc += line.off;
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        if (static_cast<uint32_t>(dst) == static_cast<uint32_t>(line.imm)) pc += line.off;
        break;
      case BPF_JMP | BPF_EXIT:
        return registers[0];
      default:
        throw std::invalid_argument("instruction " + std::to_string(line.code));
    }
  }
  throw std::out_of_range("no verdict");
}

bool allowed(const std::vector<oci::DeviceRule>& rules, char type, uint32_t major, uint32_t minor,
             const std::string& access) {
  bpf_cgroup_dev_ctx context{};
  uint32_t bits = 0;
  for (char letter : access) {
    bits |= letter == 'm'   ? BPF_DEVCG_ACC_MKNOD
            : letter == 'r' ? BPF_DEVCG_ACC_READ
                            : BPF_DEVCG_ACC_WRITE;
  }
  context.access_type = bits << 16 | (type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
  context.major = major;
  context.minor = minor;
  return run(device_program(rules), context) == 1;
}

const oci::DeviceRule kDenyAll{.allow = false, .type = 'a'};

TEST(DeviceProgram, DeniesWhatNoRuleAllows) {
  const std::vector<oci::DeviceRule> rules = {
      kDenyAll,
      {.allow = true, .type = 'c', .access = "m"},
      {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"},
      {.allow = true, .type = 'c', .major = 136, .access = "rw"}};
  EXPECT_TRUE(allowed(rules, 'c', 1, 3, "rw"));
  EXPECT_FALSE(allowed(rules, 'b', 1, 3, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 1, 4, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 2, 3, "r"));
  EXPECT_TRUE(allowed(rules, 'c', 200, 7, "m"));
  EXPECT_FALSE(allowed(rules, 'c', 200, 7, "mr"));
  EXPECT_TRUE(allowed(rules, 'c', 136, 99, "rwm")) << "two rules together allow all three";
}

TEST(DeviceProgram, TheLastMatchingRuleWins) {
  std::vector<oci::DeviceRule> rules = {
      kDenyAll,
      {.allow = true, .type = 'c', .access = "rwm"},
      {.allow = false, .type = 'c', .major = 10, .minor = 229, .access = "rw"}};
  EXPECT_FALSE(allowed(rules, 'c', 10, 229, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 10, 229, "rm")) << "one refused access is enough";
  EXPECT_TRUE(allowed(rules, 'c', 10, 229, "m"));
  EXPECT_TRUE(allowed(rules, 'c', 10, 228, "rw"));
  rules.push_back({.allow = true, .type = 'c', .major = 10, .minor = 229, .access = "r"});
  EXPECT_TRUE(allowed(rules, 'c', 10, 229, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 10, 229, "w"));
  rules.push_back(kDenyAll);
  EXPECT_FALSE(allowed(rules, 'c', 1, 3, "r"));
  rules.push_back({.allow = true, .type = 'a'});
  EXPECT_TRUE(allowed(rules, 'b', 8, 0, "rwm"));
}

TEST(DeviceProgram, TypeAllTakesNumbersToo) {
  const std::vector<oci::DeviceRule> rules = {
      kDenyAll, {.allow = true, .type = 'a', .major = 7, .minor = 1, .access = "r"}};
  EXPECT_TRUE(allowed(rules, 'b', 7, 1, "r"));
  EXPECT_TRUE(allowed(rules, 'c', 7, 1, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 7, 2, "r"));
}

TEST(DeviceProgram, LargeNumbersCompareAsTheyAre) {
  const std::vector<oci::DeviceRule> rules = {
      kDenyAll,
      {.allow = true, .type = 'c', .major = 0xffffffff, .minor = 0x80000000, .access = "r"}};
  EXPECT_TRUE(allowed(rules, 'c', 0xffffffff, 0x80000000, "r"));
  EXPECT_FALSE(allowed(rules, 'c', 0xffffffff, 0, "r"));
}

TEST(DeviceProgram, WithoutADenyEverythingElseIsAllowed) {
  const std::vector<oci::DeviceRule> rules = {{.allow = false, .type = 'b', .access = "w"}};
  EXPECT_FALSE(allowed(rules, 'b', 8, 0, "w"));
  EXPECT_TRUE(allowed(rules, 'b', 8, 0, "r"));
  EXPECT_TRUE(allowed(rules, 'c', 8, 0, "w"));
}

}  // namespace
}  // namespace wherry::runtime
