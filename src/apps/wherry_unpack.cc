// wherry-unpack's main: confines itself, unpacks, reports. See archive/unpack.h.
#include "archive/confinement.h"
#include "archive/unpack.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "sys/fd.h"

int main() {
  using namespace wherry;
  arm_failpoints();
  enable_trace_from_environment();
  Result<void> confined = archive::confine_unpacker(archive::kUnpackDirectoryFd);
  Result<archive::Unpacked> result =
      confined
          ? archive::unpack(archive::kUnpackTarFd, archive::kUnpackDirectoryFd)
          : Result<archive::Unpacked>(fail(std::move(confined), "cannot confine wherry-unpack"));
  Result<void> told = sys::write_all(archive::kUnpackReportFd, archive::report_of(result));
  return told ? 0 : 1;
}
