#include "archive/blob_writer.h"

#include "base/failpoint.h"
#include "sys/fd.h"

namespace wherry::archive {

Result<void> BlobWriter::write(std::string_view bytes) {
  hash_.update(bytes);
  size_ += bytes.size();
  if (fd_ < 0) return {};
  TRY_VOID_CTX(failpoint("archive.blob.write"), "cannot keep the compressed layer");
  TRY_VOID_CTX(sys::write_all(fd_, bytes), "cannot keep the compressed layer");
  return {};
}

}  // namespace wherry::archive
