// The last part of the way to execve, the same for a container's init and for a process that joins:
// inside all namespaces with the final root, from full privileges down to exactly what the plan
// gives.
#pragma once

#include <unistd.h>

#include <string>

#include "runtime/create_plan.h"
#include "runtime/sync.h"
#include "sys/fd.h"

namespace wherry::runtime {

enum class Role { kInit, kJoined };

// The first acts of a fresh child: it dies with its parent (unless it is to outlive it), is the
// only holder of its end of the channel, cannot be traced, and has default signals.
Result<void> begin_child(ChannelPair& channels, bool outlive_parent);

// From here to execve. `root`: the container's root as "/"; `proc`: a private procfs, opened when
// absent and needed. Returns only on failure, which the caller sends.
Error run_program(const ProcessPlan& plan, Role role, sys::Fd root, sys::Fd proc, Channel& channel);

// A detached procfs of the caller's pid namespace that nothing in the container can have changed.
Result<sys::Fd> private_proc();

// Runs `stage` in the child and tells the parent why it came back; never returns.
template <typename Stage>
[[noreturn]] void run_child(Channel& channel, Stage stage) {
  Error error = stage();
  [[maybe_unused]] Result<void> sent = channel.send_error(error);
  _exit(1);
}

}  // namespace wherry::runtime
