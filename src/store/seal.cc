// Sealing: the files of an overlay's upper become objects without being copied.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/trace.h"
#include "store/layer_folder.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

constexpr size_t kMaxXattrList = 64u << 10;

Result<void> strip_xattrs(int fd) {
  std::string names(kMaxXattrList, '\0');
  ssize_t size = flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == ENOTSUP) return {};
  if (size < 0) return Error::from_errno(errno, "cannot list a file's attributes");
  for (const char *name = names.data(), *end = name + size; name < end;
       name += std::string_view(name).size() + 1)
    if (fremovexattr(fd, name) != 0 && errno != ENODATA)
      return Error::from_errno(errno, "cannot remove the attribute '" + std::string(name) + "'");
  return {};
}

// The files of one upper on their way.
class Sealing {
 public:
  Sealing(const Places& places, int upper) : places_(places), upper_(upper) {}

  Result<void> take(const tree::Entry& entry) {
    size_t slash = entry.path.rfind('/');
    std::string_view folder =
        slash == entry.path.npos ? std::string_view() : entry.path.substr(0, slash);
    std::string name(slash == entry.path.npos ? entry.path : entry.path.substr(slash + 1));
    TRY_VOID(enter(folder));
    TRY(sys::Fd file, sys::open_without_links(parent_.get(), name, O_RDONLY));
    struct stat info{};
    if (fstat(file.get(), &info) != 0) return Error::from_errno(errno, "cannot look at it");
    if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) != entry.size)
      return Error(ErrorKind::kCorrupt, "it is not what its record says");
    TRY_VOID(strip_xattrs(file.get()));
    TRY(bool moved, admit_file(places_, parent_.get(), name, file.get(), entry.object, buffer_));
    if (moved) TRY_VOID(failpoint("store.object.moved"));
    return {};
  }

 private:
  // Records list a directory's files in a row.
  Result<void> enter(std::string_view folder) {
    if (parent_ && folder == folder_) return {};
    folder_ = folder;
    TRY(parent_,
        sys::open_without_links(upper_, folder_.empty() ? "." : folder_, O_RDONLY | O_DIRECTORY));
    return {};
  }

  const Places& places_;
  int upper_;
  std::string folder_;
  sys::Fd parent_;
  std::string buffer_;
};

}  // namespace

Result<void> seal_upper(const Places& places, int entry) {
  TraceScope trace("store.seal");
  {
    TRY(sys::Fd upper, sys::open_at(entry, kTree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(MappedFile record, MappedFile::open(entry, kRecord));
    TRY(tree::RecordReader reader,
        tree::RecordReader::open(record.bytes(), tree::RecordKind::kLayer, kMaxLayerEntries));
    Sealing sealing(places, upper.get());
    InodesOnce once;
    for (;;) {
      TRY(const tree::Entry* file, reader.next());
      if (file == nullptr) break;
      if (file->type != tree::Type::kFile || file->size == 0) continue;
      if (once.first(*file))
        TRY_VOID_CTX(sealing.take(*file), "cannot seal '" + std::string(file->path) + "'");
    }
  }
  TRY_VOID(sys::remove_tree_at(entry, kTree));
  return sys::remove_tree_at(entry, kWork);
}

}  // namespace wherry::store
