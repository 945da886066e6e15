// The default seccomp profile as a table: which system calls a container may make. Data only;
// turning it into BPF is runtime/seccomp_compile.h's work.
//
// It follows Docker's default profile (system calls by name, by argument, by capability, by
// machine): what is not named gets EPERM, what is newer than the newest call named here gets
// ENOSYS, so that the feature probes of libraries fall back. Kernels before 4.8 are not supported,
// so ptrace is always there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace wherry::runtime {

// A 64-bit machine with the 32-bit ones its kernels also serve: x86_64, i386 and x32; arm64 and
// arm.
enum class Machine { kX86, kArm };

enum class Compare { kEqual, kLess, kGreater, kMaskedEqual };

// On the first argument, all 64 bits. With kMaskedEqual: (argument & value) == masked.
struct ArgumentTest {
  Compare compare;
  uint64_t value;
  uint64_t masked = 0;
};

// Allowed when the test holds. Void when the container has `unless_capability` (the table by
// capability allows the whole call then).
struct ConditionalCall {
  std::string_view name;
  ArgumentTest test;
  std::string_view unless_capability;
};

struct CapabilityCall {
  std::string_view capability;
  std::string_view name;
};

struct MachineCall {
  Machine machine;
  std::string_view name;
};

// A call that libseccomp of Debian 12 has no name for. From 424 on numbers are the same on all
// machines.
struct RecentCall {
  uint32_t number;
  std::string_view name;
  std::string_view capability;  // empty: always allowed; a name that is no capability: never
};

// Docker's 14, sorted.
std::span<const std::string_view> default_capabilities();

std::span<const std::string_view> always_allowed_calls();
std::span<const ConditionalCall> conditional_calls();
// AF_ALG and AF_VSOCK. The tests of the conditional table compare 64 bits while the kernel takes an
// int: these are refused by the low 32 bits as well.
std::span<const uint32_t> refused_socket_families();
std::span<const CapabilityCall> capability_calls();
std::span<const MachineCall> machine_calls();
// Sorted by number, without gaps; the last is the newest call the profile knows.
std::span<const RecentCall> recent_calls();

}  // namespace wherry::runtime
