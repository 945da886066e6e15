// What clients ask of a supervisor, message by message.
#include <malloc.h>

#include "monitor/supervisor.h"
#include "sys/process.h"

namespace wherry::monitor {
namespace {

constexpr int kHighestSignal = 64;

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

void Supervisor::on_message(Peer& peer, Message message) {
  std::visit(
      Overloaded{
          [&](const Attach& m) { on_attach(peer, m); },
          [&](const Start&) { on_start(peer); },
          [&](Input& m) { on_input(std::move(m)); },
          [&](const InputEof&) { stdio_.input_eof(); },
          [&](const Resize& m) {
            Result<void> resized = stdio_.resize(m.rows, m.columns);
            if (!resized) answer(peer, std::move(resized));
          },
          [&](const Signal& m) { answer(peer, on_signal(m.number)); },
          [&](const WatchExit&) {
            peer.watch_exit = true;
            if (phase_ == Phase::kEnded) send_exited(peer);
          },
          [&](const WatchLog&) { peer.watch_log = true; },
          [&](const WillSettle&) { settle_was_promised_ = peer.will_settle = true; },
          [&](const Settled&) {
            if (phase_ != Phase::kEnded)
              return answer(peer, Error(ErrorKind::kConflict, "cannot settle what has not ended"));
            settlement_.done_by_client();
          },
          [&](const ThawIfGone& m) { answer(peer, on_thaw_if_gone(peer, m.on)); },
          [&](const auto&) {
            answer(peer,
                   Error(ErrorKind::kInvalidArgument, "this message is the monitor's to send"));
          },
      },
      message);
}

void Supervisor::on_attach(Peer& peer, const Attach& attach) {
  peer.attach = attach;
  if (phase_ == Phase::kEnded) send_exited(peer);
}

void Supervisor::on_start(Peer& peer) {
  if (phase_ != Phase::kCreated)
    return answer(peer, Error(ErrorKind::kConflict, "cannot start '" + config_.container_id +
                                                        "': it was started before"));
  Result<void> started = start();
  if (started) {
    peers_.send(peer, Started{workload_->pid()});
    malloc_trim(0);  // the plan is executed: a monitor lives long and small
    return;
  }
  undo_start(started.error());
  peers_.send(peer, Failed{std::move(started.error())});
}

void Supervisor::on_input(Input input) {
  stdio_.input(std::move(input.data));
  balance();
}

Result<void> Supervisor::on_signal(int number) {
  if (number < 1 || number > kHighestSignal)
    return Error(ErrorKind::kInvalidArgument, "there is no signal " + std::to_string(number));
  if (phase_ != Phase::kRunning)
    return Error(ErrorKind::kConflict, "'" + config_.container_id + "' is not running");
  return sys::signal_process(workload_->pidfd(), number);
}

void Supervisor::on_peer_gone(Peer& peer) {
  if (peer.attach.in && config_.stdin_once) stdio_.input_eof();
  if (!peer.thaw_if_gone || phase_ != Phase::kRunning) return;
  // Unthawed it stays as `pause` leaves it: `unpause` and `stop` still reach it.
  [[maybe_unused]] Result<void> thawed = workload_->thaw();
}

Result<void> Supervisor::on_thaw_if_gone(Peer& peer, bool on) {
  if (workload_->is_exec())
    return Error(ErrorKind::kInvalidArgument, "an exec session is not frozen by itself");
  peer.thaw_if_gone = on;
  return {};
}

Welcome Supervisor::welcome() const {
  std::string status = phase_ == Phase::kCreated ? "created"
                       : phase_ == Phase::kEnded ? "exited"
                                                 : "running";
  return {kProtocolVersion, std::move(status), warnings_};
}

void Supervisor::answer(Peer& peer, Result<void> result) {
  if (result)
    peers_.send(peer, Done{});
  else
    peers_.send(peer, Failed{std::move(result.error())});
}

}  // namespace wherry::monitor
