// create, run, start: from a request to a durable record, and into launch.cc.
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "base/trace.h"
#include "engine/host_facts.h"
#include "engine/local_engine.h"
#include "engine/log_config.h"
#include "engine/merge.h"
#include "engine/ports.h"
#include "engine/reserve.h"
#include "engine/signals.h"
#include "engine/volumes.h"
#include "oci/image.h"
#include "state/facts.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

constexpr int kNameAttempts = 20;
constexpr size_t kMaxHostname = 63;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Result<void> check_hostname(const std::string& hostname) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  if (hostname.size() > kMaxHostname || !std::ranges::all_of(hostname, allowed) ||
      hostname.starts_with('-') || hostname.starts_with('.'))
    return invalid("invalid hostname format: " + hostname.substr(0, 100));
  return {};
}

Result<void> check_network_mode(HostConfig& config) {
  if (config.network_mode.empty() || config.network_mode == "default")
    config.network_mode = "bridge";
  if (config.network_mode == "bridge" || config.network_mode == "none" ||
      config.network_mode == "host" || joined_container(config.network_mode))
    return {};
  return Error(ErrorKind::kNotFound, "network " + config.network_mode + " not found")
      .set_hint("networks here: bridge, host, none, container:NAME");
}

Result<void> check_config(const ContainerConfig& config) {
  TRY_VOID(check_hostname(config.hostname));
  if (!config.working_dir.empty() && !config.working_dir.starts_with('/'))
    return invalid("the working directory '" + config.working_dir +
                   "' is invalid, it needs to be an absolute path");
  for (const std::string& entry : config.env)
    if (entry.empty() || entry.starts_with('='))
      return invalid("invalid environment variable: " + entry);
  if (!config.stop_signal.empty()) {
    TRY([[maybe_unused]] int number, parse_signal(config.stop_signal));
  }
  for (const std::string& port : config.exposed_ports) {
    TRY([[maybe_unused]] auto parsed, parse_port(port));
  }
  return {};
}

std::vector<std::string> config_warnings(const HostConfig& config) {
  std::vector<std::string> warnings;
  if (config.network_mode == "host" && !config.port_bindings.empty())
    warnings.emplace_back("Published ports are discarded when using host network mode");
  if (config.network_mode == "none" && !config.port_bindings.empty())
    warnings.emplace_back("Published ports are discarded without a network");
  return warnings;
}

void warn_of_platform(const oci::ImageConfig& image, std::vector<std::string>& warnings) {
  const oci::Platform host = oci::host_platform();
  const oci::Platform offered = oci::normalised({image.os, image.architecture, image.variant, {}});
  if (oci::platform_distance(host, offered)) return;
  warnings.push_back("The requested image's platform (" + oci::to_text(offered) +
                     ") does not match the detected host platform (" + oci::to_text(host) +
                     ") and no specific platform was requested");
}

Result<void> put_volumes(state::Database& database, const ContainerRecord& record) {
  for (const MountPoint& mount : record.mounts) {
    if (mount.type != "volume") continue;
    TRY(auto known, state::get_fact(database, "volume", mount.name));
    if (known) continue;
    Volume volume{.name = mount.name, .created = record.created, .anonymous = mount.anonymous};
    TRY_VOID(state::put_fact(database, "volume", {mount.name, volume_document(volume)}));
  }
  return {};
}

}  // namespace

Result<LocalEngine::Draft> LocalEngine::draft(const CreateRequest& request) {
  TraceScope trace("engine.draft");
  ensure_reserve(fds_.root.get());
  TRY(store::Store * images, store());
  TRY(store::Image image, images->find(request.config.image, request.platform));
  TRY_CTX(oci::ImageConfig image_config, oci::parse_image_config(image.config_json),
          "cannot read the configuration of image '" + request.config.image + "'");
  Draft draft{{}, std::move(image), {}};
  ContainerRecord& record = draft.record;
  record.id = advance_ ? advance_->id() : random_id();
  record.name = request.name;
  record.created = format_rfc3339(wall_clock_ns());
  record.image_id = draft.image.id.str();
  record.config = merge_config(request.config, image_config.config);
  record.host_config = request.host_config;
  if (record.name.empty())
    record.name = random_container_name(0);
  else
    TRY_VOID(check_container_name(record.name));
  TRY_VOID(check_config(record.config));
  record.host_config.log_config = effective_log_config(record.host_config.log_config, options_.log);
  TRY_VOID(check_log_config(record.host_config.log_config));
  TRY_VOID(check_network_mode(record.host_config));
  TRY_VOID(check_joined_network(request.config, record.host_config));
  TRY_VOID(resolve_joined_network(record));
  HostFacts host = basic_host_facts();
  TRY_VOID(check_limits(record.host_config, host.cpus));
  TRY([[maybe_unused]] auto capabilities, container_capabilities(record.host_config, {}));
  TRY([[maybe_unused]] auto ports,
      port_requests(record.host_config.port_bindings, options_.default_publish_address));
  for (const auto& [port, bindings] : record.host_config.port_bindings)
    if (std::ranges::find(record.config.exposed_ports, port) == record.config.exposed_ports.end())
      record.config.exposed_ports.push_back(port);
  TRY(std::vector<std::string> line, command_line(record.config));
  record.path = line[0];
  record.args.assign(line.begin() + 1, line.end());
  record.config.hostname = container_hostname(record, host);
  TRY(record.mounts,
      plan_mount_points(record.host_config.binds, record.config.volumes, paths_.root, random_id));
  if (!joined_container(record.host_config.network_mode))
    record.network_settings.networks[record.host_config.network_mode] = {};
  draft.warnings = config_warnings(record.host_config);
  if (request.platform.empty()) warn_of_platform(image_config, draft.warnings);
  return draft;
}

Result<void> LocalEngine::insert(ContainerRecord& record, bool random_name,
                                 state::Durability durability) {
  TraceScope trace("engine.insert");
  // Against rmi of the image between our look at it and the record that holds it.
  TRY(sys::FileLock images,
      sys::FileLock::acquire(fds_.run.get(), "images.lock", sys::FileLock::Mode::kShared));
  TRY(store::Store * store, this->store());
  TRY_CTX(Digest image, Digest::parse(record.image_id), "damaged state");
  TRY(bool still_there, store->has_image(image));
  if (!still_there) return Error(ErrorKind::kNotFound, "no such image: " + record.config.image);
  for (int attempt = 0;; ++attempt) {
    if (random_name && attempt > 0) record.name = random_container_name(attempt);
    TRY(auto transaction, database_.begin(durability));
    Result<void> inserted = state::insert_container(database_, row_of(record));
    if (!inserted) {
      if (random_name && inserted.error().kind() == ErrorKind::kConflict && attempt < kNameAttempts)
        continue;
      return inserted;
    }
    TRY_VOID(put_volumes(database_, record));
    return transaction.commit();
  }
}

Result<Engine::Created> LocalEngine::create(const CreateRequest& request) {
  TRY_VOID(failpoint("engine.create.begin"));
  TRY(Draft draft, this->draft(request));
  TRY_VOID(insert(draft.record, request.name.empty(), state::Durability::kDurable));
  TRY_VOID(failpoint("engine.create.recorded"));
  return Created{draft.record.id, std::move(draft.warnings)};
}

namespace {

bool makes_directory(const MountPoint& mount) {
  return mount.type == "volume" ||
         (mount.type == "bind" && access(mount.source.c_str(), F_OK) != 0);
}

}  // namespace

Result<Engine::RunResult> LocalEngine::run(const CreateRequest& request,
                                           std::optional<AttachStreams> attach, uint16_t rows,
                                           uint16_t columns) {
  TraceScope trace("engine.run");
  TRY_VOID(failpoint("engine.run.begin"));
  TRY(Draft draft, this->draft(request));
  ContainerRecord& record = draft.record;
  bool throw_away = record.host_config.auto_remove;
  auto durability =
      throw_away && attach ? state::Durability::kRelaxed : state::Durability::kDurable;
  if (!advance_) {
    TRY(Advance advance,
        begin_run(fds_, paths_, record.id, {.own_network = has_own_network(record.host_config)}));
    advance_.emplace(std::move(advance));
  }
  Advance::Parts begun = std::move(*advance_).use();
  advance_.reset();
  standby_ = std::move(begun.standby);
  auto forget = on_exit([&] { drop_lock_file(record.id); });
  // From here on it is ours to take back; a kill leaves the marker, and the next command does.
  auto undo = on_exit([&] { undo_run(record); });
  // Recorded as running at once, so that one sync is enough: what a reboot finds was running.
  record.state.status = "running";
  record.state.started_at = format_rfc3339(wall_clock_ns());
  TRY_VOID(failpoint("engine.run.marked"));
  bool recorded = false;
  std::optional<Error> refused;
  const auto record_it = [&]() -> Result<void> {
    if (recorded) return {};
    Result<void> inserted = insert(record, request.name.empty(), durability);
    if (inserted) inserted = failpoint("engine.run.recorded");
    if (!inserted) refused = inserted.error();
    recorded = inserted.has_value();
    return inserted;
  };
  // Directories are made for those that are known: of volumes, and of binds that are missing.
  if (std::ranges::any_of(record.mounts, makes_directory)) TRY_VOID(record_it());
  Result<std::unique_ptr<Session>> session = launch(
      record, draft.image, begun.run_dir.get(), attach, {rows, columns}, draft.warnings, record_it);
  if (!session) {
    // That it may not be is the first cause, whatever else is wrong.
    if (!recorded && !refused) [[maybe_unused]]
      Result<void> told_by_refused = record_it();
    if (refused) return std::move(*refused);
    if (throw_away) return std::move(session.error());
    undo.release();
    forget.release();
    record_failed_start(record, session.error());
    return std::move(session.error());
  }
  undo.release();
  forget.release();
  TRY_VOID(clear_marker(begun.run_dir.get()));
  TRY_VOID(failpoint("engine.run.acknowledged"));
  return RunResult{record.id, std::move(*session), std::move(draft.warnings)};
}

Result<Engine::RunResult> LocalEngine::start(const std::string& name,
                                             std::optional<AttachStreams> attach, uint16_t rows,
                                             uint16_t columns) {
  TRY(ContainerRecord found, find_record(name));
  TRY(sys::FileLock lock, lock_container(found.id));
  TRY_VOID(settle_locked(found.id));
  TRY(ContainerRecord record, find_record(found.id));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kHolder));
  if (view.running()) {
    TRY(bool paused, is_paused(record.id));
    if (paused)
      return Error(ErrorKind::kConflict, "cannot start a paused container, try unpause instead");
    RunResult already{record.id, {}, {}};
    if (attach) {
      TRY(already.session, this->attach(record.id, *attach));
    }
    return already;
  }
  TRY(store::Store * images, store());
  TRY(store::Image image, images->find(record.image_id));
  TRY(sys::Fd run_dir, make_run_dir(fds_.run_containers.get(), record.id, StartMarker::kStart));
  TRY_VOID(failpoint("engine.start.marked"));
  // Early, as in begin_run(). When it cannot be started launch() says so.
  if (auto early = spawn_standby(fds_, paths_, record.id,
                                 NextRun{.own_network = has_own_network(record.host_config)}))
    standby_ = std::move(*early);
  ContainerRecord before = record;
  std::vector<std::string> warnings;
  record.state = {.status = "running", .started_at = format_rfc3339(wall_clock_ns())};
  record.state.finished_at = before.state.finished_at;
  Result<std::unique_ptr<Session>> session =
      launch(record, image, run_dir.get(), attach, {rows, columns}, warnings,
             [] { return Result<void>(); });
  if (!session) {
    record_failed_start(std::move(before), session.error());
    return std::move(session.error());
  }
  TRY_VOID(save(record, state::Durability::kDurable));
  TRY_VOID(clear_marker(run_dir.get()));
  TRY_VOID(failpoint("engine.start.acknowledged"));
  return RunResult{record.id, std::move(*session), std::move(warnings)};
}

// As if it had never been asked for. What fails here is taken up by the next command: the marker
// tells it.
void LocalEngine::undo_run(const ContainerRecord& record) {
  standby_.reset();  // it may still be making the cgroup
  if (!release_run(record.id, true)) return;
  if (auto there = reload(record.id); there && !*there) {
    [[maybe_unused]] Result<void> removed = sys::remove_tree_at(fds_.containers.get(), record.id);
    return;
  }
  [[maybe_unused]] Result<void> removed = remove_locked(record, true, state::Durability::kRelaxed);
}

// Docker keeps such a container in the state it had, with the code that says why.
void LocalEngine::record_failed_start(ContainerRecord record, const Error& error) {
  standby_.reset();
  if (record.state.status == "running") record.state = {};
  bool about_program = error.message().contains("exec: ");
  record.state.exit_code = !about_program                                 ? 128
                           : error.kind() == ErrorKind::kNotFound         ? 127
                           : error.kind() == ErrorKind::kPermissionDenied ? 126
                                                                          : 128;
  record.state.error = error.message();
  [[maybe_unused]] Result<void> released = release_run(record.id, true);
  [[maybe_unused]] Result<void> saved = save(record, state::Durability::kDurable);
}

}  // namespace wherry::engine
