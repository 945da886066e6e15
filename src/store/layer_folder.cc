#include "store/layer_folder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/failpoint.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "tree/record.h"

namespace wherry::store {

Result<MappedFile> MappedFile::open(int dir, const char* name) {
  TRY(sys::Fd file, sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW));
  struct stat info{};
  if (fstat(file.get(), &info) != 0)
    return Error::from_errno(errno, "cannot look at '" + std::string(name) + "'");
  if (!S_ISREG(info.st_mode) || info.st_size == 0)
    return Error(ErrorKind::kCorrupt, "'" + std::string(name) + "' is empty or no file");
  const auto size = static_cast<size_t>(info.st_size);
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (bytes == MAP_FAILED)
    return Error::from_errno(errno, "cannot map '" + std::string(name) + "'");
  return MappedFile({static_cast<const char*>(bytes), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

Result<LayerContents> read_layer(int layer) {
  TRY(MappedFile record, MappedFile::open(layer, kRecord));
  TRY(tree::RecordReader reader,
      tree::RecordReader::open(record.bytes(), tree::RecordKind::kLayer, kMaxLayerEntries));
  LayerContents contents;
  InodesOnce once;
  auto entries = [&]() -> Result<const tree::Entry*> {
    TRY(const tree::Entry* entry, reader.next());
    if (entry == nullptr) return entry;
    ++contents.entries;
    if (entry->type == tree::Type::kFile && once.first(*entry)) contents.files_size += entry->size;
    return entry;
  };
  TRY(contents.objects, tree::objects_of(entries));
  return contents;
}

}  // namespace wherry::store
