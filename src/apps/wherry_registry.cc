// wherry-registry's main: arms the test seams and hands over to registry/.
#include <csignal>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "registry/command.h"

int main(int argc, char** argv) {
  wherry::arm_failpoints();
  signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return wherry::registry::run_main(words);
}
