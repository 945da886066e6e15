// `pause` and `resume`.
#include "base/failpoint.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "runtime/container.h"

namespace wherry::ocicli {
namespace {

Result<int> run_pause(Call& call) {
  TRY(ContainerDir dir, ContainerDir::lock(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status != Status::kRunning && status != Status::kCreated)
    return Error(ErrorKind::kConflict, "container not running");
  TRY_VOID(need_cgroup(record));
  TRY_VOID(failpoint("oci.pause"));
  TRY_VOID(runtime::freeze_cgroup(record.cgroup.path, true));
  return 0;
}

Result<int> run_resume(Call& call) {
  TRY(ContainerDir dir, ContainerDir::lock(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status != Status::kPaused) return Error(ErrorKind::kConflict, "container not paused");
  TRY_VOID(failpoint("oci.resume"));
  TRY_VOID(runtime::freeze_cgroup(record.cgroup.path, false));
  return 0;
}

}  // namespace

const CommandSpec kPause = {
    .name = "pause",
    .usage = "CONTAINER",
    .summary = "Suspend all processes of a container",
    .table = {},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_pause,
};

const CommandSpec kResume = {
    .name = "resume",
    .usage = "CONTAINER",
    .summary = "Let the processes of a paused container go on",
    .table = {},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_resume,
};

}  // namespace wherry::ocicli
