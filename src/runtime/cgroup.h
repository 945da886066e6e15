// One container's cgroup in every mounted hierarchy: version 1 (each mount, name=systemd included),
// hybrid (version 1 plus /sys/fs/cgroup/unified) and pure version 2. Internal to the runtime floor;
// the free functions of runtime/container.h (kill_cgroup, remove_cgroup, ...) are built on it.
//
// At a glance: create() makes the directories and writes the values of runtime/cgroup_plan.h; the
// parent clones with CLONE_INTO_CGROUP where v2_fd() is valid; the child calls attach_self() for
// version 1. Nobody writes another process's pid into cgroup.procs: that waits about 10 ms for an
// RCU grace period. All destructive calls are idempotent: a cgroup that is not there is already
// killed, thawed and removed. The object owns fds only; destroying it removes nothing. Thread rule:
// one thread at a time. Sources: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "sys/fd.h"

namespace wherry::runtime {

using SubCgroups = std::map<std::string, std::string>;

class Cgroup {
 public:
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&&) noexcept = default;

  // Makes `cgroups_path` ("/wherry/<id>") in every hierarchy and writes limits and device rules.
  // Leftovers of the same name are reused when nobody is in them, else kConflict. On an error
  // nothing made here remains. A limit that this host cannot keep is kUnsupported naming the
  // controller and the remedy; what is only a preference (a weight, a reservation) goes to
  // `warnings`.
  static Result<Cgroup> create(const std::string& cgroups_path, const oci::Resources& resources,
                               std::vector<std::string>& warnings);
  // The first half of create(), and the second.
  static Result<Cgroup> prepare(const std::string& cgroups_path);
  static Result<Cgroup> limit(Cgroup made, const oci::Resources& resources,
                              std::vector<std::string>& warnings);
  // As create, for a cgroup that somebody else has made, with processes in it: what is missing of
  // its directories is made, limits are written.
  static Result<Cgroup> adopt(const std::string& cgroups_path, const oci::Resources& resources,
                              std::vector<std::string>& warnings);
  // An existing cgroup; kNotFound when no hierarchy has it. Not for attach_self.
  static Result<Cgroup> find(const std::string& cgroups_path);
  // As find, for exec: with what attach_self needs. `below`: cgroups below it to join instead, by
  // controller ("memory", "systemd"; "" for all hierarchies). One that does not exist is kNotFound,
  // a controller that has no hierarchy of its own here kInvalidArgument.
  static Result<Cgroup> open(const std::string& cgroups_path, const SubCgroups& below = {});
  // Makes it without limits where it is missing, else opens it as it is: for the engine's own
  // cgroup, whose v2_fd() belongs into the spawn of a monitor.
  static Result<Cgroup> ensure(const std::string& cgroups_path);

  // The version 2 directory for CLONE_INTO_CGROUP; -1: no version 2 hierarchy. Valid while the
  // object lives.
  int v2_fd() const { return v2_dir_.get(); }
  // Moves the calling thread (of a single-threaded process) into every version 1 hierarchy, through
  // fds opened beforehand: no path is looked up, so it works after the mounts changed.
  Result<void> attach_self() const;
  // As attach_self, and into the version 2 cgroup too: for callers that were not cloned into it.
  Result<void> attach_self_everywhere() const;

  // Writes changed limits ("update"); same rules for what the host lacks as create().
  Result<void> apply(const oci::Resources& resources, std::vector<std::string>& warnings) const;

  // Whether the kernel has killed anybody here for lack of memory. False when there is no memory
  // controller.
  Result<bool> oom_killed() const;
  // Processes in it and in its children; empty when it is gone.
  Result<std::set<pid_t>> processes() const;
  Result<uint64_t> process_count() const;
  // SIGKILL to everything in it and its children, frozen or not, then waits until it is empty;
  // kUnavailable after `timeout_ms`.
  Result<void> kill_all(int timeout_ms) const;
  // Returns when everything is frozen (or thawed).
  Result<void> freeze(bool frozen) const;
  // Whether freeze(true) is in effect.
  Result<bool> frozen() const;
  // Removes it, children deepest first, in every hierarchy. Waits shortly for processes that are
  // just dying; a living one is kConflict.
  Result<void> remove() const;

  // The end of a container: remove() at once where nobody is left (the usual case, one rmdir per
  // hierarchy), else kill_all(timeout_ms) first.
  Result<void> destroy(int timeout_ms) const;

  // Where the container's own cgroup lies, one per hierarchy, for the mount on /sys/fs/cgroup.
  // `name` is the hierarchy's directory there: "cpu,cpuacct", "systemd", "unified"; empty for pure
  // version 2.
  struct Directory {
    std::string name;
    std::string path;  // absolute on the host
  };
  std::vector<Directory> directories() const;

 private:
  struct Group {
    std::vector<std::string>
        controllers;        // version 1: "cpu", "name=systemd"; version 2: "memory", "io"
    std::string directory;  // absolute
    sys::Fd join;           // version 1: `tasks`, open for writing
  };

  Cgroup() = default;
  static Result<Cgroup> limited(Cgroup cgroup, const oci::Resources& resources,
                                std::vector<std::string>& warnings);
  static Result<Cgroup> at(const std::string& cgroups_path);
  static Result<Cgroup> make(const std::string& cgroups_path, bool fresh,
                             const std::vector<std::string>& rare);
  Result<void> check_memory_below(uint64_t limit) const;
  Result<void> open_joins();
  Result<void> descend(const std::string& controller, const std::string& below);
  Result<void> open_v2();
  std::vector<std::string> all_paths() const;
  bool v2_populated() const;
  Result<void> remove_until(int64_t deadline_ns) const;
  Result<bool> signal_leftovers(int64_t deadline_ns) const;

  std::string path_;
  std::vector<Group> v1_;
  Group v2_;  // directory empty: no version 2 hierarchy
  sys::Fd v2_dir_;
};

}  // namespace wherry::runtime
