#include "archive/object_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/failpoint.h"
#include "base/text.h"
#include "sys/file.h"
#include "tree/objects.h"

namespace wherry::archive {
namespace {

constexpr uint64_t kMaxInMemory = 1u << 20;
constexpr const char* kPart = "part";  // of a large content that has no name yet
constexpr unsigned kMode = 0444;
constexpr size_t kCompared = 128u << 10;

Error failed(std::string_view what) {
  return Error::from_errno(errno, "cannot " + std::string(what) + " an object");
}

}  // namespace

Result<ObjectFiles> ObjectFiles::make(int directory, int store) {
  TRY_CTX(sys::Fd objects, sys::make_dir_at(directory, "objects", 0700), "cannot make objects");
  ObjectFiles files(directory, store, std::move(objects));
  struct stat info{};
  if (store >= 0 && fstat(store, &info) != 0) return failed("look for");
  files.uid_ = info.st_uid;
  files.gid_ = info.st_gid;
  return files;
}

Result<void> ObjectFiles::begin(uint64_t size, bool sparse) {
  size_ = size;
  done_ = 0;
  id_.reset();
  content_.clear();
  hash_ = sys::Sha256();
  in_memory_ = size <= kMaxInMemory && !sparse;
  return in_memory_ ? Result<void>() : begin_file();
}

Result<void> ObjectFiles::begin_file() {
  // Of one that failed nothing is left: the whole directory is thrown away then.
  TRY_CTX(file_, sys::open_at(directory_, kPart, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kMode),
          "cannot make an object");
  return {};
}

void ObjectFiles::hash_zeros(uint64_t count) {
  static constexpr std::array<char, 64u << 10> kZeros{};
  done_ += count;
  for (; count > 0; count -= std::min<uint64_t>(count, kZeros.size()))
    hash_.update({kZeros.data(), static_cast<size_t>(std::min<uint64_t>(count, kZeros.size()))});
}

Result<void> ObjectFiles::write(std::string_view bytes, uint64_t offset) {
  if (in_memory_ && bytes.size() == size_) {
    TRY(id_, keep(bytes));
    return {};
  }
  if (in_memory_) {
    content_ += bytes;
    return {};
  }
  hash_zeros(offset - done_);
  hash_.update(bytes);
  done_ += bytes.size();
  return write_file(bytes, offset);
}

Result<void> ObjectFiles::write_file(std::string_view bytes, uint64_t offset) {
  TRY_VOID_CTX(failpoint("archive.object.write"), "cannot write an object");
  while (!bytes.empty()) {
    ssize_t written = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write");
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

Result<tree::ObjectId> ObjectFiles::end() {
  if (id_) return *id_;
  return in_memory_ ? keep(content_) : keep_file();
}

Result<std::optional<sys::Fd>> ObjectFiles::find_known(const std::string& hex) const {
  if (store_ < 0) return std::optional<sys::Fd>();
  std::string path = hex.substr(0, 2) + "/" + hex.substr(2);
  struct stat info{};
  if (fstatat(store_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<sys::Fd>();
    return failed("look for");
  }
  if (!tree::is_sealed_object(info, uid_, gid_) || static_cast<uint64_t>(info.st_size) != size_)
    return std::optional<sys::Fd>();
  // One that cannot be opened or read is damaged: the same content is made again.
  Result<sys::Fd> file = sys::open_at(store_, path, O_RDONLY | O_NOFOLLOW);
  return file ? std::optional<sys::Fd>(std::move(*file)) : std::nullopt;
}

Result<bool> ObjectFiles::is_known(const std::string& hex, std::string_view content) {
  TRY(std::optional<sys::Fd> known, find_known(hex));
  if (!known) return false;
  block_.resize(kCompared);
  while (!content.empty()) {
    ssize_t got = read(known->get(), block_.data(), std::min(kCompared, content.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || !content.starts_with(std::string_view(block_.data(), static_cast<size_t>(got))))
      return false;
    content.remove_prefix(static_cast<size_t>(got));
  }
  return true;
}

Result<bool> ObjectFiles::is_known(const std::string& hex) {
  TRY(std::optional<sys::Fd> known, find_known(hex));
  if (!known) return false;
  block_.resize(kCompared);
  other_.resize(kCompared);
  for (uint64_t done = 0; done < size_;) {
    ssize_t ours = pread(file_.get(), block_.data(), kCompared, static_cast<off_t>(done));
    if (ours < 0 && errno == EINTR) continue;
    if (ours <= 0) return failed("compare");
    const auto size = static_cast<size_t>(ours);
    // Files of a disk are read whole or not at all.
    ssize_t theirs = pread(known->get(), other_.data(), size, static_cast<off_t>(done));
    if (theirs != ours || memcmp(block_.data(), other_.data(), size) != 0) return false;
    done += size;
  }
  return true;
}

Result<tree::ObjectId> ObjectFiles::keep(std::string_view content) {
  hash_.update(content);
  tree::ObjectId id = hash_.finish_bytes();
  std::string hex = to_hex(id);
  TRY(bool known, is_known(hex, content));
  if (known) return id;
  Result<sys::Fd> file =
      sys::open_at(objects_.get(), hex, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kMode);
  if (!file && file.error().errnum() == EEXIST) return id;
  if (!file) return fail(std::move(file), "cannot make an object");
  file_ = std::move(*file);
  TRY_VOID(write_file(content, 0));
  file_.reset();
  ++made_;
  made_bytes_ += size_;
  return id;
}

Result<tree::ObjectId> ObjectFiles::keep_file() {
  hash_zeros(size_ - done_);
  tree::ObjectId id = hash_.finish_bytes();
  std::string hex = to_hex(id);
  // It may end with a hole.
  if (ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return failed("size");
  TRY(bool known, is_known(hex));
  file_.reset();
  if (known || sys::exists_at(objects_.get(), hex)) {
    if (unlinkat(directory_, kPart, 0) != 0) return failed("drop");
    return id;
  }
  if (renameat(directory_, kPart, objects_.get(), hex.c_str()) != 0) return failed("name");
  ++made_;
  made_bytes_ += size_;
  return id;
}

Result<sys::Fd> ObjectFiles::open(const tree::ObjectId& id) {
  std::string hex = to_hex(id);
  Result<sys::Fd> ours = sys::open_at(objects_.get(), hex, O_RDONLY | O_NOFOLLOW);
  if (ours || store_ < 0) return ours;
  return sys::open_at(store_, hex.substr(0, 2) + "/" + hex.substr(2), O_RDONLY | O_NOFOLLOW);
}

Result<void> ObjectFiles::remove(const tree::ObjectId& id) {
  std::string hex = to_hex(id);
  struct stat info{};
  if (fstatat(objects_.get(), hex.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return failed("drop");
  }
  if (unlinkat(objects_.get(), hex.c_str(), 0) != 0) return failed("drop");
  --made_;
  made_bytes_ -= static_cast<uint64_t>(info.st_size);
  return {};
}

}  // namespace wherry::archive
