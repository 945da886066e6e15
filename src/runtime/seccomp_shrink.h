// A seccomp program with the same verdicts, a quarter of the length: what the kernel takes to load
// one is mostly its length (270 us for Docker's profile from libseccomp, 90 us shrunk).
//
// libseccomp writes the rules of each architecture on their own, a branch or two for each system
// call. Here the program is run for every number at which its answer can change, with arguments
// unknown; numbers in a row with the same answer become one range, and the ranges a binary tree.
// Where the answer depends on arguments, what the old instructions do with them stays as it was.
// tests/unit/runtime/seccomp_equivalence_test.cc asks both programs everything.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

namespace wherry::runtime {

// `architectures`: the AUDIT_ARCH_ values the program tells apart; all others get one answer. The
// program itself when it uses an instruction that is not understood or would not get shorter.
std::vector<sock_filter> shrink_filter(std::vector<sock_filter> program,
                                       std::span<const uint32_t> architectures);

}  // namespace wherry::runtime
