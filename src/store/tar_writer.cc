#include "store/tar_writer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sys/fd.h"

namespace wherry::store {
namespace {

constexpr uint64_t kBlock = 512;
constexpr uint64_t kMaxOctalSize = 077777777777;
constexpr size_t kBuffer = 1u << 20;

struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char pad[12];
};
static_assert(sizeof(Header) == kBlock);

void put_size(Header& header, uint64_t size) {
  if (size <= kMaxOctalSize) {
    snprintf(header.size, sizeof header.size, "%011llo", static_cast<unsigned long long>(size));
    return;
  }
  for (size_t i = sizeof header.size; i-- > 0; size >>= 8)
    header.size[i] = static_cast<char>(size & 0xff);
  header.size[0] = static_cast<char>(0x80);
}

}  // namespace

Result<void> TarWriter::header(const std::string& name, char type, uint64_t size) {
  Header header{};
  if (name.size() > sizeof header.name)
    return Error(ErrorKind::kInternal, "'" + name + "' is too long for a tar header");
  memcpy(header.name, name.data(), name.size());
  snprintf(header.mode, sizeof header.mode, "%07o", type == '5' ? 0755 : 0644);
  snprintf(header.uid, sizeof header.uid, "%07o", 0);
  snprintf(header.gid, sizeof header.gid, "%07o", 0);
  put_size(header, size);
  snprintf(header.mtime, sizeof header.mtime, "%011o", 0);
  header.type = type;
  memcpy(header.magic, "ustar", 6);
  memcpy(header.version, "00", 2);
  memset(header.checksum, ' ', sizeof header.checksum);
  unsigned sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  for (size_t i = 0; i < sizeof header; ++i) sum += bytes[i];
  snprintf(header.checksum, sizeof header.checksum, "%06o", sum);
  return sys::write_all(out_, {reinterpret_cast<const char*>(&header), sizeof header});
}

Result<void> TarWriter::padding(uint64_t size) {
  static constexpr std::array<char, kBlock> kZeros{};
  uint64_t rest = size % kBlock;
  if (rest == 0) return {};
  return sys::write_all(out_, {kZeros.data(), kBlock - rest});
}

Result<void> TarWriter::directory(const std::string& name) {
  return header(name, '5', 0);
}

Result<void> TarWriter::file(const std::string& name, std::string_view content) {
  TRY_VOID(header(name, '0', content.size()));
  TRY_VOID(sys::write_all(out_, content));
  return padding(content.size());
}

Result<void> TarWriter::file_of(const std::string& name, int fd, uint64_t size) {
  TRY_VOID(header(name, '0', size));
  std::string buffer(std::min<uint64_t>(kBuffer, size), '\0');
  for (uint64_t done = 0; done < size;) {
    ssize_t got = pread(fd, buffer.data(), std::min<uint64_t>(buffer.size(), size - done),
                        static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read '" + name + "'");
    if (got == 0) return Error(ErrorKind::kCorrupt, "'" + name + "' is shorter than recorded");
    TRY_VOID(sys::write_all(out_, {buffer.data(), static_cast<size_t>(got)}));
    done += static_cast<uint64_t>(got);
  }
  return padding(size);
}

Result<void> TarWriter::end() {
  static constexpr std::array<char, 2 * kBlock> kZeros{};
  return sys::write_all(out_, {kZeros.data(), kZeros.size()});
}

}  // namespace wherry::store
