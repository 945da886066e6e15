#include "runtime/mounts_apply.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "base/weaken.h"
#include "runtime/copyup.h"
#include "runtime/root.h"
#include "runtime/targets.h"
#include "runtime/user_namespace.h"

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

// fsconfig(2) takes values of at most 255 bytes; mount(2) takes a page of them.
constexpr size_t kParameterLimit = 255;

bool needs_classic_mount(const MountStep& step) {
  return step.label.size() > kParameterLimit ||
         std::ranges::any_of(step.data, [](const auto& parameter) {
           return parameter.second && parameter.second->size() > kParameterLimit;
         });
}

// The queues of an IPC namespace are one file system, made with the namespace: a mount cannot give
// it a context any more, its root can have one.
bool labelled_afterwards(const MountStep& step) {
  return step.type == "mqueue";
}

Result<void> label_root(int mount, const std::string& label) {
  TRY(const sys::Fd root, sys::open_at(mount, ".", O_RDONLY | O_DIRECTORY));
  if (fsetxattr(root.get(), "security.selinux", label.data(), label.size(), 0) == 0) return {};
  return Error::from_errno(errno, "cannot give it the SELinux label '" + label + "'");
}

unsigned long classic_flags(uint64_t attributes) {
  constexpr std::pair<uint64_t, unsigned long> kFlags[] = {
      {MOUNT_ATTR_RDONLY, MS_RDONLY},        {MOUNT_ATTR_NOSUID, MS_NOSUID},
      {MOUNT_ATTR_NODEV, MS_NODEV},          {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
      {MOUNT_ATTR_NOATIME, MS_NOATIME},      {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
      {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}};
  unsigned long flags = 0;
  for (const auto& [attribute, flag] : kFlags)
    if ((attributes & attribute) != 0) flags |= flag;
  return flags;
}

// On the opened target, named by its fd in the host's procfs, which is still in place.
Result<sys::Fd> mount_classic(int root, const MountStep& step, int target) {
  std::string data;
  for (const auto& [key, value] : step.data)
    data += (data.empty() ? "" : ",") + key + (value ? "=" + *value : "");
  // Quoted, for the commas between categories.
  if (!step.label.empty() && !labelled_afterwards(step))
    data += (data.empty() ? "" : ",") + ("context=\"" + step.label + '"');
  const std::string place = "/proc/self/fd/" + std::to_string(target);
  const uint64_t attributes = step.attributes.set | step.recursive_attributes.set;
  if (mount(step.source.c_str(), place.c_str(), step.type.c_str(), classic_flags(attributes),
            data.c_str()) != 0)
    return Error::from_errno(errno, "cannot mount a file system of type '" + step.type + "'");
  return open_target(root, step.destination, TargetKind::kDirectory, {.make = false});
}

// What a new file system is mounted with before it is filled.
uint64_t first_attributes(const MountStep& step) {
  const uint64_t attributes = step.attributes.set | step.recursive_attributes.set;
  return step.tmp_copy_up ? attributes & ~uint64_t{MOUNT_ATTR_RDONLY} : attributes;
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
  if (step.label.empty() || labelled_afterwards(step))
    return filesystem.mount(first_attributes(step));
  TRY_VOID_CTX(filesystem.set("context", step.label),
               "cannot give it the SELinux label '" + step.label + "'");
  return filesystem.mount(first_attributes(step));
}

bool changes(const sys::MountAttributes& attributes) {
  return attributes.set != 0 || attributes.clear != 0 || attributes.propagation != 0;
}

Result<void> change(int mount, const MountStep& step) {
  if (step.kind == MountStep::Kind::kCgroup && weakened(Defence::kCgroupReadOnly)) return {};
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
  const bool classic = needs_classic_mount(step);
  sys::Fd mount;
  if (!classic) {
    TRY(mount, new_filesystem(step));
  }
  TRY(sys::Fd target, open_target(root, step.destination, TargetKind::kDirectory,
                                  {.follow = !kernels || weakened(Defence::kProcLink)}));
  if (!kernels) TRY_VOID(check_not_in_proc(target.get(), step.destination));
  if (step.tmp_copy_up && !classic) {
    TRY_VOID_CTX(copy_up(target.get(), mount.get()), "cannot fill it from the image");
    if (step.read_only())
      TRY_VOID(sys::change_mount(mount.get(), {.set = MOUNT_ATTR_RDONLY}, false));
  }
  if (classic) {
    TRY(mount, mount_classic(root, step, target.get()));
  } else {
    TRY_VOID(sys::attach_mount(mount.get(), target.get()));
  }
  if (!step.label.empty() && labelled_afterwards(step))
    TRY_VOID(label_root(mount.get(), step.label));
  // Attached first: before Linux 6.15 only what lies in our mount namespace can be cloned.
  if (step.type == "proc" && !step.read_only() && !proc) {
    TRY(proc, sys::clone_mount(mount.get(), "", false));
    TRY_VOID(park_mount(proc.get()));
  }
  return change_propagation(mount.get(), step);
}

// A bind over all of /proc must be a procfs from its top: anything else could stand in for it.
Result<void> check_whole_proc(int mount) {
  if (weakened(Defence::kProcMounts)) return {};
  constexpr ino_t kProcRoot = 1;
  struct statfs filesystem{};
  struct stat status{};
  if (fstatfs(mount, &filesystem) != 0 || fstat(mount, &status) != 0)
    return Error::from_errno(errno, "cannot look at the source");
  if (filesystem.f_type == PROC_SUPER_MAGIC && status.st_ino == kProcRoot) return {};
  return Error(ErrorKind::kInvalidArgument, "nothing but a procfs may be mounted on '/proc'");
}

Result<void> apply_bind(int root, const MountStep& step, const sys::Fd& mount) {
  TRY(bool directory, is_directory(mount.get()));
  TRY(sys::Fd target, open_target(root, step.destination,
                                  directory ? TargetKind::kDirectory : TargetKind::kFile, {}));
  if (step.destination == "/proc") {
    TRY_VOID(check_whole_proc(mount.get()));
  } else {
    TRY_VOID(check_not_in_proc(target.get(), step.destination));
  }
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
  if (!step.label.empty()) TRY_VOID(tmpfs.set("context", step.label));
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
    if (step.map_ids) {
      TRY(const sys::Fd users, make_user_namespace(step.uid_mappings, step.gid_mappings));
      TRY_VOID(sys::map_mount_ids(mount.get(), users.get(), step.map_ids_below));
    }
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
