// The CLI's main: arms the test seams and hands over to cli/.
#include "base/failpoint.h"
#include "base/trace.h"

int main() {
  wherry::arm_failpoints();
  wherry::enable_trace_from_environment();
  return 0;
}
