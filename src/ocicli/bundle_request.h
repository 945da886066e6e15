// What `create`, `run` and `restore` are asked to do: the bundle's configuration with what flags
// and the environment add to it.
#pragma once

#include <string>

#include "oci/runtime_spec.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "runtime/bundle.h"

namespace wherry::ocicli {

struct BundleRequest {
  oci::RuntimeSpec spec;
  std::string config;  // the text of config.json as it was read
  std::string id;
  std::string bundle;  // absolute
  std::string pid_file;
  std::string console_socket;
  std::string pidfd_socket;
  std::string notify_socket;  // the host's; empty: none
  unsigned preserve_fds = 0;
  bool no_pivot = false;
  bool no_new_keyring = false;
};

// --bundle, --config, --pid-file, --console-socket, --pidfd-socket, --preserve-fds, --no-pivot,
// --no-new-keyring; LISTEN_FDS and NOTIFY_SOCKET.
Result<BundleRequest> read_request(const Call& call);

// Adds LISTEN_FDS of our own environment to a process; how many descriptors that is.
unsigned pass_listen_fds(oci::Process& process);
// Descriptors 3 .. 3+count-1 must be the caller's.
Result<void> check_preserved(unsigned count, const Log& log);
// The absolute path of a socket or file given by a flag; "" stays.
Result<std::string> absolute_path(const std::string& path);

runtime::CgroupDriver cgroup_driver(const Globals& globals);
// ROOT/.cache, made when missing: filters compiled once.
Result<std::string> seccomp_cache(const Globals& globals);

// Atomically, the decimal number without a line end, as containerd and conmon read it.
Result<void> write_pid_file(const std::string& path, pid_t pid);

}  // namespace wherry::ocicli
