#include "archive/pack_client.h"

#include <cerrno>

#include "archive/unpack.h"
#include "base/trace.h"

namespace wherry::archive {

Result<Packing> Packing::start(const PackJob& job) {
  sys::Fd blob;
  if (job.blob >= 0) {
    blob.reset(fcntl(job.blob, F_DUPFD_CLOEXEC, 0));
    if (!blob) return Error::from_errno(errno, "cannot keep a layer's blob open");
  }
  std::vector<std::string> arguments{"pack", std::string(compression_name(job.compression)),
                                     std::to_string(job.max_entries)};
  bool seals = job.record >= 0 && job.recipe >= 0;
  if (seals) arguments.emplace_back("seal");
  if (blob) arguments.emplace_back("keep");
  TRY(sys::Fd null, sys::open_file("/dev/null", O_RDONLY));
  TRY(HelperProcess helper,
      HelperProcess::start(std::move(arguments), {{null.get(), kUnpackTarFd},
                                                  {job.directory, kUnpackDirectoryFd},
                                                  {job.lock, kUnpackLockFd},
                                                  {job.blob, kUnpackBlobFd},
                                                  {seals ? job.record : -1, kPackRecordFd},
                                                  {seals ? job.recipe : -1, kPackRecipeFd},
                                                  {2, 2}}));
  return Packing(std::move(helper), std::move(blob), seals, job.max_entries);
}

Result<Packed> Packing::finish() {
  TRY(std::string report, helper_.wait());
  TRY(Packed packed, parse_pack_report(report));
  // Those of the root and of opaque directories may be in one and not in the other.
  if (packed.record.has_value() != seals_ || packed.entries > max_entries_ ||
      packed.record_entries > max_entries_ + 1)
    return Error(ErrorKind::kInternal, "wherry-unpack reports what cannot be");
  if (blob_) TRY_VOID(check_blob_size(blob_.get(), packed.blob_size));
  return packed;
}

Result<Packed> run_pack(const PackJob& job) {
  TraceScope trace("archive.pack");
  TRY(Packing packing, Packing::start(job));
  return packing.finish();
}

}  // namespace wherry::archive
