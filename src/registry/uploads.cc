#include "registry/uploads.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <vector>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "oci/names.h"
#include "registry/route.h"
#include "sys/file.h"

namespace wherry::registry {
namespace {

constexpr size_t kMostUploads = 10'000;
constexpr size_t kReadPiece = 1u << 20;
// So much is handed to the disk while more arrives, so that the sync at the end is short.
constexpr uint64_t kWriteBehind = 8u << 20;

std::string data_path(const std::string& id) {
  return "uploads/" + id + "/data";
}

Result<uint64_t> file_size(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return Error::from_errno(errno, "cannot stat an upload");
  return static_cast<uint64_t>(info.st_size);
}

Result<Hasher> hash_file(int fd, Algorithm algorithm, uint64_t size) {
  Hasher hasher(algorithm);
  std::string piece(kReadPiece, '\0');
  for (uint64_t done = 0; done < size;) {
    ssize_t got = pread(fd, piece.data(), std::min<uint64_t>(piece.size(), size - done),
                        static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error::from_errno(got < 0 ? errno : EIO, "cannot read an upload");
    hasher.update(std::string_view(piece).substr(0, static_cast<size_t>(got)));
    done += static_cast<uint64_t>(got);
  }
  return hasher;
}

Result<void> write_at(int fd, std::string_view data, uint64_t offset) {
  TRY_VOID(failpoint("registry.upload.write"));
  while (!data.empty()) {
    ssize_t written = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error::from_errno(errno, "cannot write an upload");
    data.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

}  // namespace

// What is remembered of an upload between its requests.
class Upload {
 public:
  Upload(std::string id, std::string repository)
      : id(std::move(id)), repository(std::move(repository)) {}
  const std::string id, repository;
  std::mutex mutex;  // over all below; held for one piece or one commit
  uint64_t turn = 0;
  uint64_t size = 0;
  bool ended = false;
  std::shared_ptr<Hasher> hasher;  // none after a restart, until it goes on
};

Result<void> UploadWriter::append(std::string_view piece) {
  std::lock_guard guard(upload_->mutex);
  if (upload_->ended || upload_->turn != turn_)
    return Error(ErrorKind::kConflict, "another request goes on with this upload");
  Result<void> written = write_at(file_.get(), piece, upload_->size);
  if (!written) {
    // What of the piece was written does not count.
    [[maybe_unused]] int cut = ftruncate(file_.get(), static_cast<off_t>(upload_->size));
    return written;
  }
  upload_->hasher->update(piece);
  upload_->size += piece.size();
  if (upload_->size / kWriteBehind != size_ / kWriteBehind)
    sync_file_range(file_.get(), static_cast<off_t>(size_ / kWriteBehind * kWriteBehind),
                    static_cast<off_t>(kWriteBehind), SYNC_FILE_RANGE_WRITE);
  size_ = upload_->size;
  return {};
}

void UploadWriter::roll_back() {
  [[maybe_unused]] int cut = ftruncate(file_.get(), static_cast<off_t>(start_));
  upload_->size = size_ = start_;
  upload_->hasher = std::make_shared<Hasher>(*before_);
}

Result<void> UploadWriter::verify(const ContentDigest& digest) {
  ContentDigest found = upload_->hasher->digest();
  if (digest.algorithm() != found.algorithm()) {
    TRY(Hasher other, hash_file(file_.get(), digest.algorithm(), upload_->size));
    found = other.digest();
  }
  if (found == digest) return {};
  roll_back();
  return Error(ErrorKind::kInvalidArgument,
               "the bytes are '" + found.str() + "', not '" + digest.str() + "'");
}

Result<void> UploadWriter::commit(const ContentDigest& digest) {
  std::lock_guard guard(upload_->mutex);
  if (upload_->ended || upload_->turn != turn_)
    return Error(ErrorKind::kConflict, "another request goes on with this upload");
  TRY_VOID(verify(digest));
  TRY_VOID(failpoint("registry.upload.verified"));
  // From here on the upload is over, well or not: after a failed sync nobody knows what of the file
  // is on the disk.
  upload_->ended = true;
  auto gone = on_exit([&] { (void)uploads_.remove(upload_->id); });
  if (fsync(file_.get()) != 0) return Error::from_errno(errno, "cannot sync an upload");
  TRY_VOID(failpoint("registry.upload.synced"));
  return uploads_.blobs_.commit(data_path(upload_->id), upload_->repository, digest);
}

Result<std::string> Uploads::start(const std::string& repository) {
  {
    std::lock_guard guard(mutex_);
    if (count_ >= kMostUploads)
      return Error(ErrorKind::kResourceExhausted, "too many uploads are open")
          .set_hint("finish or cancel some; those without activity expire");
    ++count_;
  }
  std::string id = random_id().substr(0, 32);
  auto undo = on_exit([&] { (void)remove(id); });
  TRY(sys::Fd parent, root_.open_dir("uploads"));
  TRY(sys::Fd dir, sys::make_dir_at(parent.get(), id, 0700));
  TRY(sys::Fd name, sys::open_at(dir.get(), "repository", O_WRONLY | O_CREAT | O_EXCL, 0600));
  TRY_VOID(sys::write_all(name.get(), repository));
  TRY_VOID(failpoint("registry.upload.named"));
  TRY(sys::Fd data, sys::open_at(dir.get(), "data", O_WRONLY | O_CREAT | O_EXCL, 0600));
  auto upload = std::make_shared<Upload>(id, repository);
  upload->hasher = std::make_shared<Hasher>(Algorithm::kSha256);
  std::lock_guard guard(mutex_);
  open_[id] = std::move(upload);
  undo.release();
  return id;
}

// nullptr: there is none.
Result<std::shared_ptr<Upload>> Uploads::find(const std::string& repository,
                                              const std::string& id) {
  std::lock_guard guard(mutex_);
  auto known = open_.find(id);
  if (known != open_.end())
    return known->second->repository == repository ? known->second : nullptr;
  TRY(std::optional<std::string> name,
      root_.read("uploads/" + id + "/repository", oci::kMaxRepository));
  if (!name || *name != repository) return std::shared_ptr<Upload>();
  Result<sys::Fd> file = sys::open_at(root_.fd(), data_path(id), O_RDONLY | O_NOFOLLOW);
  if (!file) return std::shared_ptr<Upload>();
  auto upload = std::make_shared<Upload>(id, repository);
  TRY(upload->size, file_size(file->get()));
  open_[id] = upload;
  return upload;
}

Result<std::optional<uint64_t>> Uploads::size(const std::string& repository,
                                              const std::string& id) {
  TRY(std::shared_ptr<Upload> upload, find(repository, id));
  if (!upload) return std::optional<uint64_t>();
  std::lock_guard guard(upload->mutex);
  return upload->ended ? std::optional<uint64_t>() : std::optional(upload->size);
}

Result<std::optional<UploadWriter>> Uploads::write(const std::string& repository,
                                                   const std::string& id) {
  TRY(std::shared_ptr<Upload> upload, find(repository, id));
  if (!upload) return std::optional<UploadWriter>();
  std::lock_guard guard(upload->mutex);
  if (upload->ended) return std::optional<UploadWriter>();
  TRY(sys::Fd file, sys::open_at(root_.fd(), data_path(id), O_RDWR | O_NOFOLLOW));
  if (!upload->hasher) {
    TRY(Hasher again, hash_file(file.get(), Algorithm::kSha256, upload->size));
    upload->hasher = std::make_shared<Hasher>(std::move(again));
  }
  // Its time of change is its last activity.
  futimens(file.get(), nullptr);
  auto before = std::make_shared<const Hasher>(*upload->hasher);
  return std::optional(UploadWriter(*this, upload, ++upload->turn, std::move(file), upload->size,
                                    std::move(before)));
}

Result<bool> Uploads::cancel(const std::string& repository, const std::string& id) {
  TRY(std::shared_ptr<Upload> upload, find(repository, id));
  if (!upload) return false;
  {
    std::lock_guard guard(upload->mutex);
    if (upload->ended) return false;
    upload->ended = true;
  }
  TRY_VOID(remove(id));
  return true;
}

Result<void> Uploads::remove(const std::string& id) {
  TRY(sys::Fd parent, root_.open_dir("uploads"));
  Result<void> removed = sys::remove_tree_at(parent.get(), id);
  // Last: until here it is known as ended, and not found again on the disk.
  std::lock_guard guard(mutex_);
  open_.erase(id);
  if (count_ > 0) --count_;
  return removed;
}

Result<size_t> Uploads::sweep() {
  TRY(std::vector<std::string> ids, root_.list("uploads"));
  if (!counted_) count_ = ids.size();
  counted_ = true;
  size_t swept = 0;
  for (const std::string& id : ids) {
    struct stat info{};
    std::string data = data_path(id), dir = "uploads/" + id;
    // One without data died while it was made; it expires like the others.
    if (fstatat(root_.fd(), data.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 &&
        fstatat(root_.fd(), dir.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (info.st_mtime + expiry_.count() > time(nullptr)) continue;
    std::optional<std::shared_ptr<Upload>> known;
    {
      std::lock_guard guard(mutex_);
      auto found = open_.find(id);
      if (found != open_.end()) known = found->second;
    }
    if (known) {
      std::lock_guard guard((*known)->mutex);
      (*known)->ended = true;
    }
    TRY_VOID(remove(id));
    ++swept;
  }
  return swept;
}

}  // namespace wherry::registry
