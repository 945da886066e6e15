// The clients of a monitor: the listening socket, connections, and their bounded queues.
//
// A client that has vanished is dropped at once. One that is slow to take Output makes congested()
// true; the caller then stops reading from the container until it is false again. Clients that let
// other answers pile up beyond a limit are dropped.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "monitor/event_loop.h"
#include "monitor/protocol.h"
#include "sys/fd.h"

namespace wherry::monitor {

struct Peer {
  sys::Fd socket;
  bool greeted = false;
  bool gone = false;     // dropped, removed at the next sweep
  bool hang_up = false;  // to be dropped once its queue is sent
  Attach attach{false, false, false};
  bool watch_exit = false;
  bool watch_log = false;
  bool will_settle = false;
  bool thaw_if_gone = false;
  bool log_grew_queued = false;
  std::deque<std::shared_ptr<const std::string>> queue;
  size_t queued = 0;

  bool attached() const { return attach.in || attach.out || attach.err; }
  bool takes_output() const { return attach.out || attach.err; }
};

class Peers {
 public:
  static constexpr size_t kQueueHigh = 1u << 20;
  static constexpr size_t kQueueLow = 256 * 1024;
  static constexpr size_t kQueueLimit = 16u << 20;
  static constexpr size_t kMaxPeers = 256;

  struct Callbacks {
    std::function<void(Peer&, Message)> message;  // after Hello, in order
    std::function<void(Peer&)> gone;
    std::function<void()> queue_moved;  // congested() may have changed
    std::function<Welcome()> welcome;   // the answer to Hello
  };

  Peers(EventLoop& loop, Callbacks callbacks) : loop_(loop), callbacks_(std::move(callbacks)) {}
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;
  ~Peers();

  // Listens on monitor.sock (0600) in the run directory, reached through its descriptor.
  Result<void> listen(int run_dir);
  void stop_listening();
  Result<void> adopt(sys::Fd socket);

  void send(Peer& peer, const Message& message);
  void send_output(int stream, std::string_view data);
  void notify_log();
  void drop(Peer& peer);
  // Forgets dropped peers. Call between rounds of the loop.
  void sweep();

  // While paused, connections that may send Input are not read.
  void pause_input(bool paused);
  bool congested() const { return congested_; }
  std::list<Peer>& all() { return peers_; }
  size_t count() const;  // those not gone

 private:
  void accept_one();
  void on_events(Peer& peer, uint32_t events);
  void read_packets(Peer& peer);
  void handle(Peer& peer, std::string_view packet);
  void refuse(Peer& peer, Error error);
  void enqueue(Peer& peer, std::shared_ptr<const std::string> packet, bool log_grew);
  void flush(Peer& peer);
  void update(Peer& peer);
  void update_congestion();

  EventLoop& loop_;
  Callbacks callbacks_;
  sys::Fd listener_;
  std::list<Peer> peers_;
  EventLoop::Timer retry_ = 0;
  bool input_paused_ = false;
  bool congested_ = false;
};

// Sends one message before there is a loop, without waiting.
void send_now(int socket, const Message& message);

}  // namespace wherry::monitor
