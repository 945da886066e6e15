#include "runtime/mounts_apply.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "runtime/copyup.h"
#include "runtime/root.h"
#include "runtime/targets.h"

namespace wherry::runtime {
namespace {

// A target inside /proc may only be one of the files that report resources, even when a link of the
// image led there: everything else could redirect what the kernel is told.
Result<void> check_not_in_proc(int target, const std::string& destination) {
  struct statfs status{};
  if (fstatfs(target, &status) != 0) return Error::from_errno(errno, "cannot look at the target");
  if (status.f_type == PROC_SUPER_MAGIC && !may_cover_in_proc(destination))
    return Error(ErrorKind::kInvalidArgument, "the destination lies inside '/proc'");
  return {};
}

Result<sys::Fd> new_filesystem(const MountStep& step) {
  TRY(sys::Filesystem filesystem, sys::Filesystem::open(step.type));
  if (!step.source.empty()) TRY_VOID(filesystem.set("source", step.source));
  for (const auto& [key, value] : step.data) {
    if (value) {
      TRY_VOID(filesystem.set(key, *value));
    } else {
      TRY_VOID(filesystem.set_flag(key));
    }
  }
  return filesystem.mount(step.attributes.set | step.recursive_attributes.set);
}

bool changes(const sys::MountAttributes& attributes) {
  return attributes.set != 0 || attributes.clear != 0 || attributes.propagation != 0;
}

Result<void> change(int mount, const MountStep& step) {
  if (changes(step.recursive_attributes))
    TRY_VOID(sys::change_mount(mount, step.recursive_attributes, true));
  if (changes(step.attributes)) TRY_VOID(sys::change_mount(mount, step.attributes, false));
  return {};
}

Result<void> change_propagation(int mount, const MountStep& step) {
  if (step.recursive_attributes.propagation != 0)
    TRY_VOID(
        sys::change_mount(mount, {.propagation = step.recursive_attributes.propagation}, true));
  if (step.attributes.propagation != 0)
    TRY_VOID(sys::change_mount(mount, {.propagation = step.attributes.propagation}, false));
  return {};
}

Result<void> apply_filesystem(int root, const MountStep& step, sys::Fd& proc) {
  bool kernels = step.type == "proc" || step.type == "sysfs";
  TRY(sys::Fd mount, new_filesystem(step));
  TRY(sys::Fd target,
      open_target(root, step.destination, TargetKind::kDirectory, {.follow = !kernels}));
  if (!kernels) TRY_VOID(check_not_in_proc(target.get(), step.destination));
  TRY_VOID(sys::attach_mount(mount.get(), target.get()));
  // Attached first: before Linux 6.15 only what lies in our mount namespace can be cloned.
  if (step.type == "proc" && !step.read_only() && !proc) {
    TRY(proc, sys::clone_mount(mount.get(), "", false));
    TRY_VOID(park_mount(proc.get()));
  }
  return change_propagation(mount.get(), step);
}

Result<void> apply_bind(int root, const MountStep& step, const sys::Fd& mount) {
  TRY(bool directory, is_directory(mount.get()));
  TRY(sys::Fd target, open_target(root, step.destination,
                                  directory ? TargetKind::kDirectory : TargetKind::kFile, {}));
  TRY_VOID(check_not_in_proc(target.get(), step.destination));
  if (step.copy_up && directory)
    TRY_VOID_CTX(copy_up(target.get(), mount.get()), "cannot fill the volume from the image");
  TRY_VOID(change(mount.get(), step));
  return sys::attach_mount(mount.get(), target.get());
}

// One directory for each hierarchy of version 1 below a small tmpfs, and links for controllers that
// share one ("cpu" -> "cpu,cpuacct").
Result<void> apply_hierarchies(int root, const MountStep& step,
                               std::vector<MountSources::Clone>& clones) {
  TRY(sys::Filesystem tmpfs, sys::Filesystem::open("tmpfs"));
  TRY_VOID(tmpfs.set("mode", "755"));
  TRY(sys::Fd base, tmpfs.mount(step.attributes.set & ~uint64_t{MOUNT_ATTR_RDONLY}));
  TRY(sys::Fd target, open_target(root, step.destination, TargetKind::kDirectory, {}));
  TRY_VOID(sys::attach_mount(base.get(), target.get()));
  for (MountSources::Clone& clone : clones) {
    if (mkdirat(base.get(), clone.name.c_str(), 0755) != 0)
      return Error::from_errno(errno, "cannot make '" + clone.name + "'");
    TRY(sys::Fd place, sys::open_at(base.get(), clone.name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    TRY_VOID(change(clone.mount.get(), step));
    TRY_VOID(sys::attach_mount(clone.mount.get(), place.get()));
    std::vector<std::string_view> controllers = split(clone.name, ',');
    for (std::string_view controller : controllers)
      if (controllers.size() > 1 &&
          symlinkat(clone.name.c_str(), base.get(), std::string(controller).c_str()) != 0)
        return Error::from_errno(errno, "cannot make the link '" + std::string(controller) + "'");
  }
  if (step.read_only()) return sys::change_mount(base.get(), {.set = MOUNT_ATTR_RDONLY}, false);
  return {};
}

Result<void> apply_cgroup(int root, const MountStep& step,
                          std::vector<MountSources::Clone>& clones) {
  if (clones.size() != 1 || !clones.front().name.empty())
    return apply_hierarchies(root, step, clones);
  TRY(sys::Fd target, open_target(root, step.destination, TargetKind::kDirectory, {}));
  TRY_VOID(change(clones.front().mount.get(), step));
  return sys::attach_mount(clones.front().mount.get(), target.get());
}

Result<void> apply_remount(int root, const MountStep& step) {
  TRY(sys::Fd target, sys::open_in_root(root, step.destination, O_PATH));
  return change(target.get(), step);
}

Result<void> apply_step(int root, const MountStep& step, std::vector<MountSources::Clone>& clones,
                        sys::Fd& proc) {
  switch (step.kind) {
    case MountStep::Kind::kFilesystem:
      return apply_filesystem(root, step, proc);
    case MountStep::Kind::kBind:
      return apply_bind(root, step, clones.front().mount);
    case MountStep::Kind::kCgroup:
      return apply_cgroup(root, step, clones);
    case MountStep::Kind::kRemount:
      return apply_remount(root, step);
  }
  return Error(ErrorKind::kInternal, "unknown kind of mount");
}

Result<std::vector<MountSources::Clone>> open_cgroups(const Cgroup& cgroup, bool host_view) {
  std::vector<MountSources::Clone> clones;
  for (const Cgroup::Directory& directory : cgroup.directories()) {
    bool whole = host_view && directory.name.empty();
    TRY(sys::Fd mount, sys::clone_mount_of(whole ? "/sys/fs/cgroup" : directory.path, false));
    TRY_VOID(sys::change_mount(mount.get(), {.propagation = MS_PRIVATE}, false));
    clones.push_back({directory.name, std::move(mount)});
  }
  return clones;
}

Result<std::vector<MountSources::Clone>> open_step(const MountStep& step, const Cgroup* cgroup,
                                                   bool host_view) {
  std::vector<MountSources::Clone> clones;
  if (step.kind == MountStep::Kind::kCgroup && cgroup != nullptr)
    return open_cgroups(*cgroup, host_view);
  if (step.kind == MountStep::Kind::kCgroup)
    return Error(ErrorKind::kInvalidArgument, "the container has no cgroup");
  if (step.kind == MountStep::Kind::kBind) {
    TRY(sys::Fd mount, sys::clone_mount_of(step.source, step.recursive));
    clones.push_back({{}, std::move(mount)});
  }
  return clones;
}

}  // namespace

Result<MountSources> open_sources(const std::vector<MountStep>& steps, const Cgroup* cgroup,
                                  bool host_view) {
  MountSources sources;
  for (const MountStep& step : steps) {
    TRY_CTX(std::vector<MountSources::Clone> clones, open_step(step, cgroup, host_view),
            "cannot mount '" + step.destination + "'");
    sources.of_step.push_back(std::move(clones));
  }
  return sources;
}

Result<void> apply_mounts(int root, const std::vector<MountStep>& steps, MountSources& sources,
                          sys::Fd& proc) {
  for (size_t i = 0; i < steps.size(); ++i)
    TRY_VOID_CTX(apply_step(root, steps[i], sources.of_step[i], proc),
                 "cannot mount '" + steps[i].destination + "'");
  return {};
}

}  // namespace wherry::runtime
