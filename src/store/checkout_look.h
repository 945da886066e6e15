// CheckoutLook: whether a checkout still is what the records say that it was made from.
//
// Entries come as they came to Checkout. What the store itself made or linked last
// (store/own_spans.h) is as its metadata says; everything else is compared whole: contents by
// digest, targets, attributes, the names in a directory. What is right gets a time of change within
// a short span of one's own, so that it is not read again.
//
// Nothing is repaired here. What is wrong is marked (store/tree_file_look.h), and of the rung farm
// loses its names in the farm, so that no tree takes it up again. Memory does not grow with the
// number of names but for hard links and the directories above the current one. Inside store/ only.
#pragma once

#include <string>
#include <vector>

#include "store/own_spans.h"
#include "sys/fd.h"
#include "tree/entry.h"

namespace wherry::store {

class CheckoutLook {
 public:
  struct Options {
    bool read_all = false;  // whatever its time of change
    int farm = -1;          // of that rung; borrowed
  };

  // Borrows the checkout's root.
  CheckoutLook(int root, OwnSpans spans, const Options& options)
      : root_(root), spans_(std::move(spans)), options_(options) {}

  Result<void> add(const tree::Entry& entry);
  // Once, at the end.
  Result<void> finish();

  // What is wrong: "'usr/bin/x' has another content". The first few; `count` has all.
  const std::vector<std::string>& problems() const { return problems_; }
  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }  // read

 private:
  struct Level {
    std::string path;
    uint64_t names = 0;          // that it is to have
    bool compare_names = false;  // with those that it has
    bool missing = false;        // with everything in it
    timespec change{};           // its time of change when it was looked at
  };
  // Something that is right and is not known to be.
  struct Right {
    std::string path;
    timespec change;  // when it was looked at
  };

  Result<void> begin(const tree::Entry& first);
  Result<void> leave_to(std::string_view parent);
  Result<void> leave();
  Result<void> look(const tree::Entry& entry, const struct stat& info);
  void note_right(std::string path, const timespec& change);
  void touch_right();
  void wrong(const tree::Entry& entry, std::string_view what);
  void wrong_inside(const tree::Entry& entry, const struct stat& info, std::string_view what);

  int root_;
  OwnSpans spans_;
  Options options_;
  std::vector<Level> levels_;  // from the root to the directory that is current
  std::vector<ino_t> inodes_;  // of files with several names
  std::vector<Right> right_;
  std::vector<std::string> problems_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

// Some names of one directory, chosen at random, and of those above it: whether nobody else has
// touched them. About a tenth of a millisecond.
bool glance_at_checkout(int root, const OwnSpans& spans);

}  // namespace wherry::store
