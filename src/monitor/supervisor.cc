// Creation, start and end. What clients send is in supervisor_clients.cc.
#include "monitor/supervisor.h"

#include <signal.h>

#include <utility>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "monitor/permit.h"
#include "sys/nfnetlink.h"
#include "sys/process.h"

namespace wherry::monitor {
namespace {

// Processes that an exec session leaves behind may hold its pipes for ever: it ends when they have
// been silent for a moment, and soon in any case.
constexpr int64_t kSilenceMs = 100;
constexpr int64_t kDrainLimitNs = 1'000'000'000;
constexpr int64_t kFlushMs = 2000;

bool has_terminal(const MonitorConfig& config) {
  return config.container ? config.container->spec.process.terminal
                          : config.exec->options.process.terminal;
}

}  // namespace

Supervisor::Supervisor(EventLoop loop, MonitorConfig config, sys::Fd launcher, Prepared prepared)
    : loop_(std::move(loop)),
      config_(std::move(config)),
      launcher_(std::move(launcher)),
      prepared_(std::move(prepared)),
      terminal_(has_terminal(config_)),
      stdio_(loop_, {[this](int stream, std::string_view data) { on_output(stream, data); },
                     [this](int stream) { on_stream_end(stream); }, [this] { balance(); }}),
      peers_(loop_, {[this](Peer& peer, Message message) { on_message(peer, std::move(message)); },
                     [this](Peer& peer) { on_peer_gone(peer); }, [this] { balance(); },
                     [this] { return welcome(); }}),
      ports_(loop_),
      settlement_(loop_, config_.settle_command) {}

Result<void> Supervisor::prepare(sys::Fd first_client) {
  TraceScope scope("monitor: prepare");
  TRY_VOID(failpoint("monitor.started"));
  TRY(RunFiles files, RunFiles::open(config_.run_dir));
  files_.emplace(std::move(files));
  Result<void> made = create_workload();
  if (made) made = announce(std::move(first_client));
  if (!made) {
    if (workload_) workload_->abandon();
    close_network();
    files_->remove_all();
    return made;
  }
  phase_ = Phase::kCreated;
  return {};
}

// Cheap steps that fail often come first: a port in use is known before any namespace is made.
Result<void> Supervisor::create_workload() {
  if (!config_.log_path.empty()) {
    TRY(log_, JsonLog::open(config_.log_path, config_.log_max_size, config_.log_max_files));
  }
  TRY_VOID(ports_.bind(config_.ports));
  TRY_VOID(stdio_.open(terminal_, config_.open_stdin));
  std::function<Result<sys::Fd>()> permit;
  if (config_.starts_at_once) permit = [this] { return await_permit(); };
  runtime::PreparedCgroup cgroup = std::move(prepared_.cgroup);
  // Nothing waits for it while the init makes itself ready.
  const auto meanwhile = [this] { return enter_engine_cgroup(); };
  TRY(Workload workload,
      Workload::create(config_, stdio_.program_ends(), cgroup, permit, meanwhile));
  workload_.emplace(std::move(workload));
  TRY_VOID(enter_engine_cgroup());
  launcher_.reset();
  warnings_ = workload_->warnings();
  if (workload_->is_exec()) return failpoint("monitor.created");
  stdio_.close_program_ends();
  if (terminal_) stdio_.use_console(workload_->take_console());
  return failpoint("monitor.created");
}

Result<void> Supervisor::enter_engine_cgroup() {
  if (prepared_.engine_cgroup.empty()) return {};
  return runtime::enter_cgroup(std::exchange(prepared_.engine_cgroup, {}));
}

// From here on the program may run at any moment: what is published must be there.
Result<sys::Fd> Supervisor::await_permit() {
  TRY_VOID(receive_permit(launcher_.get()));
  TRY_VOID(open_network());
  return std::move(prepared_.network);
}

Result<void> Supervisor::announce(sys::Fd first_client) {
  state_.monitor_pid = getpid();
  state_.pid = workload_->pid();
  state_.start_time = workload_->start_time();
  TRY_VOID(files_->write(state_));
  TRY_VOID(peers_.listen(files_->dir()));
  TRY_VOID(failpoint("monitor.welcome"));
  return peers_.adopt(std::move(first_client));
}

Result<void> Supervisor::run() {
  while (phase_ != Phase::kFinished) {
    TRY_VOID(loop_.run_once());
    peers_.sweep();
    if (phase_ == Phase::kCreated && peers_.all().empty()) abandon();
    if (phase_ == Phase::kRunning && config_.ends_with_clients && peers_.all().empty())
      end_without_clients();
    if (phase_ == Phase::kEnded) check_finished();
  }
  return {};
}

Result<void> Supervisor::start() {
  Result<void> begun = config_.starts_at_once ? Result<void>() : open_network();
  if (begun) {
    // On an error the runtime has undone everything itself.
    TRY_VOID(workload_->start());
    begun = record_running();
  }
  if (!begun) workload_->abandon();
  return begun;
}

Result<void> Supervisor::open_network() {
  TRY_VOID(failpoint("monitor.before_start"));
  if (config_.nft_on_start.empty()) return {};
  TRY_VOID_CTX(sys::send_nft_batch(config_.nft_on_start), "cannot publish ports");
  nft_applied_ = true;
  return {};
}

Result<void> Supervisor::record_running() {
  if (workload_->is_exec()) {
    stdio_.close_program_ends();
    if (terminal_) stdio_.use_console(workload_->take_console());
  }
  TRY_VOID(stdio_.start());
  TRY_VOID(loop_.add(workload_->pidfd(), EPOLLIN, [this](uint32_t) { on_exit(); }));
  auto unwatch = [this] { loop_.remove(workload_->pidfd()); };
  state_.status = "running";
  state_.pid = workload_->pid();
  state_.start_time = workload_->start_time();
  state_.started_ns = wall_clock_ns();
  Result<void> written = ports_.serve();
  if (written) written = failpoint("monitor.running");
  if (written) written = files_->write(state_);
  if (!written) {
    unwatch();
    return written;
  }
  phase_ = Phase::kRunning;
  return {};
}

void Supervisor::close_network() {
  if (!nft_applied_ || config_.nft_on_stop.empty()) return;
  [[maybe_unused]] Result<void> removed = sys::send_nft_batch(config_.nft_on_stop);
  nft_applied_ = false;
}

// The runtime has undone the process and its cgroups; what is left is ours.
void Supervisor::undo_start(const Error& error) {
  state_.started_ns = 0;
  state_.pid = 0;
  state_.start_time = 0;
  state_.error = error.message();
  state_.error_kind = kind_name(error.kind());
  end();
}

// The creating client vanished before Start, and nobody else is interested.
void Supervisor::abandon() {
  workload_->abandon();
  stdio_.close();
  ports_.close();
  close_network();
  peers_.stop_listening();
  files_->remove_all();
  phase_ = Phase::kFinished;
}

// Its pidfd becomes readable, and the rest goes as with any other end.
void Supervisor::end_without_clients() {
  [[maybe_unused]] Result<void> killed = sys::signal_process(workload_->pidfd(), SIGKILL);
  config_.ends_with_clients = false;
}

void Supervisor::on_exit() {
  loop_.remove(workload_->pidfd());
  Result<runtime::Container::Exit> exit = workload_->reap();
  if (exit) {
    state_.exit_code = exit->code;
    state_.signal = exit->signal;
    state_.oom_killed = exit->oom_killed;
  } else {
    state_.exit_code = 255;
    state_.error = exit.error().message();
    state_.error_kind = kind_name(exit.error().kind());
  }
  phase_ = Phase::kDraining;
  // Kills who else may hold the pipes of a container, so that what they hold is all there is.
  Result<void> destroyed = workload_->destroy();
  if (!destroyed && state_.error.empty()) {
    state_.error = destroyed.error().message();
    state_.error_kind = kind_name(destroyed.error().kind());
  }
  bool all_ended = stdio_.drain();
  if (all_ended || !workload_->is_exec()) return finish_run();
  drain_deadline_ns_ = monotonic_ns() + kDrainLimitNs;
  wait_for_silence();
}

void Supervisor::wait_for_silence() {
  loop_.cancel(silence_timer_);
  silence_timer_ = loop_.after(kSilenceMs, [this] { on_silence(); });
}

void Supervisor::on_silence() {
  // A client that is slow is no silence of the program.
  if (stdio_.paused()) return wait_for_silence();
  finish_run();
}

void Supervisor::finish_run() {
  if (phase_ != Phase::kDraining) return;
  loop_.cancel(silence_timer_);
  for (int stream : {1, 2})
    if (log_.finish(stream, wall_clock_ns())) peers_.notify_log();
  end();
}

// From here on the end is on file, and this monitor's run directory belongs to whoever takes the
// lock.
void Supervisor::end() {
  stdio_.close();
  state_.status = "exited";
  state_.finished_ns = wall_clock_ns();
  [[maybe_unused]] Result<void> before = failpoint("monitor.exited");
  ports_.close();
  close_network();
  // Unwritten, the state says "running" without a lock: the next command finds the monitor lost,
  // and connected clients still hear the code.
  [[maybe_unused]] Result<void> written = files_->write(state_);
  [[maybe_unused]] Result<void> after = failpoint("monitor.state_written");
  phase_ = Phase::kEnded;
  peers_.stop_listening();
  files_->release();
  for (Peer& peer : peers_.all())
    if (peer.attached() || peer.watch_exit) send_exited(peer);
  [[maybe_unused]] Result<void> settling = failpoint("monitor.before_settle");
  loop_.after(kFlushMs, [this] { flush_expired_ = true; });
}

void Supervisor::send_exited(Peer& peer) {
  if (!state_.error_kind.empty() && state_.started_ns == 0)
    return;  // it has no exit: Failed says why
  peers_.send(peer, Exited{state_.exit_code, state_.signal, state_.oom_killed, state_.finished_ns});
}

void Supervisor::settle() {
  if (settlement_.done() || settlement_.running()) return;
  for (const Peer& peer : peers_.all())
    if (!peer.gone && peer.will_settle) return;
  // Whoever asked for a start that failed has the error and undoes its own record.
  if (state_.started_ns == 0 && !state_.error_kind.empty() && !settle_was_promised_)
    return settlement_.done_by_client();
  settlement_.run_command();
}

void Supervisor::check_finished() {
  settle();
  if (!settlement_.done()) return;
  // Output that an attached client still owes its user is never cut; other queues have had their
  // time.
  for (const Peer& peer : peers_.all())
    if (!peer.gone && !peer.queue.empty() && (peer.takes_output() || !flush_expired_)) return;
  phase_ = Phase::kFinished;
}

void Supervisor::on_output(int stream, std::string_view data) {
  if (log_.write(stream, data, wall_clock_ns())) peers_.notify_log();
  peers_.send_output(stream, data);
  if (phase_ == Phase::kDraining && silence_timer_ != 0 && monotonic_ns() < drain_deadline_ns_)
    wait_for_silence();
}

void Supervisor::on_stream_end(int stream) {
  if (log_.finish(stream, wall_clock_ns())) peers_.notify_log();
  // Only an exec session waits for the end of its streams.
  if (phase_ == Phase::kDraining && silence_timer_ != 0 && stdio_.ended()) finish_run();
}

// Back-pressure both ways: slow clients slow the program's output, a slow program slows its input.
void Supervisor::balance() {
  stdio_.pause_output(peers_.congested());
  size_t queued = stdio_.input_queued();
  if (queued > Stdio::kInputHigh) peers_.pause_input(true);
  if (queued <= Stdio::kInputLow) peers_.pause_input(false);
}

}  // namespace wherry::monitor
