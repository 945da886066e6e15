// `checkpoint` and `restore`: the work is CRIU's.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "ocicli/criu.h"
#include "ocicli/flag_tables.h"
#include "ocicli/foreground.h"
#include "ocicli/lifecycle.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

constexpr Flag kImagePath{"image-path", 0, FlagKind::kString, "Where the image is", "checkpoint"};
constexpr Flag kWorkPath{"work-path", 0, FlagKind::kString,
                         "Where CRIU works and logs (default: the image's place)"};
constexpr Flag kTcp{"tcp-established", 0, FlagKind::kBool, "With open TCP connections"};
constexpr Flag kUnix{"ext-unix-sk", 0, FlagKind::kBool, "With unix sockets to the outside"};
constexpr Flag kShell{"shell-job", 0, FlagKind::kBool, "With a terminal of the outside"};
constexpr Flag kLocks{"file-locks", 0, FlagKind::kBool, "With file locks"};
constexpr Flag kCgroups{"manage-cgroups-mode", 0, FlagKind::kString,
                        "CRIU's --manage-cgroups: soft, full, strict or ignore"};
constexpr Flag kDedup{"auto-dedup", 0, FlagKind::kBool,
                      "Without memory pages that are there twice"};

constexpr std::array kCheckpointFlags{
    kImagePath,
    kWorkPath,
    kTcp,
    kUnix,
    kShell,
    kLocks,
    kCgroups,
    kDedup,
    Flag{"parent-path", 0, FlagKind::kString, "The pre-dump that this one builds on"},
    Flag{"pre-dump", 0, FlagKind::kBool, "Only memory, and the container goes on"},
    Flag{"leave-running", 0, FlagKind::kBool, "The container goes on"},
    Flag{"link-remap", 0, FlagKind::kBool, "With open files that were removed"},
};
constexpr std::array<RefusedFlag, 4> kRefusedHere{
    {{"lazy-pages"}, {"page-server"}, {"status-fd"}, {"empty-ns"}}};

constexpr std::array kRestoreFlags{
    kBundleFlag,
    kConfigFlag,
    kPidFileFlag,
    kDetachFlag,
    kNoSubreaperFlag,
    kNoPivotFlag,
    kImagePath,
    kWorkPath,
    kTcp,
    kUnix,
    kShell,
    kLocks,
    kCgroups,
    kDedup,
    Flag{"tcp-close", 0, FlagKind::kBool, "Close TCP connections"},
    Flag{"lsm-profile", 0, FlagKind::kString, "apparmor:NAME or selinux:LABEL"},
    Flag{"lsm-mount-context", 0, FlagKind::kString, "The SELinux context of mounts"},
    Flag{"keep", 0, FlagKind::kBool, "Keep the stopped container's state"},
};
constexpr std::array<RefusedFlag, 3> kRefusedThere{
    {{"lazy-pages"}, {"empty-ns"}, {"console-socket"}}};

Result<std::string> made_folder(const std::string& path) {
  TRY(std::string absolute, absolute_path(path));
  TRY_VOID(sys::make_dirs(absolute, 0700));
  return absolute;
}

Result<CriuFlags> read_flags(const ParsedFlags& flags) {
  CriuFlags criu;
  TRY(criu.image_path, made_folder(flags.text("image-path")));
  criu.work_path = criu.image_path;
  if (flags.has("work-path")) {
    TRY(criu.work_path, made_folder(flags.text("work-path")));
  }
  criu.parent_path = flags.text("parent-path");
  criu.manage_cgroups = flags.text("manage-cgroups-mode");
  for (const char* name : {"tcp-established", "tcp-close", "ext-unix-sk", "shell-job", "file-locks",
                           "auto-dedup", "link-remap", "leave-running"})
    if (flags.boolean(name)) criu.switches.push_back(std::string("--") + name);
  for (const char* name : {"lsm-profile", "lsm-mount-context"})
    if (!flags.text(name).empty())
      criu.switches.push_back(std::string("--") + name + "=" + flags.text(name));
  return criu;
}

Result<MaskedPaths> masked_paths(const oci::RuntimeSpec& spec, pid_t pid) {
  TRY(sys::Fd root, sys::open_file("/proc/" + std::to_string(pid) + "/root", O_PATH | O_DIRECTORY));
  MaskedPaths masked;
  for (const std::string& path : spec.masked_paths) {
    Result<sys::Fd> place = sys::open_in_root(root.get(), path, O_PATH);
    struct stat status{};
    if (!place || fstat(place->get(), &status) != 0) continue;
    (S_ISDIR(status.st_mode) ? masked.directories : masked.files).push_back(path);
  }
  return masked;
}

Result<int> run_checkpoint(Call& call) {
  TRY(ContainerDir dir, ContainerDir::lock(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status != Status::kRunning && status != Status::kPaused)
    return Error(ErrorKind::kConflict, "container not running");
  TRY(CriuFlags flags, read_flags(call.flags));
  TRY(oci::RuntimeSpec spec, kept_spec(dir));
  bool pre_dump = call.flags.boolean("pre-dump");
  TRY(MaskedPaths masked, masked_paths(spec, record.pid));
  TRY_VOID_CTX(run_criu(dump_words(flags, spec, masked, record.pid, pre_dump),
                        flags.work_path + "/dump.log"),
               "cannot checkpoint the container");
  // CRIU has killed it: what remains is ours to remove, as runc does.
  if (!pre_dump && !call.flags.boolean("leave-running"))
    TRY_VOID(destroy_container(dir, record, call.log));
  return 0;
}

// CRIU wants its root to be a mount, and an empty directory for what was masked: both only for the
// eyes of this process and its children.
Result<void> make_places(const std::string& rootfs, const std::string& empty) {
  if (unshare(CLONE_NEWNS) != 0) return Error::from_errno(errno, "cannot make a mount namespace");
  TRY_VOID(sys::make_all_mounts_private());
  TRY(sys::Fd root, sys::clone_mount_of(rootfs, true));
  TRY(sys::Fd place, sys::open_file(rootfs, O_PATH | O_DIRECTORY));
  TRY_VOID(sys::attach_mount(root.get(), place.get()));
  TRY(sys::Filesystem tmpfs, sys::Filesystem::open("tmpfs"));
  TRY_VOID(tmpfs.set("mode", "0555"));
  TRY(sys::Fd mask, tmpfs.mount(MOUNT_ATTR_RDONLY));
  TRY_VOID(tmpfs.set_flag("ro"));
  TRY_VOID(tmpfs.reconfigure());
  TRY(sys::Fd covered, sys::open_file(empty, O_PATH | O_DIRECTORY));
  return sys::attach_mount(mask.get(), covered.get());
}

Result<pid_t> read_pid(int dir, const std::string& name) {
  TRY(sys::Fd file, sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW));
  TRY(std::string text, sys::read_all(file.get(), 64));
  std::optional<uint64_t> pid = parse_u64(trim(text));
  if (!pid || *pid == 0 || *pid > INT_MAX)
    return Error(ErrorKind::kCorrupt, "criu wrote no pid: '" + text + "'");
  return static_cast<pid_t>(*pid);
}

Result<void> restore_into(const ContainerDir& dir, Record& record, const BundleRequest& request,
                          const CriuFlags& flags) {
  constexpr const char* kPidFile = "restored-pid";
  constexpr const char* kMasked = "masked";
  TRY_VOID(sys::write_file_atomic(dir.fd(), "config.json", request.config, 0600, sys::Sync::kNone));
  TRY_VOID(dir.write(record));
  TRY_VOID(sys::make_dir_at(dir.fd(), kMasked, 0700));
  TRY_VOID(make_places(record.rootfs, dir.path() + "/" + kMasked));
  std::vector<std::string> words = restore_words(
      flags, request.spec, record.rootfs, dir.path() + "/" + kMasked, dir.path() + "/" + kPidFile);
  TRY_VOID_CTX(run_criu(words, flags.work_path + "/restore.log"), "cannot restore the container");
  TRY(record.pid, read_pid(dir.fd(), kPidFile));
  std::optional<uint64_t> began = sys::process_start_time(record.pid);
  if (!began) return Error(ErrorKind::kInternal, "the restored container is gone");
  record.start_time = *began;
  record.phase = Record::Phase::kStarted;
  TRY_VOID(dir.write(record));
  return write_pid_file(request.pid_file, record.pid);
}

Result<int> run_restore(Call& call) {
  TRY(BundleRequest request, read_request(call));
  TRY(CriuFlags flags, read_flags(call.flags));
  bool detached = call.flags.boolean("detach");
  // The restored init is CRIU's child and becomes ours when CRIU ends.
  if (!detached) TRY_VOID(become_subreaper());
  TRY(SignalRelay signals, SignalRelay::block());
  TRY(ContainerDir dir, ContainerDir::create(call.globals.root, request.id));
  TRY(Record record, draft_record(request, call));
  Result<void> restored = restore_into(dir, record, request, flags);
  if (!restored) {
    Result<void> undone = destroy_container(dir, record, call.log);
    if (!undone) call.log.warn(undone.error().message());
    return std::move(restored.error());
  }
  if (detached) return 0;
  dir.unlock();
  TRY(sys::Fd init, sys::open_process(record.pid, record.start_time));
  TRY_VOID(attend({record.pid, init.get(), -1, true}, signals));
  TRY(int code, sys::Child(record.pid, std::move(init)).wait());
  if (call.flags.boolean("keep")) return code;
  TRY(ContainerDir again, ContainerDir::lock(call.globals.root, request.id));
  TRY_VOID(destroy_container(again, record, call.log));
  return code;
}

}  // namespace

const CommandSpec kCheckpoint = {
    .name = "checkpoint",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Write a running container to disk, by CRIU",
    .table = {.flags = kCheckpointFlags, .refused = kRefusedHere},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_checkpoint,
};

const CommandSpec kRestore = {
    .name = "restore",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Bring a container back from a checkpoint, by CRIU",
    .table = {.flags = kRestoreFlags, .refused = kRefusedThere},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_restore,
    .sealed = true,
};

}  // namespace wherry::ocicli
