// Defences that a weakened build can leave out, one by one, so that each attack of
// docs/design/attacks.md is seen to succeed there (tests/harness/weakened.py). Never installed.
//
// In every other build weakened() is false at compile time: nothing of the other branch is left, a
// gate looks for it (tests/gates/linkage.py). Included by sources only, never by headers: cmake
// defines WHERRY_WEAKENED_BUILD for exactly the files that include this one (cmake/weaken.cmake).
#pragma once

#include <string>

namespace wherry {

// In the order of docs/design/attacks.md; cmake reads the names from this list.
// clang-format off
#define WHERRY_DEFENCES(X)                                    \
  X(kSeal, "seal")                                            \
  X(kCloseFds, "close-fds")                                   \
  X(kDumpable, "dumpable")                                    \
  X(kWorkingDirectory, "working-directory")                   \
  X(kTargets, "targets")                                      \
  X(kPaths, "paths")                                          \
  X(kProcLink, "proc-link")                                   \
  X(kProcMounts, "proc-mounts")                               \
  X(kPrivateProc, "private-proc")                             \
  X(kSysctlNames, "sysctl-names")                             \
  X(kMasks, "masks")                                          \
  X(kNullDevice, "null-device")                               \
  X(kConsole, "console")                                      \
  X(kMultiplexer, "multiplexer")                              \
  X(kInheritable, "inheritable")                              \
  X(kGroups, "groups")                                        \
  X(kNumericUser, "numeric-user")                             \
  X(kUserWords, "user-words")                                 \
  X(kAccountFiles, "account-files")                           \
  X(kAccountSize, "account-size")                             \
  X(kEnvironment, "environment")                              \
  X(kSeccomp, "seccomp")                                      \
  X(kCgroupReadOnly, "cgroup-read-only")                      \
  X(kSockets, "sockets")                                      \
  X(kRoots, "roots")                                          \
  X(kRouterAdvertisements, "router-advertisements")           \
  X(kUnpackJail, "unpack-jail")                               \
  X(kBuildSources, "build-sources")                           \
  X(kBuildKey, "build-key")                                   \
  X(kStubs, "stubs")
// clang-format on

enum class Defence {
#define X(constant, name) constant,
  WHERRY_DEFENCES(X)
#undef X
};

#ifdef WHERRY_WEAKENED_BUILD
bool weakened(Defence defence);
// "weakened: NAME, ...\n": for --version. Empty where nothing is left out.
std::string weakened_text();
#else
consteval bool weakened(Defence) {
  return false;
}
inline std::string weakened_text() {
  return {};
}
#endif

}  // namespace wherry
