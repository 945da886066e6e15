// OwnSpans: when the store itself made or linked files of checkouts.
//
//   <root>/own-spans   16 bytes each: first and last nanosecond since the epoch, little endian
//
// Nobody but the kernel sets a file's time of change, so a file of a checkout or of the farm whose
// time of change lies in one of these spans is as the store left it; any other may have been
// touched by somebody else, and is read before it is believed. One number for each tree, as layers
// have it (store/object_index.h), would not do: each tree that links a file of the farm changes its
// time. What is lost of the file, or never got into it, only means more reading.
//
// The kernel stamps with the clock's last tick (1 to 10 ms, by its configuration). So that nothing
// that others did just before or after seems to be one's own, a span begins and ends with a tick,
// which is waited for. Inside store/ only.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace wherry::store {

class OwnSpans {
 public:
  // What is known now.
  explicit OwnSpans(std::string root);
  // A span of one's own begins, if none has.
  void begin();

  // Whether it lies in a span that others have kept.
  bool knows(const timespec& change) const;
  // Or in one's own.
  bool covers(const timespec& change) const;
  // One's own ends now, if one has begun, and is known from here on. Best effort, not synced.
  void keep() const;

 private:
  struct Span {
    int64_t first = 0;
    int64_t last = 0;
  };
  // Beyond it the older half is forgotten.
  static constexpr size_t kMaxSpans = 4096;
  void join();

  std::string root_;
  std::vector<Span> spans_;
  int64_t began_ = 0;  // 0: not yet
};

}  // namespace wherry::store
