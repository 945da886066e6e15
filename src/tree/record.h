// Records: the entries of a layer or a merged tree in order, as bytes; docs/formats/tree-record.md.
//
// The same entries give the same bytes, so the SHA-256 of a merged tree's record is the tree's
// digest: equal file systems have equal digests, whatever their layers. A record may come from a
// confined helper that a hostile archive has taken over, so the reader believes nothing: order,
// paths (every parent there before its children, unless the layer leaves it out), types, lengths,
// inode numbers and the checksum at the end are checked, and a record that passes cannot name
// anything outside its own root. Both stream: memory does not grow with the number of entries,
// but for a few bytes for each inode with several names.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "tree/entry.h"

namespace wherry::tree {

enum class RecordKind : uint8_t { kLayer = 1, kTree = 2 };

class RecordWriter {
 public:
  using Sink = std::function<Result<void>(std::string_view)>;
  RecordWriter(RecordKind kind, Sink sink);
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  // In the order of compare_paths. kInternal: it is not, or no record may say it;
  // kResourceExhausted: it is beyond a limit of entry.h. Fields that the type does not have are
  // ignored.
  Result<void> add(const Entry& entry);

  struct Summary {
    Digest digest;  // of the record, checksum excluded
    uint64_t entries = 0;
    uint64_t files_size = 0;  // bytes of all files, each inode once
  };
  // Once, at the end. kInternal: a tree without a root, or where a number has one name only.
  Result<Summary> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class RecordReader {
 public:
  // `bytes`: the whole record, mapped or read; must outlive the reader. kCorrupt: it is none;
  // kUnsupported: one of a newer format; kResourceExhausted: more than `max_entries`.
  static Result<RecordReader> open(std::string_view bytes, RecordKind kind, uint64_t max_entries);
  RecordReader(RecordReader&&) noexcept;
  RecordReader& operator=(RecordReader&&) noexcept;
  ~RecordReader();

  // The next entry, valid until the next call; null at the end, after the checksum was compared.
  // After an error: the same again. kCorrupt, or kResourceExhausted for limits of entry.h.
  Result<const Entry*> next();
  // Back to before the first entry.
  void rewind();

  // What the record says of itself at its end. True once next() has come there.
  uint64_t entries() const;
  uint64_t files_size() const;
  uint32_t inodes() const;  // with several names
  Digest digest() const;    // as RecordWriter::Summary

 private:
  struct State;
  explicit RecordReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry::tree
