// EarlySync: the disk writes what an import has made so far while the import goes on.
//
// Never counted on: what is acknowledged is synced again afterwards, which then has little left to
// wait for. In a process of its own, because syncfs blocks and this one may have one thread only.
#pragma once

#include <cstdint>

#include "sys/process.h"

namespace wherry::store {

class EarlySync {
 public:
  EarlySync() = default;
  EarlySync(EarlySync&&) = delete;
  EarlySync& operator=(EarlySync&&) = delete;
  ~EarlySync();

  // So many bytes more are to be written to the file system of `directory`. Begins when that is
  // worth a process and none is on its way; a process that cannot be had is done without.
  void count(int directory, uint64_t bytes);

 private:
  bool is_busy();

  uint64_t waiting_ = 0;
  sys::Child child_;
};

}  // namespace wherry::store
