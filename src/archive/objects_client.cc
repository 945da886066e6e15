#include "archive/objects_client.h"

#include <cerrno>

#include "base/trace.h"

namespace wherry::archive {
namespace {

// What a report may say of sizes: sums of them stay far from overflow.
constexpr uint64_t kMaxBytes = uint64_t{1} << 60;

Result<sys::Fd> kept(int blob) {
  if (blob < 0) return sys::Fd();
  sys::Fd copy(fcntl(blob, F_DUPFD_CLOEXEC, 0));
  if (!copy) return Error::from_errno(errno, "cannot keep a layer's blob open");
  return copy;
}

Error lies() {
  return Error(ErrorKind::kInternal, "wherry-unpack reports what cannot be");
}

}  // namespace

Result<UnpackingObjects> UnpackingObjects::start(const ObjectsJob& job) {
  TRY(sys::Fd blob, kept(job.blob));
  std::vector<std::string> arguments{"objects", job.store >= 0 ? "known" : "unknown",
                                     std::to_string(job.max_entries)};
  if (job.part) {
    arguments.push_back(std::to_string(job.part->offset));
    arguments.push_back(std::to_string(job.part->size));
  }
  if (blob) arguments.emplace_back(job.exact ? "keep-exact" : "keep");
  TRY(HelperProcess helper,
      HelperProcess::start(std::move(arguments), {{job.tar, kUnpackTarFd},
                                                  {job.directory, kUnpackDirectoryFd},
                                                  {job.lock, kUnpackLockFd},
                                                  {job.blob, kUnpackBlobFd},
                                                  {job.store, kUnpackStoreFd},
                                                  {2, 2}}));
  return UnpackingObjects(std::move(helper), std::move(blob), job);
}

Result<UnpackedObjects> UnpackingObjects::finish() {
  TRY(std::string report, helper_.wait());
  TRY(UnpackedObjects unpacked, parse_objects_report(report));
  bool kept = exact_ || unpacked.layer.blob_compression != Compression::kNone;
  if (blob_) TRY_VOID(check_blob_size(blob_.get(), kept ? unpacked.layer.blob_size : 0));
  // The root may be among them though the archive does not name it.
  if (unpacked.layer.entries > max_entries_ || unpacked.record_entries > max_entries_ + 1 ||
      unpacked.new_objects > max_entries_ || unpacked.new_bytes > kMaxBytes ||
      unpacked.layer.files_size > kMaxBytes || unpacked.layer.tar_size > kMaxBytes)
    return lies();
  return unpacked;
}

Result<UnpackedObjects> run_unpack_objects(const ObjectsJob& job) {
  TraceScope trace("archive.unpack_objects");
  TRY(UnpackingObjects unpacking, UnpackingObjects::start(job));
  return unpacking.finish();
}

Result<Rebuilding> Rebuilding::start(const RebuildJob& job) {
  TRY(sys::Fd blob, kept(job.blob));
  std::vector<std::string> arguments{"rebuild", std::string(compression_name(job.compression))};
  if (blob) arguments.emplace_back("keep");
  TRY(HelperProcess helper,
      HelperProcess::start(std::move(arguments), {{job.recipe, kUnpackTarFd},
                                                  {job.objects, kUnpackDirectoryFd},
                                                  {job.lock, kUnpackLockFd},
                                                  {job.blob, kUnpackBlobFd},
                                                  {2, 2}}));
  return Rebuilding(std::move(helper), std::move(blob));
}

Result<Rebuilt> Rebuilding::finish() {
  TRY(std::string report, helper_.wait());
  TRY(Rebuilt rebuilt, parse_rebuild_report(report));
  if (blob_) TRY_VOID(check_blob_size(blob_.get(), rebuilt.blob_size));
  if (rebuilt.tar_size > kMaxBytes) return lies();
  return rebuilt;
}

Result<Rebuilt> run_rebuild(const RebuildJob& job) {
  TraceScope trace("archive.rebuild");
  TRY(Rebuilding rebuilding, Rebuilding::start(job));
  return rebuilding.finish();
}

}  // namespace wherry::archive
