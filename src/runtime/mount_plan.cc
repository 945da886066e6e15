#include "runtime/mount_plan.h"

#include <sys/mount.h>

#include <algorithm>

#include "base/text.h"
#include "base/weaken.h"

namespace wherry::runtime {
namespace {

struct AttributeOption {
  std::string_view name;
  uint64_t set;
  uint64_t clear;
};

// mount(8)'s words for the attributes of one mount. Times are one field of several values: setting
// one clears the field.
constexpr AttributeOption kAttributeOptions[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"atime", 0, MOUNT_ATTR_NOATIME},
    {"norelatime", 0, 0},
    {"nostrictatime", 0, 0},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct PropagationOption {
  std::string_view name;
  uint64_t propagation;
  bool recursive;
};

constexpr PropagationOption kPropagationOptions[] = {
    {"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE, true},
    {"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE, true},
    {"shared", MS_SHARED, false},         {"rshared", MS_SHARED, true},
    {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE, true},
};

// Of the superblock: parameters of a new file system. On a bind the first kind has no effect and is
// refused; the second kind is the kernel's default.
constexpr std::string_view kSuperblockOptions[] = {"dirsync", "iversion", "lazytime", "mand",
                                                   "sync"};
constexpr std::string_view kSuperblockDefaults[] = {"async",      "defaults", "loud",  "noiversion",
                                                    "nolazytime", "nomand",   "silent"};

constexpr std::string_view kTmpCopyUp = "tmpcopyup";
constexpr std::string_view kMapIds = "idmap";
constexpr std::string_view kMapIdsBelow = "ridmap";
constexpr std::string_view kCopyUp = "x-wherry.copyup";

constexpr std::string_view kCoverableInProc[] = {"/proc/cpuinfo",
                                                 "/proc/diskstats",
                                                 "/proc/meminfo",
                                                 "/proc/stat",
                                                 "/proc/swaps",
                                                 "/proc/uptime",
                                                 "/proc/loadavg",
                                                 "/proc/slabinfo",
                                                 "/proc/sys/kernel/ns_last_pid",
                                                 "/proc/net/dev",
                                                 "/proc/sys/crypto/fips_enabled"};

// Everything an option list says, before it is known what kind of mount it is for.
struct Options {
  bool bind = false;
  bool recursive_bind = false;
  bool remount = false;
  std::vector<std::string_view> data;
};

bool take_attribute(std::string_view option, MountStep& step) {
  for (const AttributeOption& known : kAttributeOptions) {
    bool recursive = option.size() == known.name.size() + 1 && option.front() == 'r' &&
                     option.substr(1) == known.name;
    if (option != known.name && !recursive) continue;
    sys::MountAttributes& target = recursive ? step.recursive_attributes : step.attributes;
    // The last word wins: a later "rw" takes back an earlier "ro".
    target.set = (target.set & ~known.clear) | known.set;
    target.clear = (target.clear & ~known.set) | known.clear;
    return true;
  }
  return false;
}

bool take_propagation(std::string_view option, MountStep& step) {
  for (const PropagationOption& known : kPropagationOptions) {
    if (option != known.name) continue;
    step.attributes.propagation = known.recursive ? 0 : known.propagation;
    step.recursive_attributes.propagation = known.recursive ? known.propagation : 0;
    return true;
  }
  return false;
}

bool take_word(std::string_view option, Options& options, MountStep& step) {
  if (std::ranges::find(kSuperblockDefaults, option) != std::end(kSuperblockDefaults)) return true;
  if (option == kTmpCopyUp) return step.tmp_copy_up = true;
  if (option == kMapIds) return step.map_ids = true;
  if (option == kMapIdsBelow) return step.map_ids = step.map_ids_below = true;
  if (option == "bind") return options.bind = true;
  if (option == "rbind") return options.bind = options.recursive_bind = true;
  if (option == "remount") return options.remount = true;
  if (option == kCopyUp) return step.copy_up = true;
  return take_attribute(option, step) || take_propagation(option, step);
}

Error refused(const MountStep& step, ErrorKind kind, const std::string& why) {
  return Error(kind, "cannot mount '" + step.destination + "': " + why);
}

Result<void> take_data(const std::vector<std::string_view>& data, MountStep& step) {
  for (std::string_view option : data) {
    auto [name, value] = split_once(option, '=');
    if (step.kind != MountStep::Kind::kFilesystem || option.empty())
      return refused(step, ErrorKind::kInvalidArgument,
                     "unknown option '" + std::string(option) + "'");
    step.data.emplace_back(name, value ? std::optional<std::string>(*value) : std::nullopt);
  }
  return {};
}

Result<void> check_kind(const MountStep& step) {
  const bool bind = step.kind == MountStep::Kind::kBind;
  auto needs = [&](std::string_view option, const char* what) {
    return refused(step, ErrorKind::kInvalidArgument,
                   "'" + std::string(option) + "' needs a " + what);
  };
  if (step.copy_up && !bind) return needs(kCopyUp, "bind mount");
  if (step.tmp_copy_up && step.type != "tmpfs") return needs(kTmpCopyUp, "tmpfs");
  if (step.map_ids && !bind) return needs(kMapIds, "bind mount");
  if (step.uid_mappings.empty() != step.gid_mappings.empty())
    return refused(step, ErrorKind::kInvalidArgument,
                   "uidMappings and gidMappings belong together");
  if (step.kind == MountStep::Kind::kFilesystem && step.type.empty())
    return refused(step, ErrorKind::kInvalidArgument,
                   "it has neither a type nor the option 'bind'");
  if (bind && !step.source.starts_with('/'))
    return refused(step, ErrorKind::kInvalidArgument,
                   "the source '" + step.source + "' must be an absolute path");
  return {};
}

Result<void> check_destination(const MountStep& step) {
  if (step.destination == "/")
    return refused(step, ErrorKind::kInvalidArgument, "the root cannot be a mount's destination");
  bool fresh_proc = step.kind == MountStep::Kind::kFilesystem && step.type == "proc";
  // The executor looks whether it is a whole procfs.
  if (step.kind == MountStep::Kind::kBind && step.destination == "/proc") return {};
  bool in_proc = step.destination == "/proc" || step.destination.starts_with("/proc/");
  if (in_proc && step.kind != MountStep::Kind::kRemount && !may_cover_in_proc(step.destination) &&
      !(fresh_proc && step.destination == "/proc"))
    return refused(step, ErrorKind::kInvalidArgument, "nothing may be mounted inside '/proc'");
  return {};
}

MountStep::Kind kind_of(const oci::Mount& mount, const Options& options) {
  if (options.remount) return MountStep::Kind::kRemount;
  if (options.bind || mount.type == "bind") return MountStep::Kind::kBind;
  if (mount.type == "cgroup" || mount.type == "cgroup2") return MountStep::Kind::kCgroup;
  return MountStep::Kind::kFilesystem;
}

}  // namespace

bool MountStep::read_only() const {
  return ((attributes.set | recursive_attributes.set) & MOUNT_ATTR_RDONLY) != 0;
}

std::optional<std::string> clean_path(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return std::nullopt;
  std::vector<std::string_view> kept;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      kept.push_back(part);
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string clean;
  for (std::string_view part : kept) clean.append("/").append(part);
  return clean.empty() ? "/" : clean;
}

bool may_cover_in_proc(std::string_view destination) {
  return weakened(Defence::kProcMounts) ||
         std::ranges::find(kCoverableInProc, destination) != std::end(kCoverableInProc);
}

Result<MountStep> plan_mount(const oci::Mount& mount) {
  MountStep step;
  std::optional<std::string> destination = clean_path(mount.destination);
  step.destination = destination.value_or(mount.destination);
  if (!destination)
    return refused(step, ErrorKind::kInvalidArgument, "the destination must be an absolute path");
  Options options;
  for (std::string_view option : mount.options)
    if (!take_word(option, options, step)) options.data.push_back(option);

  step.kind = kind_of(mount, options);
  step.type = mount.type == "cgroup2" ? "cgroup" : mount.type;
  step.source = mount.source;
  step.recursive = options.recursive_bind;
  TRY_VOID(take_data(options.data, step));
  TRY_VOID(check_destination(step));
  step.uid_mappings = mount.uid_mappings;
  step.gid_mappings = mount.gid_mappings;
  if (!step.uid_mappings.empty()) step.map_ids = true;
  TRY_VOID(check_kind(step));
  bool has_propagation =
      step.attributes.propagation != 0 || step.recursive_attributes.propagation != 0;
  // A clone keeps its source's peer group: without a word of the user nothing may flow either way.
  if (step.kind == MountStep::Kind::kBind && !has_propagation)
    step.recursive_attributes.propagation = MS_PRIVATE;
  return step;
}

Result<std::vector<MountStep>> plan_mounts(const std::vector<oci::Mount>& mounts) {
  std::vector<MountStep> steps;
  for (const oci::Mount& mount : mounts) {
    TRY(MountStep step, plan_mount(mount));
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<std::string> known_mount_options() {
  std::vector<std::string> words = {"bind", "rbind", "remount"};
  for (const AttributeOption& known : kAttributeOptions) {
    words.emplace_back(known.name);
    words.push_back("r" + std::string(known.name));
  }
  for (const PropagationOption& known : kPropagationOptions) words.emplace_back(known.name);
  for (std::string_view word : kSuperblockOptions) words.emplace_back(word);
  for (std::string_view word : kSuperblockDefaults) words.emplace_back(word);
  for (std::string_view word : {kTmpCopyUp, kMapIds, kMapIdsBelow}) words.emplace_back(word);
  std::ranges::sort(words);
  return words;
}

Result<uint64_t> plan_root_propagation(const std::string& name) {
  if (name.empty()) return static_cast<uint64_t>(MS_PRIVATE);
  for (const PropagationOption& known : kPropagationOptions)
    if (name == known.name) return known.propagation;
  return Error(ErrorKind::kInvalidArgument, "unknown root propagation '" + name + "'");
}

}  // namespace wherry::runtime
