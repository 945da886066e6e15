#include "engine/run_dir.h"

#include <poll.h>
#include <sys/inotify.h>

#include <cerrno>
#include <functional>

#include "base/clock.h"
#include "engine/record_json.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace wherry::engine {
namespace {

constexpr const char* kMarker = "starting";
constexpr const char* kMonitorLock = "monitor.lock";
constexpr const char* kNetwork = "network.json";
constexpr size_t kMaxState = 1 << 16;
constexpr size_t kMaxNetwork = 4 << 20;

// nullopt when the file is missing.
Result<std::optional<std::string>> read_small(int dir, const char* name, size_t limit) {
  Result<sys::Fd> file = sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW);
  if (!file) {
    if (file.error().kind() == ErrorKind::kNotFound) return std::optional<std::string>();
    return std::move(file.error());
  }
  TRY(std::string text, sys::read_all(file->get(), limit));
  return std::optional(std::move(text));
}

Result<std::optional<sys::Fd>> open_run_dir(int containers_dir, const std::string& id) {
  Result<sys::Fd> dir = sys::open_at(containers_dir, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (dir) return std::optional(std::move(*dir));
  if (dir.error().kind() == ErrorKind::kNotFound) return std::optional<sys::Fd>();
  return std::move(dir.error());
}

// False when the monitor has written none yet.
Result<bool> read_state(int run_dir, monitor::RunState& state) {
  TRY(std::optional<std::string> text, read_small(run_dir, "state.json", kMaxState));
  if (!text) return false;
  TRY(state, monitor::parse_run_state(*text));
  return true;
}

// What a monitor does shows in its directory: it puts its state in place, it unlinks its files, or
// the kernel closes them. False: not within the time.
Result<bool> watch_until(int run_dir, int timeout_ms, const std::function<Result<bool>()>& done) {
  constexpr const char* kContext = "cannot watch a run directory";
  constexpr uint32_t kEvents = IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_TO;
  sys::Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string path = "/proc/self/fd/" + std::to_string(run_dir);
  if (!watch || inotify_add_watch(watch.get(), path.c_str(), kEvents) < 0)
    return Error::from_errno(errno, kContext);
  const int64_t deadline = monotonic_ns() / 1000000 + timeout_ms;
  for (;;) {
    TRY(const bool over, done());
    if (over) return true;
    const int64_t left = deadline - monotonic_ns() / 1000000;
    if (left <= 0) return false;
    pollfd poller{watch.get(), POLLIN, 0};
    if (poll(&poller, 1, static_cast<int>(left)) < 0 && errno != EINTR)
      return Error::from_errno(errno, kContext);
    char events[4096];
    while (read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

}  // namespace

Result<RunView> observe_run(int containers_dir, const std::string& id, Sight sight) {
  RunView view;
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return view;
  TRY(std::optional<std::string> marker, read_small(dir->get(), kMarker, 64));
  if (marker) view.marker = *marker == "run" ? StartMarker::kRun : StartMarker::kStart;
  TRY(bool recorded, read_state(dir->get(), view.state));
  bool alive = false;
  if (view.state.status != "exited" && (recorded || sight == Sight::kHolder)) {
    TRY(alive, sys::is_locked(dir->get(), kMonitorLock));
    // A monitor writes its end before it lets go: what is read now is the last word.
    if (!alive) {
      TRY(recorded, read_state(dir->get(), view.state));
    }
  }
  view.life = view.state.status == "exited" ? RunView::Life::kFinished
              : alive                       ? RunView::Life::kLive
                                            : RunView::Life::kLost;
  return view;
}

Result<bool> wait_for_monitor_end(int containers_dir, const std::string& id, int timeout_ms) {
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return true;
  return watch_until(dir->get(), timeout_ms, [&]() -> Result<bool> {
    TRY(const bool alive, sys::is_locked(dir->get(), kMonitorLock));
    return !alive;
  });
}

Result<RunView> outwait_start(int containers_dir, const std::string& id, int timeout_ms) {
  RunView view;
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return view;
  TRY(const bool over, watch_until(dir->get(), timeout_ms, [&]() -> Result<bool> {
        TRY(view, observe_run(containers_dir, id, Sight::kHolder));
        return view.life != RunView::Life::kLive || view.running();
      }));
  if (over) return view;
  return Error(ErrorKind::kUnavailable, "the monitor of container '" + id + "' does not answer");
}

Result<std::optional<sys::FileLock>> bar_monitor(int containers_dir, const std::string& id) {
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return std::optional<sys::FileLock>();
  return sys::FileLock::try_acquire(dir->get(), kMonitorLock, sys::FileLock::Mode::kExclusive);
}

Result<sys::Fd> make_run_dir(int containers_dir, const std::string& id, StartMarker marker) {
  TRY_VOID(sys::remove_tree_at(containers_dir, id));
  TRY(sys::Fd dir, sys::make_dir_at(containers_dir, id, 0700));
  TRY_VOID(sys::write_file_atomic(dir.get(), kMarker, marker == StartMarker::kRun ? "run" : "start",
                                  0600, sys::Sync::kNone));
  return dir;
}

Result<void> clear_marker(int run_dir) {
  if (unlinkat(run_dir, kMarker, 0) != 0 && errno != ENOENT)
    return Error::from_errno(errno, "cannot remove the start marker");
  return {};
}

Result<void> write_network_settings(int run_dir, const NetworkSettings& settings) {
  return sys::write_file_atomic(run_dir, kNetwork, network_settings_to_json(settings), 0600,
                                sys::Sync::kNone);
}

Result<NetworkSettings> read_network_settings(int containers_dir, const std::string& id) {
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return NetworkSettings();
  TRY(std::optional<std::string> text, read_small(dir->get(), kNetwork, kMaxNetwork));
  if (!text) return NetworkSettings();
  return parse_network_settings(*text);
}

}  // namespace wherry::engine
