// A build's progress on standard error, in three forms: plain lines, a live display for a terminal,
// and nothing but errors.
//
//   plain   #3 [2/4] RUN apt-get update        each part by its number
//           #3 0.352 Get:1 ...                 its output with the seconds since its beginning
//           #3 DONE 2.1s                       or CACHED, ERROR, CANCELED
//   tty     finished parts stay, the running one is redrawn with its last lines of output
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "build/progress.h"

namespace wherry::cli {

// auto, plain, tty or quiet; kInvalidArgument names another. "tty" without a terminal is plain.
Result<std::unique_ptr<build::Progress>> make_build_progress(std::string_view mode);

}  // namespace wherry::cli
