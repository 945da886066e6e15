// What wherry-unpack reads: any bytes through decompression and the tar reader, to the end.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "archive/layer_source.h"
#include "archive/tar_reader.h"
#include "sys/fd.h"

namespace {

using namespace wherry;
using namespace wherry::archive;

// What bombs of a few bytes may grow to here.
constexpr uint64_t kMaxBytes = 8u << 20;
constexpr int kMaxEntriesHere = 2000;

Result<void> read_entry(TarReader& tar, const TarMember& member) {
  uint64_t end = 0;
  for (TarReader::Block block;;) {
    TRY(bool more, tar.read_block(block));
    if (!more) return {};
    // Every byte that is said to be there is, and belongs to the file.
    volatile char last = block.bytes.front() ^ block.bytes.back();
    (void)last;
    if (block.offset < end || block.offset + block.bytes.size() > member.size) __builtin_trap();
    end = block.offset + block.bytes.size();
  }
}

Result<void> read_archive(int fd) {
  LayerSource source(fd, -1);
  uint64_t total = 0;
  std::string buffer(16u << 10, '\0');
  TarReader tar([&]() -> Result<std::string_view> {
    TRY(size_t size, source.read(buffer));
    total += size;
    if (total > kMaxBytes) return Error(ErrorKind::kResourceExhausted, "enough");
    return std::string_view(buffer.data(), size);
  });
  for (int i = 0; i < kMaxEntriesHere; ++i) {
    TRY(const TarMember* entry, tar.next());
    if (entry == nullptr) {
      TRY(TarReader::Summary summary, tar.finish());
      if (summary.bytes != total) __builtin_trap();
      (void)source.finish();
      return {};
    }
    TRY_VOID(read_entry(tar, *entry));
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
