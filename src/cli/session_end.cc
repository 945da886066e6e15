#include "cli/session_end.h"

#include <fmt/format.h>

#include "cli/output.h"

namespace wherry::cli {

Result<int> finish_session(engine::Engine& engine, const std::string& id,
                           std::unique_ptr<engine::Session> session, const StreamEnd& end,
                           bool settles) {
  switch (end.kind) {
    case StreamEnd::Kind::kExited:
      if (settles) {
        // The process's code is what the caller asked for; what went wrong afterwards is said
        // beside it.
        if (Result<void> settled = engine.settle(id); !settled)
          report_error(fail(std::move(settled), fmt::format("cannot clean up after '{}'", id)));
      }
      return end.code;
    case StreamEnd::Kind::kDetached:
      print_error_text("\nread escape sequence\n");
      return 0;
    case StreamEnd::Kind::kOutputGone:
    case StreamEnd::Kind::kSignalled:
      return end.code;
    case StreamEnd::Kind::kLost:
      break;
  }
  session.reset();
  Error lost(ErrorKind::kUnavailable,
             fmt::format("lost the connection to the monitor of '{}'", id));
  if (settles) {
    Result<void> settled = engine.settle(id);
    if (!settled) lost.set_hint(settled.error().message());
  }
  return lost;
}

}  // namespace wherry::cli
