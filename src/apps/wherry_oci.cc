// wherry-oci: the OCI runtime alone, with runc's command line, for other engines.
#include <signal.h>

#include "base/failpoint.h"
#include "base/trace.h"
#include "ocicli/main.h"

int main(int argc, char** argv) {
  // A reader that goes away is an error, not our end.
  signal(SIGPIPE, SIG_IGN);
  wherry::arm_failpoints();
  wherry::enable_trace_from_environment();
  return wherry::ocicli::run_main(argc, argv);
}
