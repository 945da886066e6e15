#include "archive/unpack.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <tuple>
#include <utility>

#include "archive/block_queue.h"
#include "archive/layer_rules.h"
#include "archive/layer_source.h"
#include "archive/tar_reader.h"
#include "archive/tree_writer.h"
#include "archive/worker.h"
#include "base/failpoint.h"
#include "base/scope.h"
#include "base/text.h"

namespace wherry::archive {
namespace {

// What Linux's device numbers have room for.
constexpr int64_t kMaxMajor = (1 << 12) - 1, kMaxMinor = (1 << 20) - 1;
constexpr size_t kMaxXattrName = 255;
// With their holes: each byte has to be hashed, and a header of 512 bytes can ask for any number.
constexpr uint64_t kMaxExpanded = uint64_t{16} << 30;

Error corrupt(std::string_view why) {
  return Error(ErrorKind::kCorrupt, std::string(why));
}
Error too_large(std::string_view why) {
  return Error(ErrorKind::kResourceExhausted, std::string(why));
}

Error too_many_entries(uint64_t limit) {
  return too_large("more than " + std::to_string(limit) +
                   " entries, which is the setting 'max-layer-entries'")
      .set_hint("if the archive is to be trusted, raise it in the configuration");
}

// "/a//./b/" -> "a/b". "..", which would leave the tree or depend on what a link points to, is
// refused.
Result<std::string> clean_path(std::string_view text) {
  if (text.empty()) return corrupt("an entry has no name");
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
  Unpacker(TarReader& tar, TreeSink& sink, const UnpackRules& rules)
      : tar_(tar), rules_(rules), sink_(sink) {}

  Result<void> run() {
    for (;;) {
      Result<const TarMember*> next = tar_.next();
      if (!next && !rules_.layer && entries_ == 0 && next.error().kind() == ErrorKind::kCorrupt)
        return {};  // no archive
      TRY(const TarMember* member, std::move(next));
      if (member == nullptr) break;
      if (++entries_ > rules_.max_entries) return too_many_entries(rules_.max_entries);
      Result<void> done = take(*member);
      if (!done) return fail(std::move(done), where(*member));
    }
    return sink_.finish();
  }

  uint64_t entries() const { return entries_; }
  uint64_t files_size() const { return files_size_; }
  uint64_t dropped() const { return dropped_ + sink_.xattrs_lost(); }

 private:
  std::string where(const TarMember& member) const {
    return "entry '" + shown(member.path) + "' at offset " + std::to_string(tar_.header_offset());
  }

  Result<void> take(const TarMember& member) {
    TRY_VOID(failpoint("archive.unpack.entry"));
    TRY(std::string path, clean_path(member.path));
    size_t slash = path.rfind('/');
    std::string_view name = std::string_view(path).substr(slash == path.npos ? 0 : slash + 1);
    if (rules_.layer) {
      TRY(bool ignored, is_below_mark(path));
      if (ignored) return {};
      if (name.starts_with(kWhiteout)) return take_whiteout(path, name);
    }
    TRY(Metadata metadata, metadata_of(member));
    if (member.type == '5') {
      if (path.empty() && !rules_.layer) return {};
      return sink_.directory(path, metadata);
    }
    if (member.type == '1') {
      TRY(std::string target, clean_path(member.link));
      if (path.empty() || target.empty()) return corrupt("a hard link needs two names");
      return sink_.hard_link(path, target);
    }
    if (path.empty()) return corrupt("the root must be a directory");
    return take_type(member, path, metadata);
  }

  // Whether it is AUFS's own; below another mark there is nothing.
  static Result<bool> is_below_mark(std::string_view path) {
    for (std::string_view rest = path; rest.contains('/');) {
      if (rest.starts_with(kWhiteoutMeta)) return true;
      if (rest.starts_with(kWhiteout)) return corrupt("it is below a whiteout");
      rest.remove_prefix(rest.find('/') + 1);
    }
    return false;
  }

  Result<void> take_type(const TarMember& member, const std::string& path,
                         const Metadata& metadata) {
    switch (member.type) {
      case '0':
        return take_file(member, path, metadata);
      case '2':
        if (member.link.empty()) return corrupt("the link has no target");
        if (member.link.size() > kMaxPath)
          return too_large("the link's target is longer than 4095 bytes");
        return sink_.symlink(path, member.link, metadata);
      case '3':
      case '4':
        return take_device(member, path, metadata);
      case '6':
        return sink_.node(path, S_IFIFO, 0, metadata);
      default:
        return corrupt("its type is unknown");
    }
  }

  Result<void> take_file(const TarMember& member, const std::string& path,
                         const Metadata& metadata) {
    if (member.size > kMaxFileSize) return too_large("the file is larger than 1 TiB");
    if (member.sparse && (expanded_ += member.size) > kMaxExpanded)
      return too_large("the sparse files are larger than 16 GiB in all");
    TRY_VOID(sink_.begin_file(path, member.size, member.sparse));
    bool left = !member.sparse && sink_.leave(tar_.data_offset(), member.size);
    while (!left) {
      TarReader::Block block;
      TRY(bool more, tar_.read_block(block));
      if (!more) break;
      TRY_VOID(sink_.write(block.bytes, block.offset));
    }
    files_size_ += member.size;
    return sink_.end_file(metadata);
  }

  Result<void> take_device(const TarMember& member, const std::string& path,
                           const Metadata& metadata) {
    if (member.device_major < 0 || member.device_major > kMaxMajor || member.device_minor < 0 ||
        member.device_minor > kMaxMinor)
      return corrupt("its device number is out of range");
    dev_t device = makedev(static_cast<unsigned>(member.device_major),
                           static_cast<unsigned>(member.device_minor));
    if (member.type == '3' && device == 0)
      return corrupt("a character device 0:0 is overlay's own mark for a deleted file");
    return sink_.node(path, member.type == '3' ? S_IFCHR : S_IFBLK, device, metadata);
  }

  Result<void> take_whiteout(const std::string& path, std::string_view name) {
    std::string parent =
        path.size() > name.size() ? path.substr(0, path.size() - name.size() - 1) : std::string();
    if (name == kOpaque) return sink_.opaque(parent);
    if (name.starts_with(kWhiteoutMeta)) return {};
    std::string_view hidden = name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..")
      return corrupt("a whiteout must name a file");
    return sink_.whiteout(parent.empty() ? std::string(hidden)
                                         : parent + "/" + std::string(hidden));
  }

  Result<Metadata> metadata_of(const TarMember& member) {
    Metadata metadata;
    metadata.mode = member.mode;
    // The last number means "leave alone" to chown.
    if (member.uid < 0 || member.gid < 0 || member.uid >= UINT32_MAX || member.gid >= UINT32_MAX)
      return corrupt("its owner is out of range");
    metadata.uid = static_cast<uid_t>(member.uid);
    metadata.gid = static_cast<gid_t>(member.gid);
    if (rules_.owner) std::tie(metadata.uid, metadata.gid) = *rules_.owner;
    metadata.mtime = {member.mtime_s, member.mtime_ns};
    TRY_VOID(read_xattrs(member, metadata));
    return metadata;
  }

  Result<void> read_xattrs(const TarMember& member, Metadata& metadata) {
    for (const auto& [name, value] : member.xattrs) {
      if (!is_layer_xattr(name)) {
        ++dropped_;
        continue;
      }
      if (name.contains('\0') || name.size() > kMaxXattrName)
        return corrupt("an extended attribute's name is not one");
      if (value.size() > kMaxXattrSize)
        return too_large("an extended attribute is larger than 64 KiB");
      metadata.xattrs.emplace_back(name, value);
    }
    return {};
  }

  TarReader& tar_;
  const UnpackRules& rules_;
  TreeSink& sink_;
  uint64_t entries_ = 0;
  uint64_t files_size_ = 0;
  uint64_t dropped_ = 0;
  uint64_t expanded_ = 0;
};

// The archive's way through the other thread, which may still read when this one has failed.
struct ReadAhead {
  ReadAhead(int tar, int blob, const UnpackRules& rules)
      : source(tar, blob, rules.exact, rules.part) {}
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

Unpacked summary_of(const TarReader::Summary& tar, const LayerSource::Summary& source) {
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

Result<Unpacked> unpack_into(TreeSink& sink, TarReader::Raw raw, int tar_fd, int blob,
                             Worker worker, const UnpackRules& rules) {
  auto ahead = std::make_shared<ReadAhead>(tar_fd, blob, rules);
  auto cancel = on_exit([&] { ahead->queue.cancel(); });
  worker.run([ahead] { read_ahead(*ahead); });
  TarReader tar([&] { return ahead->queue.take(); }, std::move(raw));
  Unpacker unpacker(tar, sink, rules);
  TRY_VOID(unpacker.run());
  if (!rules.layer && unpacker.entries() == 0) {
    Digest none = sys::sha256("");
    return Unpacked{.diff_id = none, .input = none, .blob = none, .archive = false};
  }
  TRY(TarReader::Summary summary, tar.finish());
  Unpacked unpacked = summary_of(summary, ahead->source.finish());
  unpacked.files_size = unpacker.files_size();
  unpacked.entries = unpacker.entries();
  unpacked.replaced = sink.replaced();
  unpacked.dropped_xattrs = unpacker.dropped();
  return unpacked;
}

Result<void> unpack_entries(TreeSink& sink, TarReader& tar, const UnpackRules& rules) {
  return Unpacker(tar, sink, rules).run();
}

Result<void> unpack_bytes(TreeSink& sink, std::string_view tar, const UnpackRules& rules) {
  TarReader reader([&]() -> Result<std::string_view> { return std::exchange(tar, {}); });
  TRY_VOID(unpack_entries(sink, reader, rules));
  TRY_VOID(reader.finish());
  return {};
}

Result<Unpacked> unpack(int tar_fd, int root, Worker worker, const UnpackRules& rules) {
  TreeWriter writer(root);
  TRY(Unpacked unpacked, unpack_into(writer, {}, tar_fd, -1, std::move(worker), rules));
  unpacked.opaque = writer.opaque_directories();
  return unpacked;
}

}  // namespace wherry::archive
