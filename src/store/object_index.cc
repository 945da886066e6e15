#include "store/object_index.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

#include "sys/fd.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr const char* kIndex = "index";
static_assert(std::endian::native == std::endian::little);

}  // namespace

Result<ObjectIndex> ObjectIndex::open(int layer) {
  TRY(sys::Fd file, sys::open_at(layer, kIndex, O_RDONLY | O_NOFOLLOW));
  struct stat info{};
  if (fstat(file.get(), &info) != 0)
    return Error::from_errno(errno, "cannot look at a layer's index");
  const auto size = static_cast<size_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || size % sizeof(ObjectRef) != 0)
    return Error(ErrorKind::kCorrupt, "a layer's index is damaged");
  if (size == 0) return ObjectIndex({}, info.st_mtim);
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (bytes == MAP_FAILED) return Error::from_errno(errno, "cannot map a layer's index");
  ObjectIndex index({static_cast<const ObjectRef*>(bytes), size / sizeof(ObjectRef)}, info.st_mtim);
  if (!std::ranges::is_sorted(index.refs_))
    return Error(ErrorKind::kCorrupt, "a layer's index is damaged");
  return index;
}

ObjectIndex::ObjectIndex(ObjectIndex&& other) noexcept
    : refs_(std::exchange(other.refs_, {})), known_until_(other.known_until_) {}

ObjectIndex::~ObjectIndex() {
  if (!refs_.empty()) munmap(const_cast<ObjectRef*>(refs_.data()), refs_.size_bytes());
}

Result<void> write_object_index(int layer, const std::vector<ObjectRef>& refs) {
  TRY(sys::Fd file, sys::open_at(layer, kIndex, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return sys::write_all(
      file.get(), {reinterpret_cast<const char*>(refs.data()), refs.size() * sizeof(ObjectRef)});
}

Result<void> rewrite_object_index(int layer, const std::vector<ObjectRef>& refs) {
  // Until its name is there a half-made one belongs to the layer and goes with it.
  constexpr const char* kNew = "index.new";
  TRY(sys::Fd file, sys::open_at(layer, kNew, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  TRY_VOID(sys::write_all(
      file.get(), {reinterpret_cast<const char*>(refs.data()), refs.size() * sizeof(ObjectRef)}));
  const timespec never[] = {{0, UTIME_OMIT}, {0, 0}};
  if (futimens(file.get(), never) != 0 || fsync(file.get()) != 0)
    return Error::from_errno(errno, "cannot write a layer's index");
  if (renameat(layer, kNew, layer, kIndex) != 0)
    return Error::from_errno(errno, "cannot replace a layer's index");
  return sys::sync_dir(layer);
}

std::vector<ObjectRef> without(std::vector<ObjectRef> from, std::span<const ObjectRef> other) {
  std::vector<ObjectRef> left;
  std::ranges::set_difference(from, other, std::back_inserter(left), {}, &ObjectRef::id,
                              &ObjectRef::id);
  return left;
}

}  // namespace wherry::store
