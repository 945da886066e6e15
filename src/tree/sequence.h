// What records may say: the checks of single entries and of their sequence, the same for who writes
// a record and who reads one that it does not believe.
//
// One object sees all entries of a record in order. Memory: the path, the directories above it, a
// bit for each inode with several names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tree/entry.h"
#include "tree/record.h"

namespace wherry::tree {

class Sequence {
 public:
  struct Problem {
    std::string_view text;  // empty: none
    bool limit = false;     // not wrong but too much
    explicit operator bool() const { return !text.empty(); }
  };

  explicit Sequence(RecordKind kind) : kind_(kind) {}

  // What is wrong with `entry` after those before it. Once there was a problem the object is spent.
  Problem next(const Entry& entry);
  // What is wrong with the whole, at its end.
  Problem end() const;

  uint64_t entries() const { return entries_; }
  uint64_t files_size() const { return files_size_; }
  uint32_t inodes() const { return static_cast<uint32_t>(several_.size()); }
  const std::string& path() const { return path_; }  // of the last entry

 private:
  struct Above {
    size_t length;  // of its path
    bool directory;
  };

  Problem check_path(std::string_view path);
  Problem check_place(const Entry& entry);
  Problem check_kind(const Entry& entry) const;
  Problem check_content(const Entry& entry) const;
  Problem check_inode(const Entry& entry);

  RecordKind kind_;
  uint64_t entries_ = 0;
  uint64_t files_size_ = 0;
  std::string path_;
  std::vector<Above> above_;   // the last entry and what the record has above it
  std::vector<bool> several_;  // inode numbers from 1 that have had their second name
};

// A phrase for messages: "'usr/bin'" or "the root".
std::string quoted_path(std::string_view path);

}  // namespace wherry::tree
