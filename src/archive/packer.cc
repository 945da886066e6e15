// pack(): the tree in order, each entry described and its bytes read once.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "archive/layer_rules.h"
#include "archive/layer_seal.h"
#include "archive/pack.h"
#include "archive/tar_header.h"
#include "archive/tar_sink.h"
#include "archive/tree_writer.h"
#include "archive/unpack.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "sys/file.h"

namespace wherry::archive {
namespace {

constexpr size_t kReadSize = 256u << 10;
// What the kernel allows for one file's list of attributes.
constexpr size_t kMaxXattrList = 64u << 10;

Error cannot_pack(const std::string& path, std::string_view why) {
  return Error(ErrorKind::kUnsupported, "cannot pack '" + shown(path) + "': " + std::string(why));
}
Error failed(const std::string& path) {
  return Error::from_errno(errno, "cannot pack '" + shown(path) + "'");
}
Error changed(const std::string& path) {
  return Error(ErrorKind::kConflict,
               "cannot pack '" + shown(path) + "': it changed while it was read");
}

std::string joined(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : parent + "/" + std::string(name);
}

class Packer {
 public:
  Packer(int root, const OpaqueDirectories& opaque, uint64_t max_entries, TarSink& sink,
         LayerSeal& seal)
      : root_(root),
        opaque_(opaque),
        max_entries_(max_entries),
        sink_(sink),
        seal_(seal),
        buffer_(kReadSize, '\0') {}

  Result<void> run() {
    // The root has an entry only if there is something to say of it.
    TarEntry root{.path = "", .type = '5', .mode = 0755};
    if (opaque_.contains("")) TRY_VOID(seal_.entry(root, 0, true));
    TRY_VOID(enter(""));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.names.size()) {
        levels_.pop_back();
        continue;
      }
      std::string name = level.names[level.next++];
      std::string path = joined(level.path, name);
      if (path.size() > kMaxPath)
        return Error(ErrorKind::kResourceExhausted,
                     "cannot pack '" + shown(path) + "': the name is longer than 4095 bytes");
      TRY_VOID(return_to(level.path));
      TRY_VOID(take(name, path));
    }
    return write_zeros(2 * kTarBlock);
  }

  uint64_t entries() const { return entries_; }
  uint64_t files_size() const { return files_size_; }

 private:
  // A directory on the way down. Descriptors of all would be too many: directory_ is of the
  // deepest that was used.
  struct Level {
    std::string path;
    std::vector<std::string> names;
    size_t next = 0;
  };

  Result<void> return_to(const std::string& path) {
    if (directory_ && directory_path_ == path) return {};
    TRY_CTX(
        directory_,
        sys::open_beneath(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
        "cannot pack '" + shown(path) + "'");
    directory_path_ = path;
    return {};
  }

  // The directory's mark, and its names for run().
  Result<void> enter(const std::string& path) {
    TRY_VOID(return_to(path));
    if (opaque_.contains(path)) TRY_VOID(put({.path = joined(path, kOpaque)}));
    TRY_CTX(std::vector<std::string> names, sys::list_dir(directory_.get()),
            "cannot pack '" + shown(path) + "'");
    levels_.push_back({path, std::move(names), 0});
    return {};
  }

  Result<void> take(const std::string& name, const std::string& path) {
    TRY_VOID(failpoint("archive.pack.entry"));
    struct stat info{};
    if (fstatat(directory_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return failed(path);
    if (S_ISSOCK(info.st_mode)) return {};
    if (name.starts_with(kWhiteout))
      return cannot_pack(path, "in a layer, names that begin with '.wh.' mean deleted files")
          .set_hint("rename the file");
    if (S_ISCHR(info.st_mode) && info.st_rdev == 0) {
      TRY_VOID(seal_.whiteout(path));
      return put({.path = joined(directory_path_, std::string(kWhiteout) + name)});
    }
    TarEntry entry{.path = path,
                   .mode = info.st_mode & 07777,
                   .uid = info.st_uid,
                   .gid = info.st_gid,
                   .mtime = info.st_mtim};
    if (S_ISDIR(info.st_mode)) return take_directory(name, entry);
    uint32_t inode = 0;
    if (info.st_nlink > 1) {
      auto next = static_cast<uint32_t>(links_.size() + 1);
      auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path, next);
      inode = first->second.second;
      if (!is_new) {
        entry.type = '1';
        entry.link = first->second.first;
        TRY_VOID(put(entry));
        return seal_.entry(entry, inode, false);
      }
    }
    TRY_VOID(S_ISREG(info.st_mode) ? take_file(name, entry, info)
                                   : take_special(name, entry, info));
    TRY_VOID(seal_.entry(entry, inode, false));
    return write_zeros(tar_padding(entry.size));
  }

  Result<void> take_directory(const std::string& name, TarEntry& entry) {
    std::string path = entry.path;
    TRY_CTX(sys::Fd fd, sys::open_at(directory_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            "cannot pack '" + shown(path) + "'");
    TRY_VOID(read_xattrs(fd.get(), entry));
    entry.type = '5';
    entry.path += '/';
    TRY_VOID(put(entry));
    TRY_VOID(seal_.entry(entry, 0, opaque_.contains(path)));
    directory_ = std::move(fd);
    directory_path_ = path;
    return enter(path);
  }

  Result<void> take_special(const std::string& name, TarEntry& entry, const struct stat& info) {
    switch (info.st_mode & S_IFMT) {
      case S_IFLNK: {
        std::string target(kMaxPath + 1, '\0');
        ssize_t size = readlinkat(directory_.get(), name.c_str(), target.data(), target.size());
        if (size < 0) return failed(entry.path);
        target.resize(static_cast<size_t>(size));
        entry.type = '2';
        entry.link = std::move(target);
        break;
      }
      case S_IFIFO:
        entry.type = '6';
        break;
      default:
        entry.type = S_ISCHR(info.st_mode) ? '3' : '4';
        entry.major = major(info.st_rdev);
        entry.minor = minor(info.st_rdev);
    }
    return put(entry);
  }

  Result<void> take_file(const std::string& name, TarEntry& entry, const struct stat& info) {
    // Without O_NONBLOCK a fifo that took its place would hang us.
    TRY_CTX(sys::Fd fd, sys::open_at(directory_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            "cannot pack '" + shown(entry.path) + "'");
    struct stat opened{};
    if (fstat(fd.get(), &opened) != 0) return failed(entry.path);
    if (opened.st_ino != info.st_ino || !S_ISREG(opened.st_mode) || opened.st_size != info.st_size)
      return changed(entry.path);
    TRY_VOID(read_xattrs(fd.get(), entry));
    entry.size = static_cast<uint64_t>(info.st_size);
    files_size_ += entry.size;
    TRY_VOID(put(entry));
    return copy(fd.get(), entry);
  }

  Result<void> copy(int fd, const TarEntry& entry) {
    uint64_t left = entry.size;
    while (left > 0) {
      ssize_t got = read(fd, buffer_.data(), std::min<uint64_t>(left, buffer_.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed(entry.path);
      if (got == 0) return changed(entry.path);
      std::string_view bytes(buffer_.data(), static_cast<size_t>(got));
      seal_.content(bytes);
      TRY_VOID(sink_.write(bytes));
      left -= static_cast<uint64_t>(got);
    }
    TRY_VOID(failpoint("archive.pack.copied"));
    struct stat info{};
    if (fstat(fd, &info) != 0) return failed(entry.path);
    if (static_cast<uint64_t>(info.st_size) != entry.size) return changed(entry.path);
    return {};
  }

  Result<void> read_xattrs(int fd, TarEntry& entry) {
    char list[kMaxXattrList];
    ssize_t size = flistxattr(fd, list, sizeof list);
    if (size < 0 && errno == EOPNOTSUPP) return {};
    if (size < 0) return failed(entry.path);
    std::string_view names(list, static_cast<size_t>(size));
    for (std::string_view name : split(names, '\0')) {
      if (!is_layer_xattr(name)) continue;
      std::string value(kMaxXattrSize, '\0');
      ssize_t length = fgetxattr(fd, std::string(name).c_str(), value.data(), value.size());
      if (length < 0) return failed(entry.path);
      value.resize(static_cast<size_t>(length));
      entry.xattrs.emplace_back(name, std::move(value));
    }
    if (entry.xattrs.size() > kMaxXattrs)
      return Error(ErrorKind::kResourceExhausted,
                   "cannot pack '" + shown(entry.path) + "': it has more than 128 attributes");
    std::ranges::sort(entry.xattrs);
    return {};
  }

  Result<void> put(const TarEntry& entry) {
    if (++entries_ > max_entries_) return too_many_entries(max_entries_).wrap("cannot pack");
    TRY_CTX(std::string header, tar_header(entry), "cannot pack '" + shown(entry.path) + "'");
    TRY_VOID(seal_.raw(header));
    return sink_.write(header);
  }

  Result<void> write_zeros(size_t count) {
    static constexpr char kZeros[2 * kTarBlock] = {};
    std::string_view zeros(kZeros, count);
    TRY_VOID(seal_.raw(zeros));
    return sink_.write(zeros);
  }

  int root_;
  const OpaqueDirectories& opaque_;
  uint64_t max_entries_;
  TarSink& sink_;
  LayerSeal& seal_;
  std::string buffer_;
  std::vector<Level> levels_;
  sys::Fd directory_;
  std::string directory_path_;
  // The first name of an inode with several, and the inode's number.
  std::map<std::pair<dev_t, ino_t>, std::pair<std::string, uint32_t>> links_;
  uint64_t entries_ = 0;
  uint64_t files_size_ = 0;
};

}  // namespace

Result<Packed> pack(int root, const OpaqueDirectories& opaque, const PackOutput& output,
                    Worker worker) {
  TRY(std::unique_ptr<LayerSeal> seal, LayerSeal::open(output.record, output.recipe));
  TarSink sink(output.compression, output.blob, std::move(worker));
  Packer packer(root, opaque, output.max_entries, sink, *seal);
  TRY_VOID(packer.run());
  TRY(TarSink::Summary summary, sink.finish());
  Packed packed{.diff_id = summary.tar.digest,
                .tar_size = summary.tar.size,
                .files_size = packer.files_size(),
                .entries = packer.entries(),
                .blob = summary.blob.digest,
                .blob_size = summary.blob.size,
                .record = {}};
  TRY(std::optional<tree::RecordWriter::Summary> record, seal->finish(packed.diff_id));
  if (!record) return packed;
  packed.record = record->digest;
  packed.record_entries = record->entries;
  return packed;
}

}  // namespace wherry::archive
