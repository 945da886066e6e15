#include "registry/blobs.h"

#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "base/failpoint.h"

namespace wherry::registry {
namespace {

using LockMode = sys::FileLock::Mode;

// A client that was told of a blob will name it in a manifest soon: the collection spares marks
// that are younger than its grace, so one that is asked for is kept young.
constexpr time_t kFreshSeconds = 600;

void keep_fresh(int root, const std::string& mark) {
  struct stat info{};
  if (fstatat(root, mark.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      info.st_mtime + kFreshSeconds < time(nullptr))
    utimensat(root, mark.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

}  // namespace

std::string blob_dir(Algorithm algorithm) {
  return "blobs/" + std::string(algorithm_name(algorithm));
}

std::string blob_marks_dir(const std::string& repository, Algorithm algorithm) {
  return "repositories/" + repository + "/_blobs/" + std::string(algorithm_name(algorithm));
}

Result<std::optional<OpenBlob>> Blobs::open(const std::string& repository,
                                            const ContentDigest& digest) {
  std::string mark = blob_marks_dir(repository, digest.algorithm()) + "/" + digest.hex();
  if (!root_.exists(mark)) return std::optional<OpenBlob>();
  keep_fresh(root_.fd(), mark);
  return open_content(digest);
}

Result<std::optional<OpenBlob>> Blobs::open_content(const ContentDigest& digest) {
  Result<sys::Fd> file = sys::open_at(root_.fd(), "blobs/" + digest.path(), O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().errnum() == ENOENT) return std::optional<OpenBlob>();
  if (!file) return Error(std::move(file.error()));
  struct stat info{};
  if (fstat(file->get(), &info) != 0) return Error::from_errno(errno, "cannot stat a blob");
  return std::optional(
      OpenBlob{std::make_shared<sys::Fd>(std::move(*file)), static_cast<uint64_t>(info.st_size)});
}

bool Blobs::has(const std::string& repository, const ContentDigest& digest) const {
  return root_.exists(blob_marks_dir(repository, digest.algorithm()) + "/" + digest.hex()) &&
         root_.exists("blobs/" + digest.path());
}

Result<void> Blobs::commit(const std::string& file, const std::string& repository,
                           const ContentDigest& digest) {
  TRY(sys::FileLock lock, root_.collection_lock(LockMode::kShared));
  TRY_VOID(root_.move_in(file, blob_dir(digest.algorithm()), digest.hex()));
  TRY_VOID(failpoint("registry.blob.moved"));
  return root_.add_mark(blob_marks_dir(repository, digest.algorithm()), digest.hex());
}

Result<void> Blobs::add_content(const ContentDigest& digest, std::string_view bytes) {
  return root_.replace_file(blob_dir(digest.algorithm()), digest.hex(), bytes);
}

Result<bool> Blobs::mount(const std::string& from, const std::string& repository,
                          const ContentDigest& digest) {
  TRY(sys::FileLock lock, root_.collection_lock(LockMode::kShared));
  if (!has(from, digest)) return false;
  // Young again: its other marks may be going this moment.
  utimensat(root_.fd(), ("blobs/" + digest.path()).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  TRY_VOID(root_.add_mark(blob_marks_dir(repository, digest.algorithm()), digest.hex()));
  return true;
}

Result<bool> Blobs::remove(const std::string& repository, const ContentDigest& digest) {
  return root_.remove_file(blob_marks_dir(repository, digest.algorithm()), digest.hex());
}

}  // namespace wherry::registry
