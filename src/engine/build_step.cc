// RUN: a step's program through the same launch path as `run`, without a record.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "base/trace.h"
#include "engine/build_host.h"
#include "engine/host_facts.h"
#include "engine/local_engine.h"
#include "engine/mount_stubs.h"
#include "engine/reserve.h"
#include "sys/file.h"
#include "transfer/image_transfer.h"

namespace wherry::engine {
namespace {

// The same in every build: a name that changed would end up in files that programs generate.
constexpr const char* kHostname = "wherry-build";
constexpr int kKillWaitMs = 10000;

ContainerRecord step_record(const StepRequest& request) {
  ContainerRecord record;
  record.id = random_id();
  record.name = "build step";
  record.path = request.argv[0];
  record.args.assign(request.argv.begin() + 1, request.argv.end());
  record.config.hostname = kHostname;
  record.config.env = request.env;
  record.config.user = request.user;
  record.config.working_dir = request.working_dir;
  record.host_config.network_mode = request.network_mode;
  record.host_config.log_config.driver = "none";
  record.host_config.auto_remove = true;
  return record;
}

Result<void> write_step_file(int run_dir, const std::string& name, const StepFile& file) {
  TRY_VOID(sys::write_file_atomic(run_dir, name, file.content, file.mode, sys::Sync::kNone));
  if (file.uid == 0 && file.gid == 0) return {};
  if (fchownat(run_dir, name.c_str(), file.uid, file.gid, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return Error::from_errno(errno, "cannot set the owner of '" + file.destination + "'");
}

}  // namespace

// A running step, and all that has to be given back after it.
class LocalEngine::RunningStep final : public Step {
 public:
  RunningStep(LocalEngine& engine, std::string id, sys::FileLock lock)
      : engine_(engine), id_(std::move(id)), lock_(std::move(lock)) {}
  RunningStep(const RunningStep&) = delete;
  RunningStep& operator=(const RunningStep&) = delete;

  ~RunningStep() override {
    if (!released_) abandon();
  }

  Session& session() override { return *session_; }

  Result<void> finish() override {
    TRY_VOID_CTX(stubs_.remove(upper_.get()), "cannot finish the step");
    TRY_VOID(failpoint("engine.step.ended"));
    // A monitor that ended with an error may have left the cgroup behind.
    TRY(RunView view, observe_run(engine_.fds_.run_containers.get(), id_, Sight::kHolder));
    return release(view.life != RunView::Life::kFinished || !view.state.error.empty());
  }

  Result<void> launch(const StepRequest& request, const monitor::MonitorConfig& config) {
    TRY(upper_, sys::open_file(request.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(monitor::Client launched, engine_.launch_monitor(config));
    client_ = std::make_shared<monitor::Client>(std::move(launched));
    TRY(stubs_, MountStubs::find(upper_.get()));
    TRY_VOID(failpoint("engine.step.created"));
    TRY_VOID(client_->send(monitor::WatchExit{}));
    TRY_VOID(client_->send(monitor::WillSettle{}));
    TRY_VOID(client_->send(monitor::Attach{false, true, true}));
    if (Result<void> started = client_->call(monitor::Start{}); !started) {
      // Nothing has run: there is no end to wait for.
      [[maybe_unused]] auto told = client_->send(monitor::Settled{});
      client_.reset();
      return started;
    }
    session_ = std::make_unique<MonitorSession>(client_);
    return failpoint("engine.step.started");
  }

 private:
  Result<void> release(bool kill_processes) {
    released_ = true;
    Result<void> released = engine_.release_run(id_, kill_processes);
    if (!released) return released;  // the lock file stays: the next command finds the rest by it
    engine_.drop_lock_file(id_);
    if (client_) [[maybe_unused]]
      auto told = client_->send(monitor::Settled{});
    return {};
  }

  void abandon() {
    if (client_) {
      [[maybe_unused]] Result<void> killed = client_->send(monitor::Signal{SIGKILL});
      [[maybe_unused]] auto exited = wait_for_exit(*client_, kKillWaitMs);
    }
    [[maybe_unused]] Result<void> left_to_recovery = release(true);
  }

  LocalEngine& engine_;
  std::string id_;
  sys::FileLock lock_;
  sys::Fd upper_;
  MountStubs stubs_;
  std::shared_ptr<monitor::Client> client_;
  std::unique_ptr<MonitorSession> session_;
  bool released_ = false;
};

Result<std::unique_ptr<Step>> LocalEngine::run_step(const StepRequest& request) {
  TraceScope trace("engine.step");
  if (request.argv.empty() || request.argv[0].empty())
    return Error(ErrorKind::kInvalidArgument, "no command specified");
  TRY_VOID(failpoint("engine.step.begin"));
  ContainerRecord record = step_record(request);
  TRY(HostFacts host, gather_host_facts(HostConfig()));
  TRY(sys::FileLock lock, lock_container(record.id));
  // From here on a kill leaves a run directory without a record, and the next command takes
  // everything back.
  auto step = std::make_unique<RunningStep>(*this, record.id, std::move(lock));
  TRY(sys::Fd run_dir, make_run_dir(fds_.run_containers.get(), record.id, StartMarker::kRun));
  TRY_VOID(failpoint("engine.step.marked"));
  Connection connection;
  TRY(connection.attachment, lease_network(record));
  TRY_VOID(write_run_files(record, host, run_dir.get(), connection));
  TRY(monitor::MonitorConfig config, plan_monitor(record, host, {}, connection, {}));
  config.ends_with_clients = true;
  monitor::ContainerPlan& plan = *config.container;
  plan.root = {.lower = request.below.lower,
               .metadata = request.below.metadata,
               .objects = request.below.objects,
               .upper = request.upper,
               .work = request.work,
               .volatile_upper = true,
               .directory = {}};
  plan.spec.mounts.insert(plan.spec.mounts.end(), request.mounts.begin(), request.mounts.end());
  for (size_t i = 0; i < request.files.size(); ++i) {
    const StepFile& file = request.files[i];
    std::string name = "file-" + std::to_string(i);
    TRY_VOID(write_step_file(run_dir.get(), name, file));
    plan.spec.mounts.push_back(
        {file.destination, "bind", config.run_dir + "/" + name, {"bind", "rprivate", "ro"}});
  }
  TRY_VOID(step->launch(request, config));
  return std::unique_ptr<Step>(std::move(step));
}

Result<store::Store*> LocalEngine::image_store() {
  ensure_reserve(fds_.root.get());
  return store();
}

Result<void> LocalEngine::take_back() {
  TRY_VOID(recover());
  TRY(store::Store * images, store());
  return images->sweep();
}

Result<store::Image> LocalEngine::base_image(const std::string& name, const std::string& platform,
                                             bool pull,
                                             const std::function<void(const std::string&)>& note) {
  TRY(store::Store * images, store());
  Result<store::Image> image = images->find(name, platform);
  if (image && !pull) return image;
  if (!image && image.error().kind() != ErrorKind::kNotFound) return std::move(image.error());
  using Phase = transfer::LayerProgress::Phase;
  PullRequest request;
  request.name = name;
  request.platform = platform;
  request.progress = [&](const transfer::LayerProgress& layer) {
    if (layer.phase == Phase::kPullComplete) note("pulled " + layer.id);
    if (layer.phase == Phase::kExists) note(layer.id + " is here already");
  };
  TRY(transfer::Pulled pulled, this->pull(request));
  return std::move(pulled.image);
}

}  // namespace wherry::engine
