// Device rules of cgroup version 2: a BPF_PROG_TYPE_CGROUP_DEVICE program, assembled by hand, and
// its attachment to a group. Not used where a version 1 devices controller exists.
//
// Semantics, per access bit, as version 1 and Docker have it: the last rule that matches decides,
// and what no rule matches is allowed (rule lists begin with "deny all"). So the program walks the
// rules backwards with the bits still to be decided in a register. Lists up to the last rule for
// everything are all that counts. Source: bpf(2), linux/bpf.h (struct bpf_cgroup_dev_ctx),
// Documentation/bpf/standardization.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"

namespace wherry::runtime {

// Pure. Rules are valid (runtime/cgroup_plan.h checks them).
std::vector<bpf_insn> device_program(const std::vector<oci::DeviceRule>& rules);

// Loads the program and attaches it to the group `cgroup_fd`; programs attached there before (by an
// earlier call) are detached afterwards, so that there is no moment without a filter.
Result<void> attach_device_program(int cgroup_fd, const std::vector<oci::DeviceRule>& rules);

}  // namespace wherry::runtime
