#include "archive/layer_seal.h"

#include <cerrno>
#include <utility>

namespace wherry::archive {
namespace {

Result<std::unique_ptr<OutputFile>> output(int fd) {
  sys::Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return Error::from_errno(errno, "cannot keep the layer's record open");
  return std::make_unique<OutputFile>(std::move(copy));
}

tree::Type type_of(char type) {
  switch (type) {
    case '2':
      return tree::Type::kSymlink;
    case '3':
      return tree::Type::kCharDevice;
    case '4':
      return tree::Type::kBlockDevice;
    case '5':
      return tree::Type::kDirectory;
    case '6':
      return tree::Type::kFifo;
    default:
      return tree::Type::kFile;
  }
}

}  // namespace

Result<std::unique_ptr<LayerSeal>> LayerSeal::open(int record, int recipe) {
  std::unique_ptr<LayerSeal> seal(new LayerSeal);
  if (record < 0) return seal;
  TRY(seal->record_file_, output(record));
  TRY(seal->recipe_file_, output(recipe));
  auto into = [](OutputFile* file) {
    return [file](std::string_view bytes) { return file->write(bytes); };
  };
  seal->record_ = std::make_unique<tree::RecordWriter>(tree::RecordKind::kLayer,
                                                       into(seal->record_file_.get()));
  TRY(seal->recipe_, RecipeWriter::open(into(seal->recipe_file_.get())));
  return seal;
}

Result<void> LayerSeal::raw(std::string_view bytes) {
  return recipe_ ? recipe_->raw(bytes) : Result<void>();
}

void LayerSeal::content(std::string_view bytes) {
  if (!record_) return;
  hash_.update(bytes);
}

// The content that was given, as an object of the recipe.
Result<tree::ObjectId> LayerSeal::end_content(uint64_t size) {
  tree::ObjectId id{};
  if (size == 0) return id;
  id = std::exchange(hash_, sys::Sha256()).finish_bytes();
  SparseRun whole{0, size};
  TRY_VOID(recipe_->object(id, std::span(&whole, 1)));
  return id;
}

Result<void> LayerSeal::entry(const TarEntry& from, uint32_t inode, bool opaque) {
  if (!record_) return {};
  std::string_view path = from.path;
  if (path.ends_with('/')) path.remove_suffix(1);
  if (inode != 0 && inode <= shared_.size()) {
    const Shared& first = shared_[inode - 1];
    return add(first.entry, first.object, inode, false, path);
  }
  TRY(tree::ObjectId object, end_content(from.type == '0' ? from.size : 0));
  if (inode != 0) shared_.push_back({from, object});
  return add(from, object, inode, opaque, path);
}

Result<void> LayerSeal::add(const TarEntry& from, const tree::ObjectId& object, uint32_t inode,
                            bool opaque, std::string_view path) {
  tree::Entry entry{.path = path,
                    .type = type_of(from.type),
                    .opaque = opaque,
                    // A link's own mode is never looked at.
                    .mode = static_cast<uint16_t>(from.type == '2' ? 0777 : from.mode & 07777),
                    .uid = from.uid,
                    .gid = from.gid,
                    .mtime_s = from.mtime.tv_sec,
                    .inode = inode,
                    .size = from.type == '0' ? from.size : 0,
                    .object = object,
                    .target = from.type == '2' ? std::string_view(from.link) : "",
                    .device_major = from.major,
                    .device_minor = from.minor};
  // As the tar, which has whole seconds only before 1970.
  if (from.mtime.tv_sec >= 0) entry.mtime_ns = static_cast<uint32_t>(from.mtime.tv_nsec);
  for (const auto& [name, value] : from.xattrs)
    if (tree::is_xattr_kept(entry.type, name)) entry.xattrs.push_back({name, value});
  return record_->add(entry);
}

Result<void> LayerSeal::whiteout(std::string_view path) {
  if (!record_) return {};
  return record_->add({.path = path, .type = tree::Type::kWhiteout});
}

Result<std::optional<tree::RecordWriter::Summary>> LayerSeal::finish(const Digest& diff_id) {
  if (!record_) return std::optional<tree::RecordWriter::Summary>();
  TRY_VOID(recipe_->finish(diff_id));
  TRY(tree::RecordWriter::Summary summary, record_->finish());
  TRY_VOID(recipe_file_->flush());
  TRY_VOID(record_file_->flush());
  return std::optional(summary);
}

}  // namespace wherry::archive
