// ObjectFiles: contents become files named by their digest, each once.
//
// New ones are made in `objects/` below a directory of our own; what the store has already is not
// made again, but compared byte for byte: so what a new layer counts on is right, and damage is
// healed by whoever brings the same content. A content up to 1 MiB is hashed before a file is made,
// a larger or sparse one is written under another name first. Holes stay holes. Only inside
// wherry-unpack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sys/fd.h"
#include "sys/sha256.h"
#include "tree/entry.h"

namespace wherry::archive {

class ObjectFiles {
 public:
  // Both borrowed. `store`: the store's objects, by xx/yyyy..., -1: none are known.
  static Result<ObjectFiles> make(int directory, int store);

  // One content: its blocks come in order, what is between them and behind is zero.
  Result<void> begin(uint64_t size, bool sparse);
  Result<void> write(std::string_view bytes, uint64_t offset);
  Result<tree::ObjectId> end();  // not for empty ones

  // Of ours, else of the store's.
  Result<sys::Fd> open(const tree::ObjectId& id);
  // Forgets one of ours, if it is.
  Result<void> remove(const tree::ObjectId& id);

  uint64_t made() const { return made_; }
  uint64_t made_bytes() const { return made_bytes_; }

 private:
  ObjectFiles(int directory, int store, sys::Fd objects)
      : directory_(directory), store_(store), objects_(std::move(objects)) {}
  Result<void> begin_file();
  Result<void> write_file(std::string_view bytes, uint64_t offset);
  void hash_zeros(uint64_t count);
  // Opened, if the store has a file of that name, size and seal.
  Result<std::optional<sys::Fd>> find_known(const std::string& hex) const;
  Result<bool> is_known(const std::string& hex, std::string_view content);
  Result<bool> is_known(const std::string& hex);  // the content is in `file_`
  Result<tree::ObjectId> keep(std::string_view content);
  Result<tree::ObjectId> keep_file();

  int directory_;
  int store_;
  uid_t uid_ = 0;  // whose the store is
  gid_t gid_ = 0;
  sys::Fd objects_;
  uint64_t size_ = 0;
  uint64_t done_ = 0;  // bytes hashed
  bool in_memory_ = false;
  std::optional<tree::ObjectId> id_;  // of one that came in one block and is kept already
  std::string content_;               // of a small one
  sys::Fd file_;                      // of a large one
  sys::Sha256 hash_;
  uint64_t made_ = 0;
  uint64_t made_bytes_ = 0;
  std::string block_, other_;  // for comparing
};

}  // namespace wherry::archive
