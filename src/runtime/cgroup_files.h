// Files and directories of one cgroup, the small verbs that runtime/cgroup.cc is written in. Groups
// that vanish meanwhile are ordinary: a missing file reads as nullopt, a missing group lists
// nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

// Writes values one after another; a file that is written to again is not opened again.
class CgroupWriter {
 public:
  // The error names value and file.
  Result<void> write(const std::string& directory, const std::string& file, std::string_view value);

 private:
  std::string path_;
  sys::Fd fd_;
};

// One write(2), as the kernel wants it. The error names the file and the value.
Result<void> write_cgroup_file(const std::string& directory, const std::string& file,
                               std::string_view value);
// Without the trailing line end; nullopt when the file or the group is not there.
Result<std::optional<std::string>> read_cgroup_file(const std::string& directory,
                                                    const std::string& file);
// The number behind `key` in a flat keyed file ("populated 0"); nullopt when there is none.
std::optional<uint64_t> flat_value(std::string_view text, std::string_view key);

// The group and all below it, deepest first; empty when it is not there.
std::vector<std::string> cgroup_tree(const std::string& directory);
// Processes of the group and all below it.
Result<std::set<pid_t>> cgroup_processes(const std::string& directory);

// Waits until `key` in version 2's cgroup.events has `value` (poll on the file), or the group is
// gone. False when CLOCK_MONOTONIC passes `deadline_ns` first.
Result<bool> wait_cgroup_event(const std::string& directory, std::string_view key, uint64_t value,
                               int64_t deadline_ns);
// Waits until each of these processes has ended; false at the deadline. Who is already gone counts
// as ended.
Result<bool> wait_processes(const std::vector<int>& pidfds, int64_t deadline_ns);

// Removes the group and all below it. A group with processes is waited for until the deadline, then
// it is kConflict. A missing one is fine.
Result<void> remove_cgroup_tree(const std::string& directory, int64_t deadline_ns);

}  // namespace wherry::runtime
