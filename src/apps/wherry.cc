// The CLI's main: arms the test seams and hands over to cli/.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/failpoint.h"
#include "base/trace.h"
#include "cli/command.h"
#include "engine/local.h"

namespace {

// Else the first files we open would take the places of closed standard streams, and be written to.
void fill_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(125);
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  wherry::arm_failpoints();
  wherry::enable_trace_from_environment();
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return wherry::cli::run_main(words, wherry::engine::open_local);
}
