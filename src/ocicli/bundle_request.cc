#include "ocicli/bundle_request.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

constexpr size_t kConfigLimit = size_t{4} << 20;
constexpr unsigned kFirstPassed = 3;
constexpr unsigned kMostPassed = 4096;

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

Result<std::string> working_directory() {
  char path[PATH_MAX];
  if (getcwd(path, sizeof path) == nullptr)
    return Error::from_errno(errno, "cannot tell the working directory");
  return std::string(path);
}

// Resolved, because it is written down and used later from elsewhere.
Result<std::string> find_bundle(const std::string& given) {
  char* resolved = realpath(given.empty() ? "." : given.c_str(), nullptr);
  if (resolved == nullptr) return Error::from_errno(errno, "cannot use the bundle '" + given + "'");
  std::string path(resolved);
  free(resolved);
  return path;
}

Result<std::string> read_config(const std::string& path) {
  Result<std::string> text = sys::read_file(path, kConfigLimit);
  if (!text && text.error().errnum() == ENOENT)
    return Error(ErrorKind::kNotFound, "JSON specification file '" + path + "' not found")
        .set_hint("'wherry-oci spec' makes one");
  return text;
}

Result<unsigned> preserve_flag(const ParsedFlags& flags) {
  int64_t wanted = flags.integer("preserve-fds");
  if (wanted < 0 || wanted > kMostPassed)
    return Error(ErrorKind::kInvalidArgument,
                 "--preserve-fds must be between 0 and " + std::to_string(kMostPassed));
  return static_cast<unsigned>(wanted);
}

std::string below(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

}  // namespace

Result<std::string> absolute_path(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  TRY(std::string here, working_directory());
  return below(here, path);
}

unsigned pass_listen_fds(oci::Process& process) {
  // sd_listen_fds(3): meant for another process unless it names us.
  std::optional<uint64_t> pid = parse_u64(environment("LISTEN_PID"));
  std::optional<uint64_t> count = parse_u64(environment("LISTEN_FDS"));
  if (!pid || *pid != static_cast<uint64_t>(getpid()) || !count || *count > kMostPassed) return 0;
  if (*count == 0) return 0;
  process.env.push_back("LISTEN_FDS=" + std::to_string(*count));
  process.env.emplace_back("LISTEN_PID=1");
  std::string names = environment("LISTEN_FDNAMES");
  if (!names.empty()) process.env.push_back("LISTEN_FDNAMES=" + names);
  return static_cast<unsigned>(*count);
}

Result<void> check_preserved(unsigned count, const Log& log) {
  for (unsigned i = 0; i < count; ++i) {
    int fd = static_cast<int>(kFirstPassed + i);
    if (fd == log.fd() || fcntl(fd, F_GETFD) < 0)
      return Error(ErrorKind::kInvalidArgument,
                   "please check that preserved-fd " + std::to_string(i) + " (of " +
                       std::to_string(count) + ") is present: descriptor " + std::to_string(fd) +
                       " is not open");
  }
  return {};
}

Result<BundleRequest> read_request(const Call& call) {
  const ParsedFlags& flags = call.flags;
  BundleRequest request;
  request.id = call.id();
  TRY(request.bundle, find_bundle(flags.text("bundle")));
  // A name alone is the bundle's, as crun has it.
  std::string config = flags.text("config").empty() ? "config.json" : flags.text("config");
  TRY(request.config, read_config(config[0] == '/' ? config : below(request.bundle, config)));
  TRY(request.spec, oci::parse_runtime_spec(request.config));
  TRY(request.pid_file, absolute_path(flags.text("pid-file")));
  TRY(request.console_socket, absolute_path(flags.text("console-socket")));
  TRY(request.pidfd_socket, absolute_path(flags.text("pidfd-socket")));
  request.notify_socket = environment("NOTIFY_SOCKET");
  TRY(request.preserve_fds, preserve_flag(flags));
  request.preserve_fds += pass_listen_fds(request.spec.process);
  TRY_VOID(check_preserved(request.preserve_fds, call.log));
  request.no_pivot = flags.boolean("no-pivot");
  request.no_new_keyring = flags.boolean("no-new-keyring");
  return request;
}

runtime::CgroupDriver cgroup_driver(const Globals& globals) {
  if (globals.cgroups_disabled) return runtime::CgroupDriver::kDisabled;
  return globals.systemd_cgroup ? runtime::CgroupDriver::kSystemd
                                : runtime::CgroupDriver::kCgroupfs;
}

Result<std::string> seccomp_cache(const Globals& globals) {
  std::string path = globals.root + "/.cache/seccomp";
  TRY_VOID(sys::make_dirs(path, 0700));
  return path;
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  std::string context = "cannot write the pid file '" + path + "'";
  size_t slash = path.rfind('/');
  TRY_CTX(sys::Fd dir, sys::open_file(path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY), context);
  TRY_VOID_CTX(sys::write_file_atomic(dir.get(), path.substr(slash + 1), std::to_string(pid), 0644,
                                      sys::Sync::kNone),
               context);
  return {};
}

}  // namespace wherry::ocicli
