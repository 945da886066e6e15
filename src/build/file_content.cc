#include "build/file_content.h"

#include <linux/limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "archive/layer_rules.h"
#include "base/text.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

constexpr size_t kReadSize = 64u << 10;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kFineTick = kSecond / 20;  // five ticks of the slowest kernel clock
constexpr int64_t kCoarseTick = 3 * kSecond;

Result<std::string> read_value(int fd, const std::string& name) {
  std::string value(XATTR_SIZE_MAX, '\0');
  ssize_t size = fgetxattr(fd, name.c_str(), value.data(), value.size());
  if (size < 0) return Error::from_errno(errno, "cannot read attribute '" + name + "'");
  value.resize(static_cast<size_t>(size));
  return value;
}

}  // namespace

Result<std::vector<Attribute>> read_attributes(int fd) {
  std::vector<Attribute> attributes;
  char names[XATTR_LIST_MAX];
  ssize_t size = flistxattr(fd, names, sizeof names);
  if (size < 0 && errno == EOPNOTSUPP) return attributes;
  if (size < 0) return Error::from_errno(errno, "cannot list attributes");
  for (std::string_view name : split({names, static_cast<size_t>(size)}, '\0')) {
    if (!archive::is_layer_xattr(name)) continue;
    TRY(std::string value, read_value(fd, std::string(name)));
    attributes.push_back({std::string(name), std::move(value)});
  }
  std::ranges::sort(attributes, {}, &Attribute::name);
  return attributes;
}

std::optional<Digest> digest_of(const std::vector<Attribute>& attributes) {
  if (attributes.empty()) return std::nullopt;
  sys::Sha256 hash;
  for (const Attribute& attribute : attributes) {
    hash.update(attribute.name);
    hash.update("=" + std::to_string(attribute.value.size()) + ":");
    hash.update(attribute.value);
  }
  return hash.finish();
}

Result<Digest> hash_content(int fd) {
  char buffer[kReadSize];
  sys::Sha256 hash;
  for (off_t offset = 0;;) {
    ssize_t got = pread(fd, buffer, sizeof buffer, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read");
    if (got == 0) return hash.finish();
    hash.update({buffer, static_cast<size_t>(got)});
    offset += got;
  }
}

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * kSecond + time.tv_nsec;
}

bool same_state(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         nanoseconds(a.st_mtim) == nanoseconds(b.st_mtim) &&
         nanoseconds(a.st_ctim) == nanoseconds(b.st_ctim);
}

bool may_remember(int64_t ctime_ns, int64_t read_ns) {
  int64_t tick = ctime_ns % kSecond == 0 ? kCoarseTick : kFineTick;
  return ctime_ns < read_ns - tick;
}

}  // namespace wherry::build
