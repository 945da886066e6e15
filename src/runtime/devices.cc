#include "runtime/devices.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "runtime/mount_plan.h"
#include "runtime/targets.h"
#include "sys/mount.h"

namespace wherry::runtime {
namespace {

struct DefaultDevice {
  const char* path;
  unsigned minor;
  unsigned major;
};
constexpr DefaultDevice kDefaultDevices[] = {
    {"/dev/null", 3, 1},   {"/dev/zero", 5, 1},    {"/dev/full", 7, 1},
    {"/dev/random", 8, 1}, {"/dev/urandom", 9, 1}, {"/dev/tty", 0, 5},
};

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},      {"ptmx", "pts/ptmx"},
};

Result<mode_t> node_type(const oci::Device& device) {
  switch (device.type) {
    case 'c':
    case 'u':
      return S_IFCHR;
    case 'b':
      return S_IFBLK;
    case 'p':
      return S_IFIFO;
    default:
      return Error(ErrorKind::kInvalidArgument, "unknown type '" + std::string(1, device.type) +
                                                    "' of the device '" + device.path + "'");
  }
}

Result<DeviceNode> plan_device(const oci::Device& device) {
  DeviceNode node;
  std::optional<std::string> path = clean_path(device.path);
  if (!path || *path == "/")
    return Error(ErrorKind::kInvalidArgument,
                 "the path of the device '" + device.path + "' must be absolute");
  node.path = std::move(*path);
  TRY(node.type, node_type(device));
  if (node.type != S_IFIFO) {
    if (device.major < 0 || device.minor < 0 || device.major > 0xfff || device.minor > 0xfffff)
      return Error(ErrorKind::kInvalidArgument,
                   "the numbers of the device '" + device.path + "' are out of range");
    node.number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  }
  node.permissions = device.file_mode.value_or(0666) & 07777;
  node.uid = device.uid.value_or(0);
  node.gid = device.gid.value_or(0);
  return node;
}

bool same_node(int parent, const std::string& name, const DeviceNode& node) {
  struct stat status{};
  return fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         (status.st_mode & S_IFMT) == node.type && status.st_rdev == node.number;
}

// On a file of that name, which is made when missing.
Result<void> bind_node(int parent, const std::string& name, const sys::Fd& mount) {
  const int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC;
  const sys::Fd made(openat(parent, name.c_str(), flags, 0600));
  if (!made && errno != EEXIST) return Error::from_errno(errno, "cannot make a place for it");
  TRY(const sys::Fd target, sys::open_at(parent, name, O_PATH | O_NOFOLLOW));
  return sys::attach_mount(mount.get(), target.get());
}

Result<void> make_node(int parent, const std::string& name, const DeviceNode& node) {
  std::string context = "cannot make the device '" + node.path + "'";
  if (mknodat(parent, name.c_str(), node.type | node.permissions, node.number) != 0) {
    if (errno == EEXIST && same_node(parent, name, node)) return {};
    return Error::from_errno(errno, context);
  }
  if ((node.uid != 0 || node.gid != 0) &&
      fchownat(parent, name.c_str(), node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return Error::from_errno(errno, context);
  return {};
}

Result<void> make_link(int dev, const Link& link) {
  // A kernel without /proc/kcore leaves nothing to link to.
  if (std::string_view(link.name) == "core" && access(link.target, F_OK) != 0) return {};
  if (symlinkat(link.target, dev, link.name) == 0 || errno == EEXIST) return {};
  return Error::from_errno(errno, "cannot make the link '/dev/" + std::string(link.name) + "'");
}

}  // namespace

Result<std::vector<DeviceNode>> plan_devices(const std::vector<oci::Device>& devices) {
  std::vector<DeviceNode> nodes;
  for (const DefaultDevice& device : kDefaultDevices)
    nodes.push_back({device.path, S_IFCHR, makedev(device.major, device.minor)});
  size_t defaults = nodes.size();
  for (const oci::Device& device : devices) {
    TRY(DeviceNode node, plan_device(device));
    auto same = std::ranges::find(nodes, node.path, &DeviceNode::path);
    if (same == nodes.end()) {
      nodes.push_back(std::move(node));
    } else if (static_cast<size_t>(same - nodes.begin()) < defaults) {
      *same = std::move(node);
    } else {
      return Error(ErrorKind::kInvalidArgument, "the device '" + node.path + "' is given twice");
    }
  }
  return nodes;
}

Result<std::vector<sys::Fd>> open_host_devices(const std::vector<DeviceNode>& nodes) {
  std::vector<sys::Fd> mounts;
  for (const DeviceNode& node : nodes) {
    const std::string context = "cannot take the host's device '" + node.path + "'";
    sys::Fd& mount = mounts.emplace_back();
    if (node.type == S_IFIFO) continue;
    TRY_CTX(mount, sys::clone_mount_of(node.path, false), context);
    struct stat status{};
    if (fstat(mount.get(), &status) != 0) return Error::from_errno(errno, context);
    if ((status.st_mode & S_IFMT) != node.type || status.st_rdev != node.number)
      return Error(ErrorKind::kInvalidArgument, context + ": it is another device");
    TRY_VOID_CTX(sys::change_mount(mount.get(), {.propagation = MS_PRIVATE}, false), context);
  }
  return mounts;
}

Result<void> make_devices(int root, const std::vector<DeviceNode>& nodes,
                          const std::vector<sys::Fd>& host) {
  TRY_CTX(sys::Fd dev, open_target(root, "/dev", TargetKind::kDirectory, {.follow = false}),
          "cannot make devices");
  for (size_t i = 0; i < nodes.size(); ++i) {
    const DeviceNode& node = nodes[i];
    const std::string context = "cannot make the device '" + node.path + "'";
    auto [directory, name] = split_path(node.path);
    sys::Fd other;
    if (directory != "/dev") {
      TRY_CTX(other, open_target(root, directory, TargetKind::kDirectory, {}), context);
    }
    const int parent = other ? other.get() : dev.get();
    if (i < host.size() && host[i]) {
      TRY_VOID_CTX(bind_node(parent, name, host[i]), context);
    } else {
      TRY_VOID(make_node(parent, name, node));
    }
  }
  for (const Link& link : kLinks) TRY_VOID(make_link(dev.get(), link));
  return {};
}

bool is_null_device(int fd) {
  struct stat status{};
  return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

}  // namespace wherry::runtime
