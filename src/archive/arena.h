// Arena: memory for many small things that are all thrown away at once, most of it in a file.
//
// The first megabytes are ordinary memory, what does not fit lies in an unlinked file that is
// mapped, so that a layer of a million entries does not need a million entries' memory: the kernel
// may write it out. Things never move: references and pointers stay right. Not for several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::archive {

class Arena {
 public:
  // Half of a pointer: its place in units of eight bytes. 0 is none.
  using Ref = uint32_t;

  // The file is made in `directory` when it is needed. `memory`: how much stays ordinary.
  static Result<std::unique_ptr<Arena>> open(int directory, size_t memory = 16u << 20);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Zeroed. kResourceExhausted when there is no more room, on the disk or in all.
  Result<Ref> allocate(size_t size);
  Result<Ref> copy(std::string_view bytes);
  template <typename T>
  T* at(Ref ref) const {
    return reinterpret_cast<T*>(base_ + size_t{ref} * kUnit);
  }
  std::string_view bytes(Ref ref, size_t size) const { return {at<char>(ref), size}; }
  size_t used() const { return used_; }

  // All of it; address space only until it is used.
  static constexpr size_t kMax = size_t{4} << 30;

 private:
  static constexpr size_t kUnit = 8;
  Arena(int directory, size_t memory, char* base)
      : directory_(directory), memory_(memory), base_(base) {}
  Result<void> grow();
  Result<void> make_file();

  int directory_;
  size_t memory_;
  char* base_;
  size_t used_ = kUnit;
  size_t ready_ = 0;  // may be touched
  sys::Fd file_;
};

}  // namespace wherry::archive
