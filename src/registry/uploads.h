// Uploads in progress: bytes that arrive in pieces, over several requests and restarts.
//
// Each has a directory uploads/<id> with the file `data` and the file `repository`. The hash runs
// along in memory; after a restart it is made again from the file when the upload goes on. Only one
// request writes at a time: a newer one takes over, and the older learns it at its next piece, so
// that a client whose connection died can go on at once. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "registry/blobs.h"
#include "registry/content_digest.h"
#include "registry/store_root.h"

namespace wherry::registry {

class Upload;

// The right of one request to append to an upload, until another takes it.
class UploadWriter {
 public:
  uint64_t size() const { return size_; }
  // kConflict when another request took over, kResourceExhausted when the disk is full; the upload
  // then has what came before this piece.
  Result<void> append(std::string_view piece);
  // Verifies and makes it a blob. kInvalidArgument: the bytes are not the digest's; the upload is
  // then as it was when this writer began.
  Result<void> commit(const ContentDigest& digest);

 private:
  friend class Uploads;
  UploadWriter(class Uploads& uploads, std::shared_ptr<Upload> upload, uint64_t turn, sys::Fd file,
               uint64_t size, std::shared_ptr<const Hasher> before)
      : uploads_(uploads),
        upload_(std::move(upload)),
        turn_(turn),
        file_(std::move(file)),
        size_(size),
        start_(size),
        before_(std::move(before)) {}
  Result<void> verify(const ContentDigest& digest);
  void roll_back();

  class Uploads& uploads_;
  std::shared_ptr<Upload> upload_;
  uint64_t turn_;
  sys::Fd file_;
  uint64_t size_, start_;
  std::shared_ptr<const Hasher> before_;
};

class Uploads {
 public:
  // `expiry`: after so long without a byte an upload is swept.
  Uploads(StoreRoot& root, Blobs& blobs, std::chrono::seconds expiry)
      : root_(root), blobs_(blobs), expiry_(expiry) {}

  // The id of a new upload. kResourceExhausted when there are too many.
  Result<std::string> start(const std::string& repository);
  // The number of bytes it has; nullopt when that repository has no such upload.
  Result<std::optional<uint64_t>> size(const std::string& repository, const std::string& id);
  // Takes over; nullopt as above.
  Result<std::optional<UploadWriter>> write(const std::string& repository, const std::string& id);
  // False: there is none.
  Result<bool> cancel(const std::string& repository, const std::string& id);
  // Removes what has expired; the number of those. Once before the first start, then now and then.
  Result<size_t> sweep();

 private:
  friend class UploadWriter;
  Result<std::shared_ptr<Upload>> find(const std::string& repository, const std::string& id);
  Result<void> remove(const std::string& id);

  StoreRoot& root_;
  Blobs& blobs_;
  std::chrono::seconds expiry_;
  std::mutex mutex_;  // over the map alone
  std::map<std::string, std::shared_ptr<Upload>> open_;
  size_t count_ = 0;  // of directories
  bool counted_ = false;
};

}  // namespace wherry::registry
