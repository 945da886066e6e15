#include "archive/tar_header.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "archive/tree_writer.h"
#include "base/text.h"
#include "base/utf8.h"

namespace wherry::archive {
namespace {

// Field widths of ustar; numbers are octal and end with a zero byte.
constexpr size_t kName = 100, kPrefix = 155, kLink = 100;
constexpr uint64_t kMaxId = 07777777;
constexpr uint64_t kMaxSize = 077777777777;
constexpr char kPaxName[] = "PaxHeaders/";

struct UstarHeader {
  char name[kName];
  char mode[8], uid[8], gid[8];
  char size[12], mtime[12];
  char checksum[8];
  char type;
  char link[kLink];
  char magic[8];
  char uname[32], gname[32];
  char major[8], minor[8];
  char prefix[kPrefix];
  char unused[12];
};
static_assert(sizeof(UstarHeader) == kTarBlock);

template <size_t N>
void put_octal(char (&field)[N], uint64_t value) {
  char digits[32];
  snprintf(digits, sizeof digits, "%0*llo", static_cast<int>(N) - 1,
           static_cast<unsigned long long>(value));
  memcpy(field, digits, N - 1);
}

template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
  std::copy_n(text.data(), std::min(text.size(), N), field);
}

// {prefix, name} with a slash between them, or two empty ones when it does not fit.
std::pair<std::string_view, std::string_view> split_name(std::string_view path) {
  if (path.size() <= kName) return {{}, path};
  if (path.size() > kPrefix + 1 + kName) return {};
  // The earliest slash that leaves a name that fits; the last byte may be a directory's slash.
  size_t slash = path.find('/', path.size() - kName - 1);
  if (slash == path.npos || slash == 0 || slash > kPrefix || slash + 1 >= path.size()) return {};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// "LENGTH KEY=VALUE\n", the length counting itself.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  size_t rest = key.size() + value.size() + 3;
  size_t length = rest + std::to_string(rest).size();
  length = rest + std::to_string(length).size();
  records += std::to_string(length);
  records += ' ';
  records += key;
  records += '=';
  records += value;
  records += '\n';
}

std::string decimal_time(const timespec& time) {
  std::string text = std::to_string(time.tv_sec);
  if (time.tv_nsec == 0 || time.tv_sec < 0) return text;
  char fraction[16];
  snprintf(fraction, sizeof fraction, ".%09ld", time.tv_nsec);
  text += fraction;
  while (text.back() == '0') text.pop_back();
  return text;
}

bool fits_ustar(const timespec& time) {
  if (time.tv_sec < 0) return false;
  return time.tv_nsec == 0 && static_cast<uint64_t>(time.tv_sec) <= kMaxSize;
}

Result<std::string> pax_records(const TarEntry& entry, bool long_name, bool long_link) {
  std::string records;
  if ((long_name && !is_utf8(entry.path)) || (long_link && !is_utf8(entry.link)))
    add_record(records, "hdrcharset", "BINARY");
  if (long_name) add_record(records, "path", entry.path);
  if (long_link) add_record(records, "linkpath", entry.link);
  if (entry.size > kMaxSize) add_record(records, "size", std::to_string(entry.size));
  if (entry.uid > kMaxId) add_record(records, "uid", std::to_string(entry.uid));
  if (entry.gid > kMaxId) add_record(records, "gid", std::to_string(entry.gid));
  if (!fits_ustar(entry.mtime)) add_record(records, "mtime", decimal_time(entry.mtime));
  for (const auto& [name, value] : entry.xattrs) {
    if (name.contains('='))
      return Error(ErrorKind::kUnsupported,
                   "a tar cannot hold an attribute named '" + shown(name) + "'");
    add_record(records, "SCHILY.xattr." + name, value);
  }
  return records;
}

void append_block(std::string& out, UstarHeader& header) {
  put_text(header.magic, std::string_view("ustar\0"
                                          "00",
                                          8));
  memset(header.checksum, ' ', sizeof header.checksum);
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof header; ++i) sum += bytes[i];
  // Six digits, a zero byte, the space that is there: as everybody writes it.
  snprintf(header.checksum, 7, "%06o", sum);
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
}

void append_pax(std::string& out, const TarEntry& entry, const std::string& records) {
  UstarHeader header{};
  std::string name = kPaxName + entry.path;
  if (name.back() == '/') name.pop_back();
  put_text(header.name, name);
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, records.size());
  put_octal(header.mtime, 0);
  header.type = 'x';
  append_block(out, header);
  out += records;
  out.append(tar_padding(records.size()), '\0');
}

}  // namespace

Result<std::string> tar_header(const TarEntry& entry) {
  auto [prefix, name] = split_name(entry.path);
  bool long_name = name.empty();
  bool long_link = entry.link.size() > kLink;
  std::string out;
  TRY(std::string records, pax_records(entry, long_name, long_link));
  if (!records.empty()) append_pax(out, entry, records);
  UstarHeader header{};
  put_text(header.name, long_name ? std::string_view(entry.path) : name);
  put_text(header.prefix, prefix);
  put_octal(header.mode, entry.mode & 07777);
  put_octal(header.uid, entry.uid > kMaxId ? 0 : entry.uid);
  put_octal(header.gid, entry.gid > kMaxId ? 0 : entry.gid);
  put_octal(header.size, entry.size > kMaxSize ? 0 : entry.size);
  bool time_fits = entry.mtime.tv_sec >= 0 && static_cast<uint64_t>(entry.mtime.tv_sec) <= kMaxSize;
  put_octal(header.mtime, time_fits ? static_cast<uint64_t>(entry.mtime.tv_sec) : 0);
  header.type = entry.type;
  put_text(header.link, entry.link);
  if (entry.type == '3' || entry.type == '4') {
    put_octal(header.major, entry.major);
    put_octal(header.minor, entry.minor);
  }
  append_block(out, header);
  return out;
}

}  // namespace wherry::archive
