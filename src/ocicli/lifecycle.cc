#include "ocicli/lifecycle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "ocicli/notify.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

constexpr const char* kConfig = "config.json";
constexpr size_t kConfigLimit = size_t{4} << 20;

std::string rootfs_of(const BundleRequest& request) {
  const std::string& path = request.spec.root_path;
  return path.starts_with('/') ? path : request.bundle + "/" + path;
}

runtime::BundleOptions options_for(const BundleRequest& request, const ContainerDir& dir,
                                   const Globals& globals) {
  runtime::BundleOptions options;
  options.spec = &request.spec;
  options.id = request.id;
  options.bundle = request.bundle;
  options.state_dir = dir.path();
  options.cgroup_driver = cgroup_driver(globals);
  options.preserve_fds = request.preserve_fds;
  options.console_socket = request.console_socket;
  options.pidfd_socket = request.pidfd_socket;
  options.notify = !request.notify_socket.empty();
  options.no_pivot = request.no_pivot;
  options.no_new_keyring = request.no_new_keyring;
  return options;
}

// From here on a killed command leaves something that `delete --force` finds.
Result<void> write_draft(const ContainerDir& dir, const Record& record, const std::string& config) {
  // The record last: with it the container exists.
  TRY_VOID(sys::write_file_atomic(dir.fd(), kConfig, config, 0600, sys::Sync::kNone));
  TRY_VOID(dir.write(record));
  return failpoint("oci.create.draft");
}

Result<void> write_created(const ContainerDir& dir, Record& record,
                           const runtime::BundleContainer& container, const std::string& pid_file) {
  record.phase = Record::Phase::kCreated;
  record.pid = container.pid();
  record.start_time = container.start_time();
  record.cgroup = container.cgroup();
  record.rootfs = container.rootfs();
  TRY_VOID(failpoint("oci.create.made"));
  TRY_VOID(dir.write(record));
  TRY_VOID(failpoint("oci.create.recorded"));
  return write_pid_file(pid_file, record.pid);
}

Error with_undo(Error cause, const Result<void>& undo) {
  if (undo) return cause;
  Error both(cause.kind(), cause.message() + " (and afterwards: " + undo.error().message() + ")");
  both.set_hint(cause.hint());
  return std::move(both).set_errnum(cause.errnum());
}

Result<std::string> kept_config(const ContainerDir& dir) {
  TRY(sys::Fd file, sys::open_at(dir.fd(), kConfig, O_RDONLY | O_NOFOLLOW));
  return sys::read_all(file.get(), kConfigLimit);
}

// Parsing a whole configuration takes a good part of a delete: only where there may be hooks, whose
// name might also be spelled with escapes.
void run_poststop_hooks(const ContainerDir& dir, const Record& record,
                        std::vector<std::string>& warnings) {
  Result<std::string> text = kept_config(dir);
  if (text && text->find("poststop") == text->npos && text->find("\\u") == text->npos) return;
  Result<oci::RuntimeSpec> spec = text ? oci::parse_runtime_spec(*text) : text.error();
  if (!spec) {
    warnings.push_back("the poststop hooks are not known: " + spec.error().message());
    return;
  }
  runtime::run_all_hooks("poststop", spec->hooks.poststop, hook_state(record, Status::kStopped),
                         warnings);
}

}  // namespace

void warn_all(const Log& log, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) log.warn(warning);
}

runtime::HookState hook_state(const Record& record, Status status) {
  runtime::HookState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status_word(status);
  state.pid = status == Status::kStopped ? 0 : record.pid;
  state.bundle = record.bundle;
  state.annotations = &record.annotations;
  return state;
}

Result<Record> draft_record(const BundleRequest& request, const Call& call) {
  Record record;
  record.id = request.id;
  record.oci_version = request.spec.oci_version;
  record.bundle = request.bundle;
  record.rootfs = rootfs_of(request);
  record.created_ns = wall_clock_ns();
  record.owner = geteuid();
  record.annotations = request.spec.annotations;
  record.notify = !request.notify_socket.empty();
  record.no_new_keyring = request.no_new_keyring;
  TRY(record.cgroup,
      runtime::place_of_cgroup(request.spec.cgroups_path, request.id, cgroup_driver(call.globals)));
  return record;
}

Result<Created> create_container(const BundleRequest& request, const Call& call, bool detached) {
  TraceScope trace("oci.create");
  TRY(ContainerDir dir, ContainerDir::create(call.globals.root, request.id));
  auto build = [&]() -> Result<Created> {
    TRY_VOID(failpoint("oci.create.folder"));
    TRY(Record record, draft_record(request, call));
    TRY_VOID(write_draft(dir, record, request.config));
    if (record.notify) TRY_VOID(make_notify_folder(dir));
    runtime::BundleOptions options = options_for(request, dir, call.globals);
    options.detached = detached;
    if (request.spec.seccomp) {
      TRY(options.seccomp_cache, seccomp_cache(call.globals));
    }
    TRY(runtime::BundleContainer container, runtime::BundleContainer::create(options));
    warn_all(call.log, container.warnings());
    Result<void> written = write_created(dir, record, container, request.pid_file);
    if (!written) return with_undo(std::move(written.error()), container.destroy());
    return Created{std::move(dir), std::move(record), std::move(container)};
  };
  Result<Created> built = build();
  if (!built) return with_undo(std::move(built.error()), dir.remove());
  return built;
}

Result<void> record_start(const ContainerDir& dir, Record& record) {
  record.phase = Record::Phase::kStarted;
  TRY_VOID(failpoint("oci.start.executed"));
  TRY_VOID(dir.write(record));
  return failpoint("oci.start.recorded");
}

Result<oci::RuntimeSpec> kept_spec(const ContainerDir& dir) {
  TRY(std::string text, kept_config(dir));
  return oci::parse_runtime_spec(text);
}

Result<void> destroy_container(ContainerDir& dir, const Record& record, const Log& log) {
  TRY_VOID(failpoint("oci.delete.begin"));
  TRY_VOID(runtime::destroy_created(record.pid, record.start_time, record.cgroup));
  TRY_VOID(failpoint("oci.delete.killed"));
  std::vector<std::string> warnings;
  if (record.pid != 0) run_poststop_hooks(dir, record, warnings);
  warn_all(log, warnings);
  return dir.remove();
}

}  // namespace wherry::ocicli
