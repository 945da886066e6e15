#include "build/archive_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>

namespace wherry::build {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic[] = {"\x1f\x8b"sv, "BZh"sv,
                                       "\xfd"
                                       "7zXZ\0"sv,
                                       "\x28\xb5\x2f\xfd"sv};
constexpr size_t kBlock = 512;
constexpr size_t kChecksum = 148, kChecksumSize = 8;

// An octal field, blanks before and blanks or zeros behind.
std::optional<uint64_t> octal_field(std::string_view field) {
  size_t begin = field.find_first_not_of(' ');
  if (begin == field.npos) return std::nullopt;
  uint64_t value = 0;
  size_t i = begin;
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i)
    value = value * 8 + static_cast<uint64_t>(field[i] - '0');
  bool ends = i == field.size() || field[i] == ' ' || field[i] == '\0';
  return i > begin && ends ? std::optional(value) : std::nullopt;
}

// Old writers summed signed bytes.
bool is_tar_header(std::string_view block) {
  if (block.size() < kBlock || block[0] == '\0') return false;
  std::optional<uint64_t> wanted = octal_field(block.substr(kChecksum, kChecksumSize));
  uint64_t sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    char c = i >= kChecksum && i < kChecksum + kChecksumSize ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  return wanted && (*wanted == sum || static_cast<int64_t>(*wanted) == signed_sum);
}

}  // namespace

bool starts_like_archive(std::string_view block) {
  for (std::string_view magic : kMagic)
    if (block.starts_with(magic)) return true;
  return is_tar_header(block);
}

Result<bool> looks_like_archive(int fd) {
  char block[kBlock];
  ssize_t got = 0;
  do {
    got = pread(fd, block, sizeof block, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "cannot read");
  return starts_like_archive({block, static_cast<size_t>(got)});
}

}  // namespace wherry::build
