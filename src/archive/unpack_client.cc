#include "archive/unpack_client.h"

#include <sys/xattr.h>

#include <cerrno>

#include "base/scope.h"
#include "base/trace.h"
#include "sys/process.h"

namespace wherry::archive {
namespace {

constexpr const char* kProgram = "wherry-unpack";
constexpr const char* kOpaqueAttribute = "trusted.overlay.opaque";

Result<void> mark_opaque(int root, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    TRY_CTX(sys::Fd directory,
            sys::open_in_root(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            "cannot mark an opaque directory");
    if (fsetxattr(directory.get(), kOpaqueAttribute, "y", 1, 0) != 0)
      return Error::from_errno(errno, "cannot mark an opaque directory");
  }
  return {};
}

Error died(int code) {
  std::string how = code > 128 ? "was killed by signal " + std::to_string(code - 128)
                               : "ended with code " + std::to_string(code);
  return Error(ErrorKind::kInternal, std::string(kProgram) + " " + how);
}

}  // namespace

Result<Unpacked> run_unpack(int tar, int directory, int lock) {
  TraceScope trace("archive.unpack");
  sys::SpawnOptions options;
  TRY(options.program, sys::find_helper(kProgram));
  options.arguments = {kProgram};
  options.environment = sys::inherited_test_environment();
  TRY(sys::Pipe report, sys::make_pipe());
  options.fds = {{tar, kUnpackTarFd},
                 {directory, kUnpackDirectoryFd},
                 {report.write.get(), kUnpackReportFd},
                 {lock, kUnpackLockFd},
                 {2, 2}};
  TRY(sys::Child child, sys::spawn(options));
  report.write.reset();
  Result<std::string> text = sys::read_all(report.read.get(), kMaxReport);
  report.read.reset();
  TRY(int code, child.wait());
  if (!text) return Error(std::move(text.error()));
  if (code != 0 || text->empty()) return died(code);
  TRY(Unpacked unpacked, parse_report(*text));
  TRY_VOID(mark_opaque(directory, unpacked.opaque));
  return unpacked;
}

}  // namespace wherry::archive
