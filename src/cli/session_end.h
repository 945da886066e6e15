// What a command does when its attached session is over.
#pragma once

#include <memory>
#include <string>

#include "cli/stream.h"
#include "engine/engine.h"

namespace wherry::cli {

// The exit code for `end`. `settles`: this process owes the container's settling once it has exited
// (an attached run or start). A session that ended otherwise is closed, and the monitor settles.
Result<int> finish_session(engine::Engine& engine, const std::string& id,
                           std::unique_ptr<engine::Session> session, const StreamEnd& end,
                           bool settles);

}  // namespace wherry::cli
