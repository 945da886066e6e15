// OwnSpans: when the store itself made or linked files of checkouts.
//
//   <root>/own-spans   16 bytes each, little endian: first and last nanosecond since the epoch of a
//                      span; the other way round of a removal
//
// Nobody but the kernel sets a file's time of change, so a file of a checkout or of the farm whose
// time of change lies in one of these spans is as the store left it; any other may have been
// touched by somebody else, and is read before it is believed. One number for each tree, as layers
// have it (store/object_index.h), would not do: each tree that links a file of the farm changes its
// time. So does a removal that takes a name of it away, but nobody has looked at the file then:
// what changed during one is not known. What is lost of the file, or never got into it, only means
// more reading.
//
// The kernel stamps with the clock's last tick (1 to 10 ms, by its configuration). So that nothing
// that others did before begin() or do after keep() seems to be one's own, both wait for a tick.
// What others write in between, with the times put back, is not told apart. Inside store/ only.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace wherry::store {

struct TimeSpan {
  int64_t first = 0;
  int64_t last = 0;
};

class OwnSpans {
 public:
  // What is known now.
  explicit OwnSpans(std::string root);
  // A span of one's own begins, if none has.
  void begin();

  // Whether it lies in a span that somebody has kept, and in no removal.
  bool knows(const timespec& change) const;
  // One's own ends now, if one has begun, and others know it from here on. Best effort, not synced.
  void keep();

 private:
  std::string root_;
  std::vector<TimeSpan> spans_;     // sorted, apart from each other
  std::vector<TimeSpan> removals_;  // likewise
  int64_t began_ = 0;               // 0: not yet
};

// While it lives names of files of the farm are taken away.
class Removal {
 public:
  explicit Removal(std::string root);
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal();

 private:
  std::string root_;
  int64_t began_;
};

}  // namespace wherry::store
