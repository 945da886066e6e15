#include "monitor/standby.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/trace.h"
#include "base/weaken.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_hierarchies.h"

namespace wherry::monitor {
namespace {

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The version 2 directory of the engine's cgroup, for the monitor to be born in: to move there
// later waits about 10 ms for a grace period. Empty where there is no version 2 hierarchy.
Result<sys::Fd> birth_cgroup(const std::string& path) {
  if (path.empty()) return sys::Fd();
  if (sys::Fd usual = runtime::usual_v2_directory(path)) return usual;
  TRY(runtime::Hierarchies hierarchies, runtime::find_hierarchies());
  if (hierarchies.v2_mount.empty()) return sys::Fd();
  TRY_VOID(runtime::split_cgroups_path(path));
  std::string directory = hierarchies.v2_mount + path;
  Result<sys::Fd> opened = sys::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (opened || opened.error().kind() != ErrorKind::kNotFound) return opened;
  TRY_VOID(runtime::Cgroup::ensure(path));
  return sys::open_file(directory, O_RDONLY | O_DIRECTORY);
}

Result<std::pair<sys::Fd, sys::Fd>> make_sockets(int type) {
  int pair[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0)
    return Error::from_errno(errno, "cannot make a socket pair");
  return std::pair(sys::Fd(pair[0]), sys::Fd(pair[1]));
}

}  // namespace

Result<Standby> Standby::spawn(const Options& wanted) {
  TraceScope scope("spawn monitor");
  TRY(auto document, make_sockets(SOCK_STREAM));
  TRY(auto socket, make_sockets(SOCK_SEQPACKET));
  TRY(std::string program, sys::find_helper("wherry-monitor"));
  TRY(sys::Fd null, sys::open_file("/dev/null", O_RDWR));
  TRY(sys::Fd cgroup, birth_cgroup(wanted.engine_cgroup));
  sys::SpawnOptions options;
  options.cgroup_fd = cgroup.get();
  options.program = std::move(program);
  options.read_only_program = !weakened(Defence::kSeal);  // its children become containers
  options.arguments = {"wherry-monitor", wanted.container_id, wanted.engine_cgroup,
                       wanted.container_cgroup, wanted.network_namespace ? "netns" : ""};
  options.environment = sys::inherited_test_environment();
  options.environment.emplace_back(kPath);
  options.new_session = true;
  options.fds = {{null.get(), 0},
                 {null.get(), 1},
                 {tracing() ? 2 : null.get(), 2},
                 {document.second.get(), 3},
                 {socket.second.get(), 4}};
  TRY(sys::Spawning spawning, sys::begin_spawn(std::move(options)));
  // One that could not be executed must not be waited for.
  document.second.reset();
  socket.second.reset();
  return Standby(wanted.container_id, std::move(spawning), std::move(document.first),
                 std::move(socket.first));
}

Standby::~Standby() {
  if (!document_) return;
  document_.reset();
  socket_.reset();
  if (Result<sys::Child> child = spawning_.finish()) [[maybe_unused]]
    Result<int> code = child->wait();
}

}  // namespace wherry::monitor
