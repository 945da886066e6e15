#include "runtime/root.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/sync.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/overlay.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

// A colon separates layers and a backslash quotes in the option's classic form.
std::string quoted(const std::string& path) {
  std::string text;
  for (char c : path) {
    if (c == ':' || c == '\\' || c == ',') text.push_back('\\');
    text.push_back(c);
  }
  return text;
}

// A volatile overlay leaves a mark that forbids the next mount of the same upper; the caller has
// said that this upper may be lost.
Result<void> clear_volatile_mark(const std::string& work) {
  Result<sys::Fd> inner = sys::open_file(work + "/work", O_RDONLY | O_DIRECTORY);
  if (!inner) {
    if (inner.error().errnum() == ENOENT) return {};
    return Error(std::move(inner.error()));
  }
  return sys::remove_tree_at(inner->get(), "incompat");
}

Result<std::string> classic_options(const RootSource& source, std::vector<sys::Fd>& named) {
  std::string options = "lowerdir=";
  for (const std::string& layer : source.lower) {
    // Names of descriptors: all layers together must fit into one page.
    TRY(sys::Fd directory, sys::open_file(layer, O_PATH | O_DIRECTORY));
    options.append(named.empty() ? "" : ":")
        .append("/proc/self/fd/")
        .append(std::to_string(directory.get()));
    named.push_back(std::move(directory));
  }
  options += ",upperdir=" + quoted(source.upper) + ",workdir=" + quoted(source.work);
  for (auto [key, value] : sys::kPortableOverlay)
    options.append(",").append(key).append("=").append(value);
  if (source.volatile_upper) options += ",volatile";
  if (options.size() >= static_cast<size_t>(getpagesize()))
    return Error(ErrorKind::kResourceExhausted,
                 "too many layers (" + std::to_string(source.lower.size()) + ") for this kernel");
  return options;
}

}  // namespace

Result<PreparedRoot> PreparedRoot::prepare(const RootSource& source, uint64_t propagation) {
  PreparedRoot root;
  if (!source.lower.empty() || !source.metadata.empty()) {
    root.anchor_ = source.upper;
    TRY_VOID_CTX(root.prepare_overlay(source), "cannot mount the root file system");
    return root;
  }
  root.anchor_ = source.directory;
  TRY_CTX(root.mount_, sys::clone_mount_of(source.directory, true),
          "cannot mount the root file system");
  const uint64_t first = propagation == MS_SLAVE ? MS_SLAVE : MS_PRIVATE;
  TRY_VOID_CTX(sys::change_mount(root.mount_.get(), {.propagation = first}, true),
               "cannot mount the root file system");
  return root;
}

Result<void> PreparedRoot::prepare_overlay(const RootSource& source) {
  if (source.volatile_upper) TRY_VOID(clear_volatile_mark(source.work));
  Result<sys::OverlayMount> mounted = sys::mount_overlay({.lower = source.lower,
                                                          .metadata = source.metadata,
                                                          .objects = source.objects,
                                                          .upper = source.upper,
                                                          .work = source.work,
                                                          .volatile_upper = source.volatile_upper});
  if (mounted) {
    mount_ = std::move(mounted->mount);
    metadata_ = std::move(mounted->metadata);
    return {};
  }
  // From 6.5 to 6.7 a single layer may be refused, before 6.5 all are. Then the whole list goes
  // through mount(2), which knows of no image.
  if (mounted.error().errnum() != EINVAL || !source.metadata.empty())
    return std::move(mounted.error());
  classic_ = source;
  return {};
}

Result<sys::Fd> PreparedRoot::attach() {
  TRY(sys::Fd anchor, sys::open_file(anchor_, O_PATH | O_DIRECTORY));
  if (!classic_) {
    TRY_VOID(sys::attach_mount(mount_.get(), anchor.get()));
    if (metadata_) TRY_VOID(park_mount(metadata_.get()));
    return std::move(mount_);
  }
  std::vector<sys::Fd> layers;
  TRY(const std::string options, classic_options(*classic_, layers));
  if (::mount("overlay", anchor_.c_str(), "overlay", 0, options.c_str()) != 0)
    return Error::from_errno(errno, "cannot mount the overlay");
  return sys::open_file(anchor_, O_PATH | O_DIRECTORY);
}

Result<sys::Fd> PreparedRoot::detached() {
  // Who writes here never opens a device or runs a program, and what unpacks here relies on it.
  const sys::MountAttributes harmless{.set =
                                          MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
  if (!classic_) {
    TRY_VOID(sys::change_mount(mount_.get(), harmless, false));
    return std::move(mount_);
  }
  return attach_elsewhere(harmless);
}

// In a child's mount namespace, which ends with it. In one of ours, the descriptors opened before
// would belong to a namespace that is no longer ours, and no mount of theirs could be copied.
Result<sys::Fd> PreparedRoot::attach_elsewhere(const sys::MountAttributes& attributes) {
  TRY(ChannelPair channels, make_channel_pair());
  TRY(sys::Cloned cloned, sys::clone_process({.namespaces = CLONE_NEWNS}));
  if (cloned.pid == 0) {
    const auto mounted = [&]() -> Result<sys::Fd> {
      TRY_VOID(sys::die_with_parent());
      TRY_VOID(sys::make_all_mounts_private());
      TRY(sys::Fd root, attach());
      TRY_VOID(sys::change_mount(root.get(), attributes, false));
      return root;
    }();
    const Result<void> sent = mounted ? channels.child.send_console(mounted->get())
                                      : channels.child.send_error(mounted.error());
    _exit(sent ? 0 : 1);
  }
  channels.child.close();
  sys::Child child(cloned.pid, std::move(cloned.pidfd));
  Result<std::optional<Message>> answer = channels.parent.receive();
  TRY([[maybe_unused]] int code, child.wait());
  if (!answer) return std::move(answer.error());
  if (!*answer) return Error(ErrorKind::kInternal, "the process that mounts the overlay has ended");
  if ((*answer)->error) return std::move(*(*answer)->error);
  return std::move((*answer)->console);
}

Result<void> park_mount(int mount) {
  // Any directory of the host will do that nobody uses on the way to the pivot, the user's
  // createContainer hooks included: they may need what is in /dev.
  Result<sys::Fd> place = sys::open_file("/dev/mqueue", O_PATH | O_DIRECTORY);
  if (!place) place = sys::open_file("/dev/shm", O_PATH | O_DIRECTORY);
  if (!place) place = sys::open_file("/dev", O_PATH | O_DIRECTORY);
  if (!place) return std::move(place.error());
  return sys::attach_mount(mount, place->get());
}

}  // namespace wherry::runtime
