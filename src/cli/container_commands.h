// The commands on containers, one function each, and their flag tables. Called through commands.cc
// only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kNoFlags;
extern const FlagTable kStartFlags, kAttachFlags, kExecFlags, kStopFlags, kKillFlags, kRemoveFlags,
    kListFlags, kLogsFlags, kCommitFlags, kContainerPruneFlags;

Result<int> run_container(Invocation& call);
Result<int> create_container(Invocation& call);
Result<int> start_containers(Invocation& call);
Result<int> attach_container(Invocation& call);
Result<int> exec_in_container(Invocation& call);
Result<int> stop_containers(Invocation& call);
Result<int> restart_containers(Invocation& call);
Result<int> kill_containers(Invocation& call);
Result<int> remove_containers(Invocation& call);
Result<int> wait_for_containers(Invocation& call);
Result<int> commit_container(Invocation& call);
Result<int> pause_containers(Invocation& call);
Result<int> unpause_containers(Invocation& call);
Result<int> rename_container(Invocation& call);
Result<int> prune_containers(Invocation& call);
Result<int> list_containers(Invocation& call);
Result<int> show_logs(Invocation& call);
Result<int> settle_container(Invocation& call);

// Each argument in turn; a failing one is reported, the others still processed. 1 when any failed.
Result<int> for_each_argument(Invocation& call,
                              const std::function<Result<void>(const std::string&)>& action);

}  // namespace wherry::cli
