// The cgroup hierarchies that are mounted here and writable, and paths below them. What a group
// contains is runtime/cgroup.h's business. Source: cgroups(7), proc_pid_mountinfo(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

struct Hierarchies {
  struct V1 {
    std::string mount;                     // "/sys/fs/cgroup/cpu"
    std::vector<std::string> controllers;  // "cpu", "cpuacct"; or "name=systemd"
  };
  std::vector<V1> v1;
  std::string v2_mount;  // empty: none
};

// Pure: from the text of /proc/self/mountinfo. Read-only mounts are left out; of several mounts of
// one hierarchy the first counts.
Hierarchies parse_hierarchies(std::string_view mountinfo);
Result<Hierarchies> find_hierarchies();

// From now on find_hierarchies() answers from what is mounted now, in this process. The kernel
// takes 0.1 ms to tell.
Result<void> keep_cgroup_mounts();

// The directory of a cgroup of version 2 where that is mounted as usual; empty: not there.
sys::Fd usual_v2_directory(const std::string& cgroups_path);

// An absolute cgroup path ("/wherry/<id>") split at '/'. Refused: the root itself, empty parts,
// ".", "..", more than 32 parts, parts longer than 255 bytes or with a line end.
Result<std::vector<std::string>> split_cgroups_path(const std::string& cgroups_path);

}  // namespace wherry::runtime
