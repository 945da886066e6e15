// One container's or exec session's life, as a state machine over the event loop.
//
//   created --Start--> running --init ends--> draining --> ended --settled, queues sent--> finished
//      |                                                     ^
//      +-- last client gone: undone without a trace          +-- the start failed
//
// With a permit (monitor/permit.h) the program may run in `created` already.
//
// Each phase is one function; what it owns is in the members' classes. Not thread-safe, never
// moved.
#pragma once

#include <memory>
#include <optional>

#include "monitor/config.h"
#include "monitor/event_loop.h"
#include "monitor/json_log.h"
#include "monitor/peers.h"
#include "monitor/port_relay.h"
#include "monitor/run_files.h"
#include "monitor/settlement.h"
#include "monitor/stdio.h"
#include "monitor/workload.h"

namespace wherry::monitor {

class Supervisor {
 public:
  // What was made before the configuration was there; all may be empty.
  struct Prepared {
    runtime::PreparedCgroup cgroup;
    sys::Fd network;            // the container's network namespace, loopback up
    std::string engine_cgroup;  // where this process is to live, when it is not there yet
  };
  // `launcher`: the socket of monitor/permit.h, behind the configuration.
  Supervisor(EventLoop loop, MonitorConfig config, sys::Fd launcher, Prepared prepared);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Everything up to state "created", and the first client. On an error everything is undone.
  Result<void> prepare(sys::Fd first_client);
  // Serves until the end is settled.
  Result<void> run();

 private:
  enum class Phase { kPreparing, kCreated, kRunning, kDraining, kEnded, kFinished };

  Result<void> create_workload();
  Result<sys::Fd> await_permit();
  Result<void> enter_engine_cgroup();
  Result<void> announce(sys::Fd first_client);

  // Clients.
  void on_message(Peer& peer, Message message);
  void on_attach(Peer& peer, const Attach& attach);
  void on_start(Peer& peer);
  void on_input(Input input);
  Result<void> on_signal(int number);
  Result<void> on_thaw_if_gone(Peer& peer, bool on);
  void on_peer_gone(Peer& peer);
  Welcome welcome() const;
  void answer(Peer& peer, Result<void> result);

  // Life.
  Result<void> start();
  Result<void> open_network();
  void close_network();
  Result<void> record_running();
  void undo_start(const Error& error);
  void abandon();
  void end_without_clients();
  void on_exit();
  void wait_for_silence();
  void on_silence();
  void finish_run();
  void end();
  void send_exited(Peer& peer);
  void settle();
  void check_finished();

  // Streams.
  void on_output(int stream, std::string_view data);
  void on_stream_end(int stream);
  void balance();

  EventLoop loop_;
  MonitorConfig config_;
  sys::Fd launcher_;  // until the workload is made
  Prepared prepared_;
  bool terminal_ = false;
  Phase phase_ = Phase::kPreparing;
  std::optional<RunFiles> files_;
  JsonLog log_;
  Stdio stdio_;
  Peers peers_;
  PortRelay ports_;
  std::optional<Workload> workload_;
  Settlement settlement_;
  RunState state_;
  std::vector<std::string> warnings_;
  bool nft_applied_ = false;
  bool settle_was_promised_ = false;
  EventLoop::Timer silence_timer_ = 0;
  int64_t drain_deadline_ns_ = 0;
  bool flush_expired_ = false;
};

}  // namespace wherry::monitor
