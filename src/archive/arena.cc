#include "archive/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wherry::archive {
namespace {

constexpr size_t kStep = 16u << 20;  // of the file
constexpr const char* kName = "spill";

Error failed() {
  return Error::from_errno(errno, "cannot keep the names of the layer");
}

// Its blocks, so that a full disk is an error now and not a signal when they are touched.
Result<void> extend(int file, off_t from, off_t size) {
  if (fallocate(file, 0, from, size) == 0) return {};
  if (errno != EOPNOTSUPP) return failed();
  constexpr char kZeros[4096] = {};
  for (off_t at = from; at < from + size; at += static_cast<off_t>(sizeof kZeros))
    if (pwrite(file, kZeros, sizeof kZeros, at) != sizeof kZeros) return failed();
  return {};
}

}  // namespace

Result<std::unique_ptr<Arena>> Arena::open(int directory, size_t memory) {
  void* base = mmap(nullptr, kMax, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return failed();
  return std::unique_ptr<Arena>(new Arena(directory, memory, static_cast<char*>(base)));
}

Arena::~Arena() {
  munmap(base_, kMax);
}

Result<void> Arena::make_file() {
  if (file_) return {};
  TRY_CTX(file_, sys::open_at(directory_, kName, O_RDWR | O_CREAT | O_EXCL, 0600),
          "cannot keep the names of the layer");
  if (unlinkat(directory_, kName, 0) != 0) return failed();
  return {};
}

Result<void> Arena::grow() {
  if (ready_ < memory_) {
    if (mprotect(base_, memory_, PROT_READ | PROT_WRITE) != 0) return failed();
    ready_ = memory_;
    return {};
  }
  if (ready_ + kStep > kMax)
    return Error(ErrorKind::kResourceExhausted,
                 "the names and attributes of its entries are more than 4 GiB");
  TRY_VOID(make_file());
  auto from = static_cast<off_t>(ready_ - memory_);
  TRY_VOID(extend(file_.get(), from, kStep));
  if (mmap(base_ + ready_, kStep, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(),
           from) == MAP_FAILED)
    return failed();
  ready_ += kStep;
  return {};
}

Result<Arena::Ref> Arena::allocate(size_t size) {
  size = (std::max<size_t>(size, 1) + kUnit - 1) / kUnit * kUnit;
  while (size > ready_ - std::min(used_, ready_) || ready_ == 0) TRY_VOID(grow());
  auto ref = static_cast<Ref>(used_ / kUnit);
  used_ += size;
  return ref;
}

Result<Arena::Ref> Arena::copy(std::string_view bytes) {
  TRY(Ref ref, allocate(bytes.size()));
  memcpy(at<char>(ref), bytes.data(), bytes.size());
  return ref;
}

}  // namespace wherry::archive
