// The local engine's own header: one class, whose methods live in one file per subject.
//
//   local.cc       roots, locks, records in and out of the database
//   containers.cc  create, run, start       launch.cc     the start path from record to monitor
//   lifecycle.cc   stop, kill, restart, remove, wait      settle.cc  folding the end of a run into
//   the record recovery.cc    what crashes leave behind              listing.cc list, inspect, log
//   pause.cc commit.cc prune.cc build_step.cc sandbox.cc exec.cc images.cc image_archives.cc
//   registry.cc local_volumes.cc bootstrap.cc info.cc
//
// Rule: whoever changes a container holds its lock (<run root>/locks/<id>), which the kernel frees
// at death. Lock order: container, then images, then the database, then the network's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/advance.h"
#include "engine/build_host.h"
#include "engine/engine.h"
#include "engine/local.h"
#include "engine/run_dir.h"
#include "engine/sandbox.h"
#include "engine/session.h"
#include "engine/spec_builder.h"
#include "network/network.h"
#include "state/containers.h"
#include "state/database.h"
#include "store/store.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::engine {

// In the run root; held shared while a container starts.
inline constexpr const char* kCgroupsLock = "cgroups.lock";

struct Paths {
  std::string root, run_root;
  std::string tag;  // of the root: names of bridges, rules and cgroups; "" for the default root
  std::string cgroup_parent;  // "/wherry" or "/wherry-<tag>"

  std::string container_dir(const std::string& id) const { return root + "/containers/" + id; }
  std::string run_dir(const std::string& id) const { return run_root + "/containers/" + id; }
  std::string log_path(const std::string& id) const {
    return container_dir(id) + "/" + id + "-json.log";
  }
  std::string cgroup(const std::string& id) const { return cgroup_parent + "/" + id; }
};

struct Terminal {
  uint16_t rows = 0, columns = 0;
};

class LocalEngine final : public Engine, public BuildHost {
 public:
  static Result<std::unique_ptr<Engine>> open(const LocalOptions& options);

  Result<Created> create(const CreateRequest& request) override;
  Result<RunResult> run(const CreateRequest& request, std::optional<AttachStreams> attach,
                        uint16_t rows, uint16_t columns) override;
  Result<RunResult> start(const std::string& name, std::optional<AttachStreams> attach,
                          uint16_t rows, uint16_t columns) override;
  Result<std::unique_ptr<Session>> attach(const std::string& name, AttachStreams streams) override;
  Result<void> settle(const std::string& id) override;
  Result<void> stop(const std::string& name, std::optional<int> timeout,
                    const std::string& signal) override;
  Result<void> restart(const std::string& name, std::optional<int> timeout,
                       const std::string& signal) override;
  Result<void> kill(const std::string& name, const std::string& signal) override;
  Result<void> pause(const std::string& name) override;
  Result<void> unpause(const std::string& name) override;
  Result<void> rename(const std::string& name, const std::string& new_name) override;
  Result<void> remove(const std::string& name, bool force, bool volumes) override;
  Result<int> wait(const std::string& name) override;
  Result<store::Image> commit(const CommitRequest& request) override;
  Result<void> changes(const std::string& name,
                       const std::function<Result<void>(const tree::Difference&)>& sink) override;
  Result<ContainerRecord> inspect(const std::string& name) override;
  Result<std::vector<ContainerRecord>> list(const ContainerFilter& filter) override;
  Result<LogFile> log(const std::string& name, bool follow) override;
  Result<ExecResult> exec(const std::string& name, const ExecRequest& request) override;
  Result<store::Image> bootstrap(const BootstrapRequest& request) override;
  Result<store::Image> import(const ImportRequest& request) override;
  Result<std::vector<store::Image>> images() override;
  Result<store::Image> image(const std::string& name) override;
  Result<void> tag(const std::string& source, const std::string& target) override;
  Result<store::Store::Removed> remove_image(const std::string& name, bool force) override;
  Result<std::vector<std::string>> save(const SaveRequest& request) override;
  Result<std::vector<store::Store::Loaded>> load(const LoadRequest& request) override;
  Result<store::Store::Removed> prune_images(bool all, const Filters& filters) override;
  Result<std::vector<uint64_t>> layer_sizes(const store::Image& image) override;
  Result<store::FsckReport> fsck(const store::FsckOptions& options) override;
  Result<store::Collected> collect(const store::CollectOptions& options) override;
  Result<std::vector<store::ImageUsage>> image_usage() override;
  Result<std::string> tree_digest(const store::Image& image) override;
  Result<void> differences(
      const store::Image& before, const store::Image& after,
      const std::function<Result<void>(const tree::Difference&)>& sink) override;
  Result<void> walk_image(const store::Image& image,
                          const std::function<Result<void>(const tree::Entry&)>& sink) override;
  Result<transfer::Pulled> pull(const PullRequest& request) override;
  Result<transfer::Pushed> push(const PushRequest& request) override;
  Result<std::vector<std::string>> remote_tags(const std::string& repository) override;
  Result<LoggedIn> login(const LoginRequest& request) override;
  Result<bool> logout(const std::string& server) override;
  Result<Volume> create_volume(const VolumeRequest& request) override;
  Result<std::vector<Volume>> volumes(const Filters& filters) override;
  Result<Volume> volume(const std::string& name) override;
  Result<void> remove_volume(const std::string& name, bool force) override;
  Result<Pruned> prune_volumes(const Filters& filters) override;
  Result<Pruned> prune_containers(const Filters& filters) override;
  Result<void> prune_networks() override;
  Result<Info> info() override;

  // --- build_step.cc
  Result<BuildHost*> build_host() override { return static_cast<BuildHost*>(this); }
  Result<store::Store*> image_store() override;
  state::Database& state() override { return database_; }
  const std::string& root() const override { return paths_.root; }
  Result<void> take_back() override;
  Result<std::unique_ptr<Step>> run_step(const StepRequest& request) override;
  Result<store::Image> base_image(const std::string& name, const std::string& platform, bool pull,
                                  const std::function<void(const std::string&)>& note) override;

 private:
  class RunningStep;
  class Stillness;

  struct Fds {
    sys::Fd root, containers;            // below the root
    sys::Fd run, run_containers, locks;  // below the run root
  };
  LocalEngine(LocalOptions options, Paths paths, Fds fds, state::Database database,
              std::optional<Advance> advance);

  // --- local.cc
  Result<store::Store*> store();
  Result<sys::FileLock> lock_container(const std::string& id);
  Result<std::optional<sys::FileLock>> try_lock_container(const std::string& id);
  void drop_lock_file(const std::string& id);  // by the lock's holder
  Result<ContainerRecord> find_record(const std::string& name);
  // nullopt when there is no such container any more.
  Result<std::optional<ContainerRecord>> reload(const std::string& id);
  Result<void> save(const ContainerRecord& record, state::Durability durability);
  static state::ContainerRow row_of(const ContainerRecord& record);

  // --- containers.cc
  struct Draft {
    ContainerRecord record;
    store::Image image;
    std::vector<std::string> warnings;
  };
  Result<Draft> draft(const CreateRequest& request);
  Result<void> insert(ContainerRecord& record, bool random_name, state::Durability durability);
  void undo_run(const ContainerRecord& record);
  void record_failed_start(ContainerRecord record, const Error& error);

  // --- launch.cc: with the container's lock held and its run directory made.
  // `record_it` is called while the monitor works, and before anything runs.
  Result<std::unique_ptr<Session>> launch(const ContainerRecord& record, const store::Image& image,
                                          int run_dir, std::optional<AttachStreams> attach,
                                          Terminal terminal, std::vector<std::string>& warnings,
                                          const std::function<Result<void>()>& record_it);
  Result<void> prepare_directories(const ContainerRecord& record, const store::MountPlan& plan);
  Result<std::optional<network::Attachment>> lease_network(const ContainerRecord& record);
  // Both under the lock that keeps a cgroup from going before the monitor is in it: on version 2 it
  // is born there; on version 1, where it enters later, launch() holds the lock again.
  static Result<monitor::Standby> spawn_standby(const Fds& fds, const Paths& paths,
                                                const std::string& id, std::optional<NextRun> next);
  static Result<Advance> begin_run(const Fds& fds, const Paths& paths, const std::string& id,
                                   NextRun next);
  Result<monitor::Standby> take_standby(const std::string& id);
  Result<monitor::Client> launch_monitor(const monitor::MonitorConfig& config);
  Result<void> remove_idle_cgroups();
  Result<network::Attachment> attach_to(const network::Network& bridge,
                                        const ContainerRecord& record);
  Error explain_port_conflict(const Error& error,
                              const std::vector<network::PortRequest>& requests);
  // What this start's container is connected to: an attachment, another's sandbox, or neither.
  struct Connection {
    std::optional<network::Attachment> attachment;
    std::optional<JoinedSandbox> joined;
  };
  Result<void> write_run_files(const ContainerRecord& record, const HostFacts& host, int run_dir,
                               const Connection& connection);
  Result<monitor::MonitorConfig> plan_monitor(const ContainerRecord& record, const HostFacts& host,
                                              const store::MountPlan& mounts,
                                              const Connection& connection, Terminal terminal);
  Result<std::string> seccomp_filter(const ContainerRecord& record,
                                     const std::vector<std::string>& capabilities);
  // Undoes what a failed or lost start has left: cgroup, ports, lease, run directory.
  Result<void> release_run(const std::string& id, bool kill_processes);

  // --- sandbox.cc
  Result<void> resolve_joined_network(ContainerRecord& record);
  Result<std::optional<JoinedSandbox>> join_sandbox(const ContainerRecord& record);
  Result<void> share_sandbox_files(const JoinedSandbox& joined, int run_dir);
  Result<void> take_link_from_joined(const std::string& id);

  // --- settle.cc: with the container's lock held.
  Result<void> settle_locked(const std::string& id);
  Result<void> settle_half_made(const std::string& id, const RunView& view,
                                const std::optional<ContainerRecord>& record);
  Result<void> record_end(ContainerRecord record, const RunView& view);
  Result<void> end_stuck_monitor(int pid, const std::string& id);
  Result<std::optional<sys::FileLock>> end_of_start(const std::string& id, RunView& view);
  // Of a container whose run is released: record, directories and, where asked, anonymous volumes.
  Result<void> remove_locked(const ContainerRecord& record, bool volumes,
                             state::Durability durability);
  // The record with the live state of its run folded in; settles an ended run first where it can.
  Result<std::optional<ContainerRecord>> current(ContainerRecord record);

  // --- lifecycle.cc
  Result<std::optional<monitor::Client>> connect(const std::string& id);
  Result<void> end_process(const ContainerRecord& record, int signal, std::optional<int> timeout);

  // --- pause.cc
  Result<bool> is_paused(const std::string& id);
  // After a signal: a paused process takes it once it runs again.
  Result<void> thaw(const std::string& id);

  // --- commit.cc
  struct CommitDraft {
    oci::ImageConfig config;  // without the new layer
    std::string command;
    std::optional<store::LayerDraft> copy;
  };
  // What of a commit needs the container's lock.
  Result<CommitDraft> draft_commit(const CommitRequest& request, const std::string& id,
                                   store::Lease& lease);
  // What the container has changed so far; nothing when it has never been started.
  Result<std::optional<store::LayerDraft>> copy_layer(const ContainerRecord& record,
                                                      const store::Image& image, bool pause);
  // nullopt: it has never been started.
  Result<std::optional<sys::Fd>> open_upper(const std::string& id);

  // --- recovery.cc
  Result<void> recover();
  void sweep_container_dirs();

  // --- registry.cc
  Result<std::vector<transfer::Endpoint>> with_credentials(
      std::vector<transfer::Endpoint> endpoints) const;
  // Lives no longer than this object.
  transfer::EndpointsOf pull_endpoints_of() const;

  // --- local_volumes.cc
  Result<std::vector<Volume>> all_volumes();
  Result<void> make_volume_dirs(const std::vector<std::string>& names);
  Result<void> remove_volume_dirs(const std::vector<std::string>& names);
  Result<std::vector<std::string>> forget_anonymous_volumes(const ContainerRecord& record);
  void sweep_volumes();

  LocalOptions options_;
  Paths paths_;
  Fds fds_;
  state::Database database_;
  std::optional<store::Store> store_;
  network::Networks networks_;
  std::optional<Advance> advance_;           // of the container that will be run next
  std::optional<monitor::Standby> standby_;  // and its monitor, once it is being run
  // Clients of runs that this process settles, by container id.
  std::map<std::string, std::weak_ptr<monitor::Client>> settling_;
};

}  // namespace wherry::engine
