#include "engine/run_dir.h"

#include <cerrno>

#include "engine/record_json.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace wherry::engine {
namespace {

constexpr const char* kMarker = "starting";
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

}  // namespace

Result<RunView> observe_run(int containers_dir, const std::string& id) {
  RunView view;
  TRY(std::optional<sys::Fd> dir, open_run_dir(containers_dir, id));
  if (!dir) return view;
  TRY(std::optional<std::string> marker, read_small(dir->get(), kMarker, 64));
  if (marker) view.marker = *marker == "run" ? StartMarker::kRun : StartMarker::kStart;
  // The lock first: a monitor writes its end before it lets go, so "free" makes the state final.
  TRY(bool alive, sys::is_locked(dir->get(), "monitor.lock"));
  TRY(std::optional<std::string> text, read_small(dir->get(), "state.json", kMaxState));
  if (text) {
    TRY(view.state, monitor::parse_run_state(*text));
  }
  bool ended = text && view.state.status == "exited";
  view.life = ended   ? RunView::Life::kFinished
              : alive ? RunView::Life::kLive
                      : RunView::Life::kLost;
  return view;
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
