// The steps that create, start, run and delete share. Each leaves the state on disk such that a
// death right after it is told by `state` and cleaned by `delete --force`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ocicli/bundle_request.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "runtime/bundle.h"

namespace wherry::ocicli {

// The record of a container that is being made.
Result<Record> draft_record(const BundleRequest& request, const Call& call);

struct Created {
  ContainerDir dir;
  Record record;
  runtime::BundleContainer container;
};

// The container up to "created": folder, draft of the record, cgroup and init, record, pid file.
// Nothing is left on an error. `request` must outlive the container object.
Result<Created> create_container(const BundleRequest& request, const Call& call, bool detached);

// What the hooks of `record` are told.
runtime::HookState hook_state(const Record& record, Status status);

// After the program has been executed and the poststart hooks have run.
Result<void> record_start(const ContainerDir& dir, Record& record);

// The configuration that was kept at create.
Result<oci::RuntimeSpec> kept_spec(const ContainerDir& dir);

// Kills what is left, removes the cgroup, runs the poststop hooks and removes the state.
Result<void> destroy_container(ContainerDir& dir, const Record& record, const Log& log);

void warn_all(const Log& log, const std::vector<std::string>& warnings);

}  // namespace wherry::ocicli
