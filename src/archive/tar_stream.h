// TarStream: the entries of an uncompressed tar and the digest of its exact bytes.
//
// libarchive parses tar and nothing else; each byte it is given is hashed before, and so is what
// follows the end mark: an OCI diff id (image-spec 1.1, config.md). Only inside wherry-unpack,
// after it has given up its rights.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "sys/sha256.h"

namespace wherry::archive {

class TarStream {
 public:
  // The next bytes of the tar, valid until the next call; none at the end.
  using Next = std::function<Result<std::string_view>()>;

  // Nothing is read before next().
  static Result<std::unique_ptr<TarStream>> open(Next source);
  TarStream(const TarStream&) = delete;
  TarStream& operator=(const TarStream&) = delete;

  // The next entry, valid until the next call; null at the end of the archive. Bytes that are no
  // tar are kCorrupt: "not a tar archive".
  Result<archive_entry*> next();
  // Offset of the current entry's header in the uncompressed tar.
  int64_t header_offset() const;

  struct Block {
    const char* data = nullptr;
    size_t size = 0;
    int64_t offset = 0;  // in the file: what lies between two blocks is a hole
  };
  // False at the end of the entry's data.
  Result<bool> read_block(Block& block);

  // After the last entry: reads what follows the end mark (the digest covers it) and checks that
  // there was an end mark, without which a cut archive could not be told from a whole one.
  struct Summary {
    Digest digest;
    uint64_t bytes = 0;
  };
  Result<Summary> finish();

 private:
  using Reader = std::unique_ptr<::archive, int (*)(::archive*)>;
  explicit TarStream(Next source) : source_(std::move(source)), tar_(nullptr, nullptr) {}
  static la_ssize_t feed(::archive*, void* self, const void** buffer);
  // One block of bytes, hashed; 0 at the end, -1 on an error (kept in failure_).
  la_ssize_t pull(const void** buffer);
  Result<void> start();
  Error corrupt() const;

  Next source_;
  Reader tar_;
  bool started_ = false;
  bool ended_ = false;            // the source
  std::optional<Error> failure_;  // of the source
  bool seen_header_ = false;
  sys::Sha256 hash_;
  uint64_t bytes_ = 0;
  uint64_t trailing_zeros_ = 0;
};

}  // namespace wherry::archive
