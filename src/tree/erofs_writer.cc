#include "tree/erofs_writer.h"

#include <utility>

namespace wherry::tree {

namespace {

using erofs::kBlock;
using erofs::kSlot;

constexpr size_t kBuffer = 256u << 10;

Error not_the_same() {
  return Error(ErrorKind::kInternal, "cannot write an image: the entries are not those laid out");
}

}  // namespace

ErofsWriter::ErofsWriter(const ErofsLayout& layout, ErofsSink sink)
    : layout_(layout), sink_(std::move(sink)), buffer_at_(uint64_t{erofs::kRootNid} * kSlot) {}

Result<void> ErofsWriter::add(const Entry& entry) {
  const std::string_view path = entry.path;
  while (!open_.empty() && !is_below(path, std::string_view(path_).substr(0, open_.back().path)))
    TRY_VOID(close_directory());
  if (entries_ >= layout_.nids_.size() || open_.empty() != (path.empty() && entries_ == 0))
    return not_the_same();
  const uint32_t nid = layout_.nids_[entries_++];
  if (!open_.empty()) {
    const size_t parent = open_.back().path;
    TRY_VOID(add_name(path.substr(parent == 0 ? 0 : parent + 1), nid, entry.type));
  }
  path_.assign(path);
  return entry.type == Type::kDirectory ? open_directory(entry, nid) : put_entry(entry, nid);
}

Result<void> ErofsWriter::put_entry(const Entry& entry, uint32_t nid) {
  uint32_t links = 1;
  if (entry.inode > 0) {
    if (entry.inode <= shared_) return {};
    if (++shared_ != entry.inode || entry.inode > layout_.shared_.size()) return not_the_same();
    links = layout_.shared_[entry.inode - 1].names;
  }
  erofs::Inode inode{.number = nid, .links = links};
  if (entry.type == Type::kFile && entry.size > 0) {
    inode.data = erofs::Data::kChunks;
    inode.size = entry.size;
  } else if (entry.type == Type::kSymlink) {
    inode.data = erofs::Data::kInline;
    inode.size = entry.target.size();
  }
  scratch_.clear();
  erofs::append_inode(scratch_, entry, inode);
  return put(nid, scratch_);
}

// The layout knows all of a directory's inode, but the place of others than the root is behind what
// is below it.
Result<void> ErofsWriter::open_directory(const Entry& entry, uint32_t nid) {
  if (directories_ >= layout_.directories_.size()) return not_the_same();
  const ErofsLayout::Directory& told = layout_.directories_[directories_++];
  const bool root = open_.empty();
  Open open{.path = entry.path.size(),
            .told = &told,
            .nid = nid,
            .parent_nid = root ? nid : open_.back().nid};
  const bool with_end = ErofsLayout::is_inline(told, root);
  const bool has_blocks = !with_end || told.full_blocks > 0;
  erofs::append_inode(open.inode, entry,
                      {.data = with_end ? erofs::Data::kInline : erofs::Data::kPlain,
                       .size = told.size(),
                       .number = nid,
                       .links = told.links,
                       .first_block = has_blocks ? told.first_block : 0});
  if (root) TRY_VOID(put(nid, std::exchange(open.inode, {})));
  open_.push_back(std::move(open));
  return {};
}

Result<void> ErofsWriter::add_name(std::string_view name, uint32_t nid, Type type) {
  Open& directory = open_.back();
  Result<void> done;
  directory.dots.before(name, [&](std::string_view dot, bool parent) {
    if (done)
      done = add_dirent(directory, dot, parent ? directory.parent_nid : directory.nid,
                        Type::kDirectory);
  });
  TRY_VOID(std::move(done));
  return add_dirent(directory, name, nid, type);
}

Result<void> ErofsWriter::add_dirent(Open& directory, std::string_view name, uint32_t nid,
                                     Type type) {
  if (!directory.size.add(name.size())) {
    if (directory.blocks >= directory.told->full_blocks) return not_the_same();
    std::string block = directory.block.take();
    block.resize(kBlock);
    const uint64_t number = uint64_t{directory.told->first_block} + directory.blocks++;
    TRY_VOID(sink_(number * kBlock, block));
  }
  directory.block.add(name, nid, erofs::dirent_type(type));
  return {};
}

Result<void> ErofsWriter::close_directory() {
  Open open = std::move(open_.back());
  open_.pop_back();
  Result<void> done;
  open.dots.rest([&](std::string_view dot, bool parent) {
    if (done) done = add_dirent(open, dot, parent ? open.parent_nid : open.nid, Type::kDirectory);
  });
  TRY_VOID(std::move(done));
  const ErofsLayout::Directory& told = *open.told;
  if (open.blocks != told.full_blocks || open.size.used() != told.used) return not_the_same();
  std::string last = open.block.take();
  const bool root = open_.empty();
  if (ErofsLayout::is_inline(told, root)) return put(open.nid, open.inode + last);
  last.resize(kBlock);
  TRY_VOID(sink_((uint64_t{told.first_block} + told.full_blocks) * kBlock, last));
  return root ? Result<void>() : put(open.nid, open.inode);
}

// Inodes come in the order of their places; between them is at most what kept an end in one block.
Result<void> ErofsWriter::put(uint32_t nid, std::string_view bytes) {
  const uint64_t at = buffer_at_ + buffer_.size();
  const uint64_t place = nid * kSlot;
  if (place < at || place - at > kBlock + kSlot) return not_the_same();
  buffer_.append(place - at, '\0');
  buffer_.append(bytes);
  return buffer_.size() >= kBuffer ? flush() : Result<void>();
}

Result<void> ErofsWriter::flush() {
  TRY_VOID(sink_(buffer_at_, buffer_));
  buffer_at_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<void> ErofsWriter::finish() {
  while (!open_.empty()) TRY_VOID(close_directory());
  if (entries_ != layout_.nids_.size()) return not_the_same();
  const uint64_t end = buffer_at_ + buffer_.size();
  buffer_.append((kBlock - end % kBlock) % kBlock, '\0');
  TRY_VOID(flush());
  return sink_(0, erofs::superblock({.inodes = layout_.inodes_, .blocks = layout_.blocks_}));
}

Result<uint64_t> write_erofs(const std::function<Result<Entries>()>& open, const ErofsSink& sink) {
  ErofsLayout layout;
  TRY(Entries first, open());
  while (true) {
    TRY(const Entry* entry, first());
    if (entry == nullptr) break;
    TRY_VOID(layout.add(*entry));
  }
  TRY_VOID(layout.finish());
  ErofsWriter writer(layout, sink);
  TRY(Entries second, open());
  while (true) {
    TRY(const Entry* entry, second());
    if (entry == nullptr) break;
    TRY_VOID(writer.add(*entry));
  }
  TRY_VOID(writer.finish());
  return layout.image_size();
}

}  // namespace wherry::tree
