// What creating a container of a bundle and executing in it have in common. Internal to
// runtime/bundle.cc and runtime/bundle_exec.cc.
#pragma once

#include <string>

#include "runtime/cgroup_place.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/seccomp_spec.h"

namespace wherry::runtime {

// Every one of 3 .. 3+count-1 must be open: a gap would be filled by a fd of ours.
Result<void> check_preserved_fds(unsigned count);
// A terminal needs somebody who gets it, and a socket for it needs a terminal.
Result<void> check_console(const oci::Process& process, const std::string& socket, bool detached);

// The compiled linux.seccomp, or nothing. A section that notifies needs a listenerPath.
Result<SpecFilter> filter_of(const oci::RuntimeSpec& spec, const std::string& cache);
BundlePart bundle_part(unsigned preserve_fds, bool no_new_keyring, bool detached,
                       const SpecFilter& filter);

// systemd's part of a cgroup; for other drivers there is nothing to do.
Result<void> start_unit(const CgroupPlace& place, const oci::Resources& resources, pid_t pid);
Result<void> stop_unit(const CgroupPlace& place);

// Sends the terminal's master to the socket; without a socket it is given back.
Result<sys::Fd> pass_console(sys::Fd console, const std::string& socket);
Result<void> pass_pidfd(int pidfd, const std::string& socket);
// To linux.seccomp.listenerPath, with the specification's container process state.
Result<void> pass_listener(int listener, pid_t pid, const oci::RuntimeSpec& spec,
                           const HookState& state);

}  // namespace wherry::runtime
