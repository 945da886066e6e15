// CheckoutLook: whether a checkout still is what the records say that it was made from.
//
// Entries come as they came to Checkout. What the store itself made or linked last
// (store/own_spans.h) is as its metadata says; everything else is compared whole: contents by
// digest, targets, attributes, the names in a directory. What is right gets a time of change within
// one's own span, which is to be kept then, so that it is not read again.
//
// Nothing is repaired here. Of the rung farm, a file that is wrong loses its names in the farm, so
// that no tree takes it up again. Memory does not grow with the number of names but for hard links
// and the directories above the current one. Inside store/ only.
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

  // Borrows the checkout's root and the spans.
  CheckoutLook(int root, OwnSpans& spans, const Options& options)
      : root_(root), spans_(spans), options_(options) {}

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
    uint64_t names = 0;    // that it is to have
    bool whole = false;    // its names are to be compared
    bool missing = false;  // with everything in it
    timespec mtime{};      // as it is
  };

  Result<void> begin(const tree::Entry& first);
  Result<void> leave_to(std::string_view parent);
  Result<void> leave();
  Result<void> look(const tree::Entry& entry, const struct stat& info);
  Result<void> touch(const std::string& path, const timespec& mtime);
  void wrong(const tree::Entry& entry, const struct stat& info, std::string_view what);
  bool is_known(const struct stat& info) const;

  int root_;
  OwnSpans& spans_;
  Options options_;
  std::vector<Level> levels_;  // from the root to the directory that is current
  std::vector<ino_t> inodes_;  // of files with several names
  std::vector<std::string> problems_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

// One directory of the checkout, chosen at random, and those above it: whether nobody else has
// touched what is in them. About a tenth of a millisecond.
bool glance_at_checkout(int root, const OwnSpans& spans);

}  // namespace wherry::store
