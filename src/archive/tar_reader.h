// TarReader: the entries of an uncompressed tar, the digest of its exact bytes, and, for whoever
// makes the tar again, all bytes that are no file's content.
//
// v7, ustar, star, GNU and PAX, sparse files of all four kinds. It streams: memory is bounded by
// one entry's extended headers (1 MiB each) and sparse map. What readers could understand in two
// ways is refused. Checks of names and owners are the caller's. Only inside wherry-unpack, after it
// has given up its rights. Sources: POSIX.1-2017, pax; the GNU tar manual, "Tar Internals".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/pax.h"
#include "archive/sparse.h"
#include "sys/sha256.h"

namespace wherry::archive {

struct TarMember {
  std::string path;  // as the archive says it
  // '0' file, '1' hard link, '2' symlink, '3' '4' devices, '5' directory, '6' fifo; any other one
  // is not known.
  char type = '0';
  uint32_t mode = 0;  // permission bits with setuid, setgid, sticky
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint64_t size = 0;    // of a file, with its holes
  bool sparse = false;  // it may have holes
  std::string link;     // target of '1' and '2'
  int64_t device_major = 0, device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;  // each name once
};

class TarReader {
 public:
  // The next bytes of the tar, valid until the next call; none at the end.
  using Next = std::function<Result<std::string_view>()>;
  // Gets every byte of the tar in order, but for those that read_block() gives out.
  using Raw = std::function<Result<void>(std::string_view)>;

  // Passes over the next bytes of the source, which the tar's digest then lacks.
  using Skip = std::function<Result<void>(uint64_t)>;

  explicit TarReader(Next source, Raw raw = {}, Skip skip = {})
      : source_(std::move(source)), raw_(std::move(raw)), skip_(std::move(skip)) {}
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry, valid until the next call; null at the end mark. Bytes that are no tar are
  // kCorrupt: "not a tar archive". Data that was not read is passed over.
  Result<const TarMember*> next();
  // Offset of the current entry's first header in the uncompressed tar.
  uint64_t header_offset() const { return header_offset_; }
  // Of the data that comes next.
  uint64_t data_offset() const { return pulled_ - rest_.size(); }

  struct Block {
    std::string_view bytes;  // valid until the next call
    uint64_t offset = 0;     // in the file: what lies between two blocks is a hole
  };
  // False at the end of a file's data.
  Result<bool> read_block(Block& block);

  // After the last entry: reads what follows the end mark, which the digest covers.
  struct Summary {
    Digest digest;
    uint64_t bytes = 0;
  };
  Result<Summary> finish();

 private:
  // What stands before an entry's own header.
  struct Extensions {
    PaxRecords pax;
    std::optional<std::string> gnu_path, gnu_link;
    bool awaits_entry = false;
    int headers = 0;
  };

  Error damaged(std::string_view why) const;
  Error truncated() const;
  Error in_header(Error error) const;
  Result<void> pull();
  Result<void> pass_on(std::string_view bytes);
  Result<std::string_view> take(size_t at_most);
  Result<std::string_view> take_block();
  Result<void> skip(uint64_t size);
  Result<bool> take_end_mark();
  Result<int64_t> number(std::string_view header, std::pair<size_t, size_t> field,
                         const char* what) const;
  Result<std::string> read_extension(uint64_t size);
  Result<bool> take_extension(std::string_view header, uint64_t size, Extensions& extensions);
  Result<void> read_member(std::string_view header, uint64_t size, Extensions& extensions);
  Result<void> read_numbers(std::string_view header, const PaxRecords& pax);
  void read_names(std::string_view header, Extensions& extensions);
  Result<void> begin_data(std::string_view header, uint64_t size, PaxRecords& pax);
  Result<void> begin_gnu_sparse(std::string_view header);
  Result<void> begin_pax_sparse(PaxRecords& pax);

  Next source_;
  Raw raw_;
  Skip skip_;
  std::string_view rest_;  // of what the source gave last
  uint64_t pulled_ = 0;    // bytes that the source gave
  bool ended_ = false;     // the source
  bool at_end_mark_ = false;
  bool seen_header_ = false;
  uint64_t header_offset_ = 0;
  std::string split_block_;  // one that lies in two of the source's
  PaxRecords global_;
  TarMember member_;
  uint64_t data_left_ = 0;
  uint64_t padding_ = 0;
  std::vector<SparseRun> runs_;  // of the current file; one for a plain file
  size_t run_ = 0;
  uint64_t run_done_ = 0;
  sys::Sha256 hash_;
};

}  // namespace wherry::archive
