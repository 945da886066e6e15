#include "archive/unpack_client.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>

#include "base/trace.h"

namespace wherry::archive {
namespace {

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

}  // namespace

Result<void> check_blob_size(int blob, uint64_t size) {
  struct stat info{};
  if (fstat(blob, &info) != 0) return Error::from_errno(errno, "cannot look at a layer's blob");
  if (static_cast<uint64_t>(info.st_size) == size) return {};
  return Error(ErrorKind::kInternal, "wherry-unpack kept " + std::to_string(info.st_size) +
                                         " bytes of a blob and reported " + std::to_string(size));
}

Result<Unpacking> Unpacking::start(const UnpackJob& job) {
  TRY(sys::Fd root, sys::open_at(job.directory, ".", O_RDONLY | O_DIRECTORY));
  std::vector<std::string> arguments{job.rules.layer ? "unpack" : "add"};
  if (job.rules.owner)
    arguments.push_back(std::to_string(job.rules.owner->first) + ":" +
                        std::to_string(job.rules.owner->second));
  TRY(HelperProcess helper,
      HelperProcess::start(std::move(arguments), {{job.tar, kUnpackTarFd},
                                                  {job.directory, kUnpackDirectoryFd},
                                                  {job.lock, kUnpackLockFd},
                                                  {2, 2}}));
  return Unpacking(std::move(helper), std::move(root));
}

Result<Unpacked> Unpacking::finish() {
  TRY(std::string report, helper_.wait());
  TRY(Unpacked unpacked, parse_unpack_report(report));
  TRY_VOID(mark_opaque(directory_.get(), unpacked.opaque));
  return unpacked;
}

Result<Outline> run_outline(const UnpackJob& job) {
  TraceScope trace("archive.outline");
  TRY(HelperProcess helper, HelperProcess::start({"outline"}, {{job.tar, kUnpackTarFd},
                                                               {job.directory, kUnpackDirectoryFd},
                                                               {job.lock, kUnpackLockFd},
                                                               {2, 2}}));
  TRY(std::string report, helper.wait());
  return parse_outline_report(report);
}

Result<Unpacked> run_unpack(const UnpackJob& job) {
  TraceScope trace("archive.unpack");
  TRY(Unpacking unpacking, Unpacking::start(job));
  return unpacking.finish();
}

}  // namespace wherry::archive
