#include "archive/unpack.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <tuple>

#include "archive/block_queue.h"
#include "archive/layer_rules.h"
#include "archive/layer_source.h"
#include "archive/tar_stream.h"
#include "archive/tree_writer.h"
#include "archive/worker.h"
#include "base/failpoint.h"
#include "base/scope.h"
#include "base/text.h"

namespace wherry::archive {
namespace {

Error corrupt(std::string_view why) {
  return Error(ErrorKind::kCorrupt, std::string(why));
}
Error too_large(std::string_view why) {
  return Error(ErrorKind::kResourceExhausted, std::string(why));
}

// "/a//./b/" -> "a/b". "..", which would leave the tree or depend on what a link points to, is
// refused.
Result<std::string> clean_path(const char* raw) {
  if (raw == nullptr) return corrupt("an entry has no name");
  std::string_view text = raw;
  if (text.size() > kMaxPath) return too_large("the name is longer than 4095 bytes");
  std::string path;
  for (std::string_view part : split(text, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return corrupt("the name '" + shown(text) + "' has '..'");
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

class Unpacker {
 public:
  Unpacker(TarStream& tar, int root, const UnpackRules& rules)
      : tar_(tar), rules_(rules), writer_(root) {}

  Result<void> run() {
    for (;;) {
      Result<archive_entry*> next = tar_.next();
      if (!next && !rules_.layer && entries_ == 0 && next.error().kind() == ErrorKind::kCorrupt)
        return {};  // no archive
      TRY(archive_entry * entry, std::move(next));
      if (entry == nullptr) break;
      if (++entries_ > kMaxEntries) return too_large("more than 1000000 entries");
      Result<void> done = take(entry);
      if (!done) return fail(std::move(done), where(entry));
    }
    return writer_.finish();
  }

  uint64_t entries_ = 0;
  uint64_t files_size_ = 0;
  uint64_t dropped_ = 0;
  std::vector<std::string> opaque_;
  uint64_t lost() const { return writer_.xattrs_lost(); }
  uint64_t replaced() const { return writer_.replaced(); }

 private:
  std::string where(archive_entry* entry) const {
    const char* name = archive_entry_pathname(entry);
    return "entry '" + shown(name != nullptr ? name : "") + "' at offset " +
           std::to_string(tar_.header_offset());
  }

  Result<void> take(archive_entry* entry) {
    TRY_VOID(failpoint("archive.unpack.entry"));
    TRY(std::string path, clean_path(archive_entry_pathname(entry)));
    size_t slash = path.rfind('/');
    std::string_view name = std::string_view(path).substr(slash == path.npos ? 0 : slash + 1);
    if (rules_.layer && name.starts_with(kWhiteout)) return take_whiteout(path, name);
    TRY(Metadata metadata, metadata_of(entry));
    if (archive_entry_hardlink(entry) != nullptr) {
      TRY(std::string target, clean_path(archive_entry_hardlink(entry)));
      if (path.empty() || target.empty()) return corrupt("a hard link needs two names");
      return writer_.hard_link(path, target);
    }
    return take_type(entry, path, metadata);
  }

  Result<void> take_type(archive_entry* entry, const std::string& path, const Metadata& metadata) {
    mode_t type = archive_entry_filetype(entry);
    if (type == S_IFDIR && path.empty() && !rules_.layer) return {};
    if (type == S_IFDIR) return writer_.directory(path, metadata);
    if (path.empty()) return corrupt("the root must be a directory");
    switch (type) {
      case S_IFREG:
        return take_file(entry, path, metadata);
      case S_IFLNK:
        return take_symlink(entry, path, metadata);
      case S_IFCHR:
      case S_IFBLK:
        return take_device(entry, path, type, metadata);
      case S_IFIFO:
        return writer_.node(path, type, 0, metadata);
      default:
        return corrupt("its type is unknown");
    }
  }

  Result<void> take_file(archive_entry* entry, const std::string& path, const Metadata& metadata) {
    int64_t size = archive_entry_size(entry);
    if (size < 0) return corrupt("its size is negative");
    if (size > kMaxFileSize) return too_large("the file is larger than 1 TiB");
    TRY(sys::Fd file, writer_.open_file(path));
    int64_t end = 0;
    for (;;) {
      TarStream::Block block;
      TRY(bool more, tar_.read_block(block));
      if (!more) break;
      if (block.offset < end || block.offset + static_cast<int64_t>(block.size) > size)
        return corrupt("its data does not fit its size");
      TRY_VOID_CTX(write_block(file.get(), block), "cannot write '" + shown(path) + "'");
      end = block.offset + static_cast<int64_t>(block.size);
    }
    // What a sparse file ends with is a hole; a plain one has all its bytes.
    if (end != size) {
      if (archive_entry_sparse_count(entry) == 0 && end < size)
        return corrupt("its data is cut short");
      if (ftruncate(file.get(), size) != 0)
        return Error::from_errno(errno, "cannot size '" + shown(path) + "'");
    }
    files_size_ += static_cast<uint64_t>(size);
    return writer_.close_file(path, std::move(file), metadata);
  }

  static Result<void> write_block(int fd, const TarStream::Block& block) {
    size_t done = 0;
    while (done < block.size) {
      ssize_t written = pwrite(fd, block.data + done, block.size - done,
                               block.offset + static_cast<int64_t>(done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Error::from_errno(errno, "write");
      done += static_cast<size_t>(written);
    }
    return {};
  }

  Result<void> take_symlink(archive_entry* entry, const std::string& path,
                            const Metadata& metadata) {
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || *target == 0) return corrupt("the link has no target");
    if (std::string_view(target).size() > kMaxPath)
      return too_large("the link's target is longer than 4095 bytes");
    return writer_.symlink(path, target, metadata);
  }

  Result<void> take_device(archive_entry* entry, const std::string& path, mode_t type,
                           const Metadata& metadata) {
    dev_t device = makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry));
    if (type == S_IFCHR && device == 0)
      return corrupt("a character device 0:0 is overlay's own mark for a deleted file");
    return writer_.node(path, type, device, metadata);
  }

  Result<void> take_whiteout(const std::string& path, std::string_view name) {
    std::string parent =
        path.size() > name.size() ? path.substr(0, path.size() - name.size() - 1) : std::string();
    if (name == kOpaque) {
      TRY_VOID(writer_.ensure_directory(parent));
      if (std::ranges::find(opaque_, parent) == opaque_.end()) opaque_.push_back(parent);
      if (opaque_.size() > kMaxOpaque) return too_large("more than 4096 opaque directories");
      return {};
    }
    if (name.starts_with(kWhiteoutMeta)) return {};
    std::string_view hidden = name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..")
      return corrupt("a whiteout must name a file");
    return writer_.whiteout(parent.empty() ? std::string(hidden)
                                           : parent + "/" + std::string(hidden));
  }

  Result<Metadata> metadata_of(archive_entry* entry) {
    Metadata metadata;
    metadata.mode = archive_entry_perm(entry) & 07777;
    int64_t uid = archive_entry_uid(entry);
    int64_t gid = archive_entry_gid(entry);
    // The last number means "leave alone" to chown.
    if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
      return corrupt("its owner is out of range");
    metadata.uid = static_cast<uid_t>(uid);
    metadata.gid = static_cast<gid_t>(gid);
    if (rules_.owner) std::tie(metadata.uid, metadata.gid) = *rules_.owner;
    metadata.mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    if (metadata.mtime.tv_nsec < 0 || metadata.mtime.tv_nsec > 999'999'999)
      return corrupt("its time is out of range");
    TRY_VOID(read_xattrs(entry, metadata));
    return metadata;
  }

  Result<void> read_xattrs(archive_entry* entry, Metadata& metadata) {
    if (archive_entry_xattr_reset(entry) > static_cast<int>(kMaxXattrs))
      return too_large("it has more than 128 extended attributes");
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      if (name == nullptr || !is_layer_xattr(name)) {
        ++dropped_;
        continue;
      }
      if (size > kMaxXattrSize) return too_large("an extended attribute is larger than 64 KiB");
      metadata.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
    }
    return {};
  }

  TarStream& tar_;
  const UnpackRules& rules_;
  TreeWriter writer_;
};

// The archive's way through the other thread, which may still read when this one has failed.
struct ReadAhead {
  ReadAhead(int tar, int blob, bool exact) : source(tar, blob, exact) {}
  LayerSource source;
  BlockQueue queue;
};

void read_ahead(ReadAhead& ahead) {
  while (std::optional<std::span<char>> block = ahead.queue.begin_put()) {
    Result<size_t> size = ahead.source.read(*block);
    if (!size) return ahead.queue.put_end(std::move(size.error()));
    if (*size == 0) return ahead.queue.put_end({});
    ahead.queue.put(*size);
  }
}

Unpacked summary_of(const TarStream::Summary& tar, const LayerSource::Summary& source) {
  BlobWriter::Summary plain{tar.digest, tar.bytes};
  BlobWriter::Summary input = source.input.value_or(plain);
  BlobWriter::Summary blob = source.blob.value_or(plain);
  return Unpacked{.diff_id = tar.digest,
                  .tar_size = tar.bytes,
                  .input = input.digest,
                  .input_size = input.size,
                  .blob = blob.digest,
                  .blob_size = blob.size,
                  .blob_compression = source.compression};
}

}  // namespace

Result<Unpacked> unpack(int tar_fd, int root, int blob, Worker worker, const UnpackRules& rules) {
  auto ahead = std::make_shared<ReadAhead>(tar_fd, blob, rules.exact);
  auto cancel = on_exit([&] { ahead->queue.cancel(); });
  worker.run([ahead] { read_ahead(*ahead); });
  TRY(std::unique_ptr<TarStream> tar, TarStream::open([&] { return ahead->queue.take(); }));
  Unpacker unpacker(*tar, root, rules);
  TRY_VOID(unpacker.run());
  if (!rules.layer && unpacker.entries_ == 0) {
    Digest none = sys::sha256("");
    return Unpacked{.diff_id = none, .input = none, .blob = none, .archive = false};
  }
  TRY(TarStream::Summary summary, tar->finish());
  Unpacked unpacked = summary_of(summary, ahead->source.finish());
  unpacked.files_size = unpacker.files_size_;
  unpacked.entries = unpacker.entries_;
  unpacked.replaced = unpacker.replaced();
  unpacked.dropped_xattrs = unpacker.dropped_ + unpacker.lost();
  unpacked.opaque = std::move(unpacker.opaque_);
  return unpacked;
}

}  // namespace wherry::archive
