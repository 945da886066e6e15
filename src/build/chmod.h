// --chmod's words: an octal number, or chmod(1)'s symbolic form with "X", e.g. "u=rwX,go=rX". No
// umask takes part. Source: POSIX chmod, "OPERANDS".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::build {

class ModeChange {
 public:
  // kInvalidArgument with Docker's words for anything else.
  static Result<ModeChange> parse(const std::string& words);
  // The new permission bits (07777) of a file that has `mode`.
  uint32_t apply(uint32_t mode, bool directory) const;

 private:
  struct Action {
    uint32_t who = 0;    // a mask of 07777: which bits the action may touch
    char operation = 0;  // '+', '-', '=', or 'o': the number itself
    uint32_t bits = 0;
    bool execute_if = false;  // X
    char copy_from = 0;       // 'u', 'g', 'o': the bits that these have
  };
  static bool parse_clause(std::string_view clause, std::vector<Action>& actions);
  static void parse_permissions(std::string_view& rest, Action& action);

  std::vector<Action> actions_;
};

}  // namespace wherry::build
