#include "cli/exit_code.h"

#include <string_view>

namespace wherry::cli {

int exec_failure_code(const Error& error) {
  if (error.message().contains("unable to find ")) return kNotInvocable;
  return start_failure_code(error, 1);
}

int start_failure_code(const Error& error, int otherwise) {
  std::string_view message = error.message();
  size_t at = message.find("exec: \"");
  if (at == message.npos) return otherwise;
  std::string_view why = message.substr(at);
  for (std::string_view words : {"executable file not found", "no such file or directory"})
    if (why.find(words) != why.npos) return kNotFoundExit;
  for (std::string_view words : {"permission denied", "is a directory", "exec format error"})
    if (why.find(words) != why.npos) return kNotInvocable;
  return otherwise;
}

}  // namespace wherry::cli
