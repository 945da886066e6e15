// TarStream: the uncompressed bytes of a tar and their digest, and the entries in them.
//
// Two readers in a row: the first only decompresses (ours gzip, libarchive's bzip2, xz, zstd, or
// nothing), each byte it gives is hashed, then the second, libarchive's, parses tar and nothing
// else. So the digest is that of the exact uncompressed file, padding at its end included: an OCI
// diff id (image-spec 1.1, config.md). Only inside wherry-unpack, after it has given up its rights.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <optional>
#include <string>

#include "archive/gzip_reader.h"
#include "sys/sha256.h"

namespace wherry::archive {

class TarStream {
 public:
  // `fd` stays the caller's. Nothing is read before next().
  static Result<std::unique_ptr<TarStream>> open(int fd);
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
  TarStream() : raw_(nullptr, nullptr), tar_(nullptr, nullptr) {}
  // What libarchive's readers ask: compressed bytes from the descriptor, tar bytes from pull().
  static la_ssize_t read_input(::archive*, void* self, const void** buffer);
  static la_ssize_t feed(::archive*, void* self, const void** buffer);
  // One block of uncompressed bytes, hashed; 0 at the end, -1 on an error (kept in failure_).
  la_ssize_t pull(const void** buffer);
  Result<std::string_view> decompress();
  Result<void> fill_input();
  Result<void> start();
  Result<void> open_decompressor();
  Result<void> open_raw();
  Error corrupt(::archive* reader) const;

  int fd_ = -1;
  std::string input_;        // read from fd_
  bool input_taken_ = true;  // by raw_
  std::unique_ptr<GzipReader> gzip_;
  Reader raw_;  // when it is not gzip
  Reader tar_;
  bool started_ = false;
  bool raw_ended_ = false;
  std::optional<Error> failure_;  // of the decompression
  bool seen_header_ = false;
  sys::Sha256 hash_;
  uint64_t bytes_ = 0;
  uint64_t trailing_zeros_ = 0;
};

}  // namespace wherry::archive
