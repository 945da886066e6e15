// The boot-scoped side of a container: <run root>/containers/<id>, on tmpfs, gone at reboot.
//
//   starting       "run" or "start": a command is at it and has not acknowledged yet
//   monitor.lock   held by the monitor for its whole life
//   state.json     written by the monitor: created, running, exited
//   monitor.sock   where clients reach the monitor
//   network.json   addresses and ports of this run, for inspect
//   nft.stop       netlink bytes that take the published ports out of nftables
//   hosts, hostname, resolv.conf   bound into the container
//   exec/<id>      run directories of exec sessions
//
// Who may change one: the holder of the container's lock (<run root>/locks/<id>) and its monitor.
#pragma once

#include <optional>
#include <string>

#include "engine/record.h"
#include "monitor/protocol.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::engine {

// Which command made the run directory. A container made by an unacknowledged `run` may vanish; one
// that was only being started goes back to what it was.
enum class StartMarker { kRun, kStart };

struct RunView {
  enum class Life {
    kNone,      // no run directory
    kLive,      // a monitor holds the lock
    kFinished,  // the monitor has recorded the end
    kLost,      // no monitor and no recorded end: killed, or not yet there
  } life = Life::kNone;
  monitor::RunState state;
  std::optional<StartMarker> marker;

  bool running() const { return life == Life::kLive && state.status == "running"; }
};

// What it says is final only for the holder of the container's lock (kHolder). Anybody else
// (kOnlooker) must not touch the lock of a monitor that is just coming up: a run without a recorded
// state then looks lost, and whoever wants to act on that takes the container's lock first.
enum class Sight { kOnlooker, kHolder };
Result<RunView> observe_run(int containers_dir, const std::string& id, Sight sight);

// Waits until the monitor has let go of its lock. False: not within the time.
Result<bool> wait_for_monitor_end(int containers_dir, const std::string& id, int timeout_ms);
// Waits until a monitor whose starter is gone has given up, or its program runs: the word to start
// may have been the last that it heard. For the holder of the container's lock. kUnavailable:
// neither within the time.
Result<RunView> outwait_start(int containers_dir, const std::string& id, int timeout_ms);

// Keeps a monitor from beginning that its starter has left behind. Empty: one has begun, or there
// is no run directory.
Result<std::optional<sys::FileLock>> bar_monitor(int containers_dir, const std::string& id);

// Makes an empty run directory (0700) with the marker in it; leftovers of an earlier run go.
Result<sys::Fd> make_run_dir(int containers_dir, const std::string& id, StartMarker marker);
Result<void> clear_marker(int run_dir);

Result<void> write_network_settings(int run_dir, const NetworkSettings& settings);
// Empty settings when there is no file.
Result<NetworkSettings> read_network_settings(int containers_dir, const std::string& id);

}  // namespace wherry::engine
