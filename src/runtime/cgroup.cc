#include "runtime/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/failpoint.h"
#include "base/scope.h"
#include "base/text.h"
#include "base/trace.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_hierarchies.h"
#include "runtime/cgroup_plan.h"
#include "runtime/device_program.h"

namespace wherry::runtime {
namespace {

// What we hand down on version 2; others are left as the host has them.
constexpr int kAttempts = 10;
constexpr std::string_view kWantedControllers[] = {"cpu", "cpuset", "io", "memory", "pids"};

// And what only a container with such limits needs: handing down costs every group of the parent.
std::vector<std::string> rare_controllers(const oci::Resources& resources) {
  std::vector<std::string> names;
  if (!resources.hugepage_limits.empty()) names.emplace_back("hugetlb");
  if (!resources.rdma.empty()) names.emplace_back("rdma");
  for (const auto& [file, value] : resources.unified) {
    const auto dot = file.find('.');
    if (dot != std::string::npos) names.push_back(file.substr(0, dot));
  }
  return names;
}

Result<bool> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return true;
  if (errno == EEXIST) return false;
  return Error::from_errno(errno, fmt::format("cannot make the cgroup '{}'", path));
}

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// A new version 1 cpuset is empty and takes no process: fill it from its parent.
Result<void> inherit_cpuset(const std::string& parent, const std::string& directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    TRY(const auto own, read_cgroup_file(directory, file));
    if (!own || !own->empty()) continue;
    TRY(const auto inherited, read_cgroup_file(parent, file));
    if (inherited && !inherited->empty()) TRY_VOID(write_cgroup_file(directory, file, *inherited));
  }
  return {};
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (std::string_view word : split(text, ' ')) {
    if (!word.empty()) result.emplace_back(word);
  }
  return result;
}

// Hands the controllers this host has down from `parent`. What cannot be handed down (a parent with
// processes, no delegation) shows later as a controller that the group lacks, and is named then.
Result<void> hand_down_controllers(const std::string& parent,
                                   const std::vector<std::string>& rare) {
  TRY(const auto available, read_cgroup_file(parent, "cgroup.controllers"));
  if (available && available->empty()) return {};
  TRY(const auto enabled, read_cgroup_file(parent, "cgroup.subtree_control"));
  if (!available || !enabled) return {};
  const auto on = words(*enabled);
  for (const std::string& controller : words(*available)) {
    const bool wanted = std::find(std::begin(kWantedControllers), std::end(kWantedControllers),
                                  controller) != std::end(kWantedControllers) ||
                        has(rare, controller);
    if (!wanted || has(on, controller)) continue;
    const Result<void> written =
        write_cgroup_file(parent, "cgroup.subtree_control", "+" + controller);
    if (!written) continue;
  }
  return {};
}

// A version 1 cpuset that fills what is made in it: the kernel copies for nothing what it takes
// 0.2 ms for when it is written, because each write lays out the scheduling domains anew.
void let_children_inherit(const std::string& directory) {
  [[maybe_unused]] const Result<void> otherwise_written =
      write_cgroup_file(directory, "cgroup.clone_children", "1");
}

// Makes every part of the path below `mount` but the last.
Result<void> make_parents(const std::string& mount, const std::vector<std::string>& parts,
                          bool cpuset, bool v2, const std::vector<std::string>& rare) {
  std::string directory = mount;
  if (v2) TRY_VOID(hand_down_controllers(directory, rare));
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string parent = directory;
    directory += "/" + parts[i];
    TRY(const bool made, make_directory(directory));
    if (cpuset) TRY_VOID(inherit_cpuset(parent, directory));
    if (cpuset && made) let_children_inherit(directory);
    if (v2) TRY_VOID(hand_down_controllers(directory, rare));
  }
  return {};
}

// So that no old limit survives.
Result<void> replace_leftover(const std::string& directory) {
  TRY(const auto inhabitants, cgroup_processes(directory));
  if (!inhabitants.empty()) {
    return Error(ErrorKind::kConflict,
                 fmt::format("the cgroup '{}' exists and has processes", directory));
  }
  TRY_VOID(remove_cgroup_tree(directory, 0));
  TRY([[maybe_unused]] const bool made, make_directory(directory));
  return {};
}

ControllerPlaces places_of(const std::vector<std::vector<std::string>>& v1,
                           const std::vector<std::string>& v2, bool v2_mounted) {
  ControllerPlaces places;
  for (const auto& controllers : v1) places.v1.insert(controllers.begin(), controllers.end());
  places.v2.insert(v2.begin(), v2.end());
  places.v2_mounted = v2_mounted;
  return places;
}

Error unsupported_file(const CgroupValue& value, const std::string& directory) {
  return Error(ErrorKind::kUnsupported,
               fmt::format("cannot set '{}' to '{}': the '{}' controller in '{}' has no such limit",
                           value.file, value.value, value.controller, directory))
      .set_hint("this kernel was built or booted without it");
}

bool file_exists(const std::string& directory, const std::string& file) {
  return ::access(fmt::format("{}/{}", directory, file).c_str(), F_OK) == 0;
}

// Writes one planned value. kConflict and kInvalidArgument may be a matter of order: see
// write_values.
Result<void> write_value(const CgroupValue& value, const std::string& directory,
                         CgroupWriter& writer, std::vector<std::string>& warnings) {
  Result<void> written = writer.write(directory, value.file, value.value);
  if (written || written.error().errnum() != ENOENT) return written;
  if (!file_exists(directory, "cgroup.procs")) return written;  // the group itself is gone
  if (!value.alternative_file.empty() && file_exists(directory, value.alternative_file)) {
    return write_cgroup_file(directory, value.alternative_file, value.alternative_value);
  }
  if (value.required) return unsupported_file(value, directory);
  if (value.silent) return {};
  warnings.push_back(
      fmt::format("'{}' is not applied: this kernel's '{}' controller does not have it", value.file,
                  value.controller));
  return {};
}

}  // namespace

Result<Cgroup> Cgroup::make(const std::string& cgroups_path, bool fresh,
                            const std::vector<std::string>& rare) {
  TRY(const std::vector<std::string> parts, split_cgroups_path(cgroups_path));
  TRY(Hierarchies hierarchies, find_hierarchies());
  Cgroup cgroup;
  cgroup.path_ = cgroups_path;
  std::vector<std::string> made;
  auto undo = on_exit([&] {
    for (const std::string& directory : made) ::rmdir(directory.c_str());
  });
  // Mostly the parents are there, and what is above is looked at only when they are not.
  const auto make_in = [&](const std::string& mount, bool cpuset, bool v2) -> Result<std::string> {
    std::string directory = mount + cgroups_path;
    const std::string parent = directory.substr(0, directory.rfind('/'));
    if (v2) TRY_VOID(make_parents(mount, parts, cpuset, v2, rare));
    Result<bool> made_now = make_directory(directory);
    // Empty parents may be removed at any time.
    for (int i = 0; i < kAttempts && !made_now && made_now.error().errnum() == ENOENT; ++i) {
      TRY_VOID(make_parents(mount, parts, cpuset, v2, rare));
      made_now = make_directory(directory);
    }
    if (!made_now) return std::move(made_now.error());
    if (*made_now) made.push_back(directory);
    if (!*made_now && fresh) TRY_VOID(replace_leftover(directory));
    if (cpuset && (*made_now || fresh)) TRY_VOID(inherit_cpuset(parent, directory));
    return directory;
  };
  for (Hierarchies::V1& hierarchy : hierarchies.v1) {
    TRY(std::string directory,
        make_in(hierarchy.mount, has(hierarchy.controllers, "cpuset"), false));
    cgroup.v1_.push_back({.controllers = std::move(hierarchy.controllers),
                          .directory = std::move(directory),
                          .join = {}});
  }
  if (!hierarchies.v2_mount.empty()) {
    TRY(cgroup.v2_.directory, make_in(hierarchies.v2_mount, false, true));
  }
  TRY_VOID(cgroup.open_joins());
  undo.release();
  return cgroup;
}

Result<void> Cgroup::open_joins() {
  for (Group& group : v1_) {
    TRY(group.join, sys::open_file(group.directory + "/tasks", O_WRONLY));
  }
  return open_v2();
}

Result<void> Cgroup::open_v2() {
  if (v2_.directory.empty()) return {};
  TRY(v2_dir_, sys::open_file(v2_.directory, O_RDONLY | O_DIRECTORY));
  TRY(const auto controllers, read_cgroup_file(v2_.directory, "cgroup.controllers"));
  v2_.controllers = words(controllers.value_or(""));
  return {};
}

Result<Cgroup> Cgroup::create(const std::string& cgroups_path, const oci::Resources& resources,
                              std::vector<std::string>& warnings) {
  const TraceScope trace("runtime.cgroup.create");
  const std::string context = fmt::format("cannot make the cgroup '{}'", cgroups_path);
  TRY_CTX(Cgroup cgroup, make(cgroups_path, true, rare_controllers(resources)), context);
  return limited(std::move(cgroup), resources, warnings);
}

Result<Cgroup> Cgroup::prepare(const std::string& cgroups_path) {
  TRY_CTX(Cgroup cgroup, make(cgroups_path, true, {}),
          fmt::format("cannot make the cgroup '{}'", cgroups_path));
  return cgroup;
}

Result<Cgroup> Cgroup::limit(Cgroup made, const oci::Resources& resources,
                             std::vector<std::string>& warnings) {
  // They would have to be handed down before: it is made anew.
  if (!rare_controllers(resources).empty()) return create(made.path_, resources, warnings);
  const TraceScope trace("runtime.cgroup.limit");
  return limited(std::move(made), resources, warnings);
}

Result<Cgroup> Cgroup::limited(Cgroup cgroup, const oci::Resources& resources,
                               std::vector<std::string>& warnings) {
  const std::string context = fmt::format("cannot make the cgroup '{}'", cgroup.path_);
  auto undo = on_exit([&] {
    const Result<void> removed = cgroup.remove();
    if (!removed) warnings.push_back(removed.error().message());
  });
  TRY_VOID_CTX(failpoint("runtime.cgroup.created"), context);
  TRY_VOID_CTX(cgroup.apply(resources, warnings), context);
  TRY_VOID_CTX(failpoint("runtime.cgroup.limited"), context);
  undo.release();
  return cgroup;
}

Result<Cgroup> Cgroup::adopt(const std::string& cgroups_path, const oci::Resources& resources,
                             std::vector<std::string>& warnings) {
  const std::string context = fmt::format("cannot use the cgroup '{}'", cgroups_path);
  TRY_CTX(Cgroup cgroup, make(cgroups_path, false, rare_controllers(resources)), context);
  TRY_VOID_CTX(cgroup.apply(resources, warnings), context);
  return cgroup;
}

// One that is there in every hierarchy.
Result<Cgroup> Cgroup::at(const std::string& cgroups_path) {
  TRY_VOID(split_cgroups_path(cgroups_path));
  TRY(Hierarchies hierarchies, find_hierarchies());
  Cgroup cgroup;
  cgroup.path_ = cgroups_path;
  for (Hierarchies::V1& hierarchy : hierarchies.v1)
    cgroup.v1_.push_back({.controllers = std::move(hierarchy.controllers),
                          .directory = hierarchy.mount + cgroups_path,
                          .join = {}});
  if (!hierarchies.v2_mount.empty()) cgroup.v2_.directory = hierarchies.v2_mount + cgroups_path;
  TRY_VOID(cgroup.open_joins());
  return cgroup;
}

Result<Cgroup> Cgroup::ensure(const std::string& cgroups_path) {
  if (Result<Cgroup> there = at(cgroups_path)) return there;
  TRY_CTX(Cgroup cgroup, make(cgroups_path, false, {}),
          fmt::format("cannot make the cgroup '{}'", cgroups_path));
  return cgroup;
}

Result<void> Cgroup::descend(const std::string& controller, const std::string& below) {
  TRY_VOID(split_cgroups_path(below));
  std::vector<std::string*> directories;
  for (Group& group : v1_)
    if (controller.empty() || has(group.controllers, controller) ||
        has(group.controllers, "name=" + controller))
      directories.push_back(&group.directory);
  if (controller.empty() && !v2_.directory.empty()) directories.push_back(&v2_.directory);
  if (directories.empty())
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("the container has no cgroup of a controller '{}'", controller))
        .set_hint("on cgroup version 2 all controllers share one path: give it without a name");
  for (std::string* directory : directories) {
    *directory += below;
    if (::access(directory->c_str(), F_OK) != 0)
      return Error::from_errno(errno, fmt::format("cannot join the cgroup '{}'", *directory));
  }
  return {};
}

Result<Cgroup> Cgroup::open(const std::string& cgroups_path, const SubCgroups& below) {
  TRY(Cgroup cgroup, find(cgroups_path));
  for (const auto& [controller, path] : below) TRY_VOID(cgroup.descend(controller, path));
  TRY_VOID_CTX(cgroup.open_joins(), fmt::format("cannot open the cgroup '{}'", cgroups_path));
  return cgroup;
}

Result<Cgroup> Cgroup::find(const std::string& cgroups_path) {
  const std::string context = fmt::format("cannot open the cgroup '{}'", cgroups_path);
  TRY_VOID_CTX(split_cgroups_path(cgroups_path), context);
  TRY_CTX(Hierarchies hierarchies, find_hierarchies(), context);
  Cgroup cgroup;
  cgroup.path_ = cgroups_path;
  for (Hierarchies::V1& hierarchy : hierarchies.v1) {
    std::string directory = hierarchy.mount + cgroups_path;
    if (::access(directory.c_str(), F_OK) != 0) continue;
    cgroup.v1_.push_back({.controllers = std::move(hierarchy.controllers),
                          .directory = std::move(directory),
                          .join = {}});
  }
  if (!hierarchies.v2_mount.empty()) {
    std::string directory = hierarchies.v2_mount + cgroups_path;
    if (::access(directory.c_str(), F_OK) == 0) cgroup.v2_.directory = std::move(directory);
  }
  if (cgroup.v1_.empty() && cgroup.v2_.directory.empty()) {
    return Error(ErrorKind::kNotFound,
                 fmt::format("no hierarchy has the cgroup '{}'", cgroups_path));
  }
  TRY_VOID_CTX(cgroup.open_v2(), context);
  return cgroup;
}

Result<void> Cgroup::attach_self() const {
  for (const Group& group : v1_) {
    ssize_t written;
    do {
      written = ::write(group.join.get(), "0", 1);
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
      return Error::from_errno(errno, fmt::format("cannot join the cgroup '{}'", group.directory));
    }
  }
  return {};
}

Result<void> Cgroup::attach_self_everywhere() const {
  TRY_VOID(attach_self());
  if (v2_.directory.empty()) return {};
  // Even for the writer itself this waits for a grace period: not when we are there already.
  TRY(const std::string own, sys::read_file("/proc/self/cgroup", 1 << 20));
  for (std::string_view line : split(own, '\n')) {
    if (line.starts_with("0::") && line.substr(3) == path_) return {};
  }
  return write_cgroup_file(v2_.directory, "cgroup.procs", "0");
}

Result<void> Cgroup::check_memory_below(uint64_t limit) const {
  const Group* group = has(v2_.controllers, "memory") ? &v2_ : nullptr;
  for (const Group& one : v1_)
    if (has(one.controllers, "memory")) group = &one;
  if (group == nullptr) return {};
  const char* file = group == &v2_ ? "memory.current" : "memory.usage_in_bytes";
  TRY(const auto text, read_cgroup_file(group->directory, file));
  const auto used = text ? parse_u64(*text) : std::nullopt;
  if (!used || *used <= limit) return {};
  return Error(ErrorKind::kConflict,
               fmt::format("unable to set memory limit to {} (current usage: {})", limit, *used));
}

Result<void> Cgroup::apply(const oci::Resources& resources,
                           std::vector<std::string>& warnings) const {
  std::vector<std::vector<std::string>> v1;
  for (const Group& group : v1_) v1.push_back(group.controllers);
  TRY(CgroupPlan plan,
      plan_cgroup(resources, places_of(v1, v2_.controllers, !v2_.directory.empty())));
  for (std::string& warning : plan.warnings) warnings.push_back(std::move(warning));

  const auto directory_of = [&](const CgroupValue& value) -> const std::string& {
    if (value.version == 2) return v2_.directory;
    return std::find_if(
               v1_.begin(), v1_.end(),
               [&](const Group& group) { return has(group.controllers, value.controller); })
        ->directory;
  };
  if (plan.memory_check != 0) TRY_VOID(check_memory_below(plan.memory_check));
  // A limit may only be writable after another one (memory above the old memory plus swap, a quota
  // below the old period's minimum): what is refused is tried once more behind the rest.
  std::vector<const CgroupValue*> refused;
  CgroupWriter writer;
  for (const CgroupValue& value : plan.values) {
    Result<void> written = write_value(value, directory_of(value), writer, warnings);
    if (written) continue;
    if (written.error().errnum() != EINVAL && written.error().errnum() != EBUSY) return written;
    refused.push_back(&value);
  }
  for (const CgroupValue* value : refused) {
    TRY_VOID(write_value(*value, directory_of(*value), writer, warnings));
  }
  if (plan.device_program.empty()) return {};
  return attach_device_program(v2_dir_.get(), plan.device_program);
}

}  // namespace wherry::runtime
