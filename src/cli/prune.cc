#include "cli/prune.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"

namespace wherry::cli {
namespace {

// To the end of the line and no further: what follows belongs to others.
std::string read_answer() {
  std::string answer;
  char c = 0;
  while (answer.size() < 100) {
    ssize_t got = read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || c == '\n') break;
    answer += c;
  }
  return answer;
}

}  // namespace

Result<void> confirm_prune(std::string_view name, std::string_view warning) {
  TRY_VOID(print(fmt::format("WARNING! {}\nAre you sure you want to continue? [y/N] ", warning)));
  std::string answer = to_lower(trim(read_answer()));
  if (answer == "y") return {};
  return Error(ErrorKind::kInvalidArgument, fmt::format("{} has been cancelled", name))
      .set_hint("answer y, or use --force");
}

std::string reclaimed_line(uint64_t bytes) {
  return fmt::format("Total reclaimed space: {}\n", human_size(bytes));
}

}  // namespace wherry::cli
