// The versioned protocol spoken to a monitor, as one variant type. docs/formats/monitor-protocol.md
// has the bytes: SOCK_SEQPACKET, one message a packet, at most kMaxPacket; first byte the type,
// then either raw bytes (Input, Output) or a JSON object.
//
// A client connects to <run dir>/monitor.sock (0600 in a 0700 directory, SO_PEERCRED checked) or
// inherits the socket pair of the spawn. It sends Hello first. Any number of clients may be
// connected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace wherry::monitor {

inline constexpr int kProtocolVersion = 2;  // a client speaks to monitors one version older
inline constexpr size_t kMaxPacket = 65536;

// --- client to monitor
struct Hello {
  int protocol = kProtocolVersion;
};
// From now on Output comes for these streams, and Input goes in when `in` is set.
struct Attach {
  bool in = false;
  bool out = true;
  bool err = true;
};
struct Start {};  // answered by Started or Failed
struct Input {
  std::string data;
};
struct InputEof {};
struct Resize {
  uint16_t rows = 0;
  uint16_t columns = 0;
};
struct Signal {
  int number = 0;
};  // to the container's init; answered by Done or Failed
struct WatchExit {};  // Exited will be sent
struct WatchLog {};   // LogGrew after each write to the log (coalesced)
// This client settles the end itself: the monitor then runs settle_command only if the client's
// connection closes without Settled.
struct WillSettle {};
struct Settled {};
// With `on`: when this client's connection ends, the container is thawed, so that one who has
// frozen it cannot leave it so. Answered by Done or Failed; since version 2.
struct ThawIfGone {
  bool on = true;
};

// --- monitor to client
struct Welcome {
  int protocol = kProtocolVersion;
  std::string status;  // created, running, exited
  std::vector<std::string>
      warnings;  // of the container's creation: "cannot raise RLIMIT_NOFILE ..."
};
struct Started {
  int pid = 0;
};
struct Output {
  int stream = 1;  // 1 stdout, 2 stderr
  std::string data;
};
struct Exited {
  int code = 0;
  int signal = 0;
  bool oom_killed = false;
  int64_t finished_ns = 0;
};
struct LogGrew {};
struct Done {};
struct Failed {
  Error error{ErrorKind::kInternal, ""};
};

using Message = std::variant<Hello, Attach, Start, Input, InputEof, Resize, Signal, WatchExit,
                             WatchLog, WillSettle, Settled, ThawIfGone, Welcome, Started, Output,
                             Exited, LogGrew, Done, Failed>;

std::string encode(const Message& message);
Result<Message> decode(std::string_view packet);

// What the monitor keeps in <run dir>/state.json by atomic rename, for commands that come later.
// The file is the truth together with the lock <run dir>/monitor.lock, which the monitor holds
// exclusively for its whole life: "running" without the lock held means that the monitor is lost.
struct RunState {
  std::string status = "created";  // created, running, exited
  int pid = 0;                     // of the init, host pid
  uint64_t start_time = 0;         // sys::process_start_time
  int monitor_pid = 0;
  int64_t started_ns = 0;  // wall clock; 0: never
  int64_t finished_ns = 0;
  int exit_code = 0;
  int signal = 0;
  bool oom_killed = false;
  std::string error;       // why it could not start
  std::string error_kind;  // kind_name of that error; empty: it started
};
std::string to_json(const RunState& state);
Result<RunState> parse_run_state(std::string_view json);

}  // namespace wherry::monitor
