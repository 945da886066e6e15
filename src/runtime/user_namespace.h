// User and time namespaces of a container: what its parent does for a child that may no longer do
// it itself. Sources: user_namespaces(7), time_namespaces(7), OCI runtime-spec config-linux.md.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "sys/fd.h"

namespace wherry::runtime {

// Mappings the kernel would take: none empty, none overlapping, at most 340 of each kind.
Result<void> check_mappings(const std::vector<oci::IdMapping>& mappings, const char* what);
// The text of /proc/PID/uid_map.
std::string map_text(const std::vector<oci::IdMapping>& mappings);

// Writes the maps of a child that has just been born in a user namespace of its own.
Result<void> map_users(pid_t pid, const std::vector<oci::IdMapping>& uids,
                       const std::vector<oci::IdMapping>& gids);
// The child's answer to it: uid and gid 0 of its namespace.
Result<void> become_root();

// A user namespace with these maps and nobody in it, for idmapped mounts. Needs one thread.
Result<sys::Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                                    const std::vector<oci::IdMapping>& gids);

// "monotonic 5 0\n" for /proc/self/timens_offsets.
Result<std::string> offsets_text(const std::map<std::string, oci::TimeOffset>& offsets);

// The calling process's children are born in a new time namespace with these offsets until this
// object ends. Only so does the child itself live by them: whoever unshares keeps the old clock.
class TimeNamespaceForChildren {
 public:
  static Result<TimeNamespaceForChildren> make(
      const std::map<std::string, oci::TimeOffset>& offsets);
  TimeNamespaceForChildren(TimeNamespaceForChildren&&) noexcept = default;
  TimeNamespaceForChildren& operator=(TimeNamespaceForChildren&&) noexcept = default;
  ~TimeNamespaceForChildren();

 private:
  explicit TimeNamespaceForChildren(sys::Fd own) : own_(std::move(own)) {}
  sys::Fd own_;
};

// Whether the namespace `name` ("user") of a process is another than ours.
Result<bool> in_other_namespace(pid_t pid, const char* name);

}  // namespace wherry::runtime
