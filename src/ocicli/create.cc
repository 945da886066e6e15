// `create` and `start`.
#include <poll.h>

#include <cstdlib>

#include "base/failpoint.h"
#include "ocicli/flag_tables.h"
#include "ocicli/lifecycle.h"
#include "ocicli/notify.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

Result<int> run_create(Call& call) {
  TRY(BundleRequest request, read_request(call));
  TRY_VOID(create_container(request, call, /*detached=*/true));
  return 0;
}

Error wrong_status(Status status) {
  switch (status) {
    case Status::kStopped:
      return Error(ErrorKind::kConflict, "cannot start a container that has stopped");
    case Status::kRunning:
      return Error(ErrorKind::kConflict, "cannot start an already running container");
    default:
      return Error(ErrorKind::kConflict, "cannot start a container in the " +
                                             std::string(status_word(status)) + " state");
  }
}

// An init that could not be started is about to end: engines delete it at once, which needs a
// stopped container.
void await_end(int pidfd) {
  constexpr int kLongestMs = 5000;
  pollfd event{pidfd, POLLIN, 0};
  poll(&event, 1, kLongestMs);
}

Result<int> run_start(Call& call) {
  TRY(ContainerDir dir, ContainerDir::lock(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status != Status::kCreated) return wrong_status(status);
  TRY(oci::RuntimeSpec spec, kept_spec(dir));
  TRY(sys::Fd init, sys::open_process(record.pid, record.start_time));
  const char* host_socket = getenv("NOTIFY_SOCKET");
  bool relays = record.notify && host_socket != nullptr && *host_socket != '\0';
  sys::Fd notify;
  if (relays) {
    TRY(notify, bind_notify_socket(dir));
  }
  record.phase = Record::Phase::kStarting;
  TRY_VOID(dir.write(record));
  TRY_VOID(failpoint("oci.start.begin"));
  Result<void> started = runtime::start_created({.spec = &spec,
                                                 .id = record.id,
                                                 .bundle = record.bundle,
                                                 .state_dir = dir.path(),
                                                 .init_pid = record.pid,
                                                 .init_start_time = record.start_time});
  if (!started) {
    await_end(init.get());
    return std::move(started.error());
  }
  TRY_VOID(record_start(dir, record));
  // Ready may be long away: others may pause, kill and delete meanwhile.
  dir.unlock();
  if (relays) TRY_VOID(relay_ready(notify.get(), init.get(), record.pid, host_socket));
  return 0;
}

}  // namespace

const CommandSpec kCreate = {
    .name = "create",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Create a container from a bundle; its program waits for 'start'",
    .table = {kCreateFlags},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_create,
    .sealed = true,
};

const CommandSpec kStart = {
    .name = "start",
    .usage = "CONTAINER",
    .summary = "Execute the program of a created container",
    .table = {},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_start,
};

}  // namespace wherry::ocicli
