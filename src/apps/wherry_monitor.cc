// The monitor's main: started by the engine, which sends its configuration on descriptor 3; the
// first client is on descriptor 4. The arguments are the container's id, for whoever looks at a
// list of processes, the cgroup to live in, the container's own or nothing, and "netns" or nothing.
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/failpoint.h"
#include "monitor/monitor.h"

int main(int argc, char** argv) {
  constexpr int kConfigFd = 3;
  constexpr int kSocketFd = 4;
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("wherry-monitor %s\n", WHERRY_VERSION);
    return 0;
  }
  if (argc != 5 || argv[1][0] == '-' || (argv[4][0] != '\0' && strcmp(argv[4], "netns") != 0)) {
    fputs("wherry-monitor supervises one container; wherry starts it\n", stderr);
    return 2;
  }
  // Whatever else the caller's caller has left open stays out of containers.
  close_range(kSocketFd + 1, ~0u, 0);
  wherry::arm_failpoints();
  return wherry::monitor::run_monitor(kConfigFd, kSocketFd, {argv[2], argv[3], argv[4][0] != '\0'});
}
