// The CLI's main: arms the test seams and hands over to cli/.
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "base/trace.h"
#include "cli/command.h"
#include "engine/local.h"

int main(int argc, char** argv) {
  wherry::arm_failpoints();
  wherry::enable_trace_from_environment();
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return wherry::cli::run_main(words, wherry::engine::open_local);
}
