// What wherry-unpack reads: any bytes through decompression and the tar reader, to the end.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "archive/layer_source.h"
#include "archive/tar_stream.h"
#include "sys/fd.h"

namespace {

using namespace wherry;
using namespace wherry::archive;

// What bombs of a few bytes may grow to here.
constexpr uint64_t kMaxBytes = 8u << 20;
constexpr int kMaxEntriesHere = 2000;

Result<void> read_entry(TarStream& tar, archive_entry* entry) {
  (void)archive_entry_pathname(entry);
  (void)archive_entry_hardlink(entry);
  (void)archive_entry_symlink(entry);
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
  }
  for (TarStream::Block block;;) {
    TRY(bool more, tar.read_block(block));
    if (!more) return {};
    // Every byte that is said to be there is.
    volatile char last = block.size > 0 ? block.data[0] ^ block.data[block.size - 1] : '\0';
    (void)last;
  }
}

Result<void> read_archive(int fd) {
  LayerSource source(fd, -1);
  uint64_t total = 0;
  std::string buffer(16u << 10, '\0');
  TRY(std::unique_ptr<TarStream> tar, TarStream::open([&]() -> Result<std::string_view> {
        TRY(size_t size, source.read(buffer));
        total += size;
        if (total > kMaxBytes) return Error(ErrorKind::kResourceExhausted, "enough");
        return std::string_view(buffer.data(), size);
      }));
  for (int i = 0; i < kMaxEntriesHere; ++i) {
    TRY(archive_entry * entry, tar->next());
    if (entry == nullptr) {
      TRY(TarStream::Summary summary, tar->finish());
      if (summary.bytes != total) __builtin_trap();
      (void)source.finish();
      return {};
    }
    TRY_VOID(read_entry(*tar, entry));
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sys::Fd fd(memfd_create("tar", MFD_CLOEXEC));
  if (!fd || !sys::write_all(fd.get(), {reinterpret_cast<const char*>(data), size})) return 0;
  lseek(fd.get(), 0, SEEK_SET);
  (void)read_archive(fd.get());
  return 0;
}
