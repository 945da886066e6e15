#include "archive/outline.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "archive/decompressor.h"
#include "archive/layer_source.h"
#include "archive/tar_reader.h"
#include "archive/tree_writer.h"
#include "archive/worker.h"

namespace wherry::archive {
namespace {

class OutlineWriter : public TreeWriter {
 public:
  // `start`: of the tar in its file.
  OutlineWriter(int root, uint64_t start) : TreeWriter(root), start_(start) {}

  bool leave(uint64_t offset, uint64_t size) override {
    struct stat info{};
    if (size < kMinLeft || left_.size() == kMaxLeft || fstat(file(), &info) != 0) return false;
    left_.push_back({info.st_ino, {start_ + offset, size}});
    return true;
  }
  std::vector<LeftFile> left() && { return std::move(left_); }

 private:
  uint64_t start_;
  std::vector<LeftFile> left_;
};

Error failed() {
  return Error::from_errno(errno, "cannot read the archive");
}

// Where a plain tar begins in its file; none: it must be read as a stream.
Result<std::optional<uint64_t>> plain_start(int tar) {
  struct stat info{};
  if (fstat(tar, &info) != 0) return failed();
  off_t start = S_ISREG(info.st_mode) ? lseek(tar, 0, SEEK_CUR) : -1;
  if (start < 0) return std::optional<uint64_t>();
  Input input(tar);
  TRY(std::string_view magic, input.peek(kMagicSize));
  bool plain = encoding_of(magic) == Encoding::kPlain;
  if (lseek(tar, start, SEEK_SET) != start) return failed();
  return plain ? std::optional<uint64_t>(static_cast<uint64_t>(start)) : std::nullopt;
}

}  // namespace

Result<Outline> outline(int tar, int root, Worker worker) {
  TRY(std::optional<uint64_t> start, plain_start(tar));
  if (!start) {
    TRY(Unpacked all, unpack(tar, root, std::move(worker)));
    return Outline{.replaced = all.replaced, .left = {}};
  }
  Input input(tar);
  TarReader reader([&] { return input.next(); }, {},
                   [&](uint64_t size) -> Result<void> {
                     if (lseek(tar, static_cast<off_t>(size), SEEK_CUR) >= 0) return {};
                     return failed();
                   });
  OutlineWriter writer(root, *start);
  TRY_VOID(unpack_entries(writer, reader, {}));
  uint64_t replaced = writer.replaced();
  return Outline{.replaced = replaced, .left = std::move(writer).left()};
}

}  // namespace wherry::archive
