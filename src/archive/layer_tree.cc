#include "archive/layer_tree.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "archive/keyed_hash.h"
#include "archive/unpack.h"

namespace wherry::archive {
namespace {

using tree::Type;

constexpr unsigned kFirstTableBits = 10;
constexpr int kMaxLinks = 40;  // as the kernel
// Components of targets, in all: each entry may lead through 40 links of 4095 bytes.
constexpr uint64_t kMaxSteps = uint64_t{256} << 20;

Error too_large(std::string_view why) {
  return Error(ErrorKind::kResourceExhausted, std::string(why));
}
Error cannot_enter(int errnum, std::string_view path) {
  return Error::from_errno(errnum, "cannot enter '" + shown(path) + "'");
}

// What setxattr(2) would refuse: vfs_cap_data of revision 2 or 3.
bool is_capability(std::string_view value) {
  if (value.size() < 4) return false;
  const auto revision = static_cast<uint8_t>(value[3]);
  return (revision == 2 && value.size() == 20) || (revision == 3 && value.size() == 24);
}

}  // namespace

struct LayerTree::Inode {
  int64_t mtime_s;
  uint32_t mtime_ns;
  uint32_t uid;
  uint32_t gid;
  uint16_t mode;
  Type type;
  bool opaque;
  uint32_t names;
  uint32_t number;  // in the record, of one with several names
  Ref xattrs;       // Xattrs one after the other
  uint32_t xattr_count;
  union {
    struct {
      uint64_t size;
      uint8_t object[32];
    } file;
    struct {
      Ref parent;
      Ref first;  // of its names
      uint32_t path_size;
    } directory;
    struct {
      Ref text;
      uint32_t size;
    } link;
    struct {
      uint32_t major, minor;
    } device;
  };
};

struct LayerTree::Name {
  uint64_t hash;
  Ref parent;
  Ref inode;
  Ref next_in_bucket;
  Ref previous, next;  // in its directory
  uint16_t size;
  bool hides;
  char text[];
};

namespace {

struct StoredXattr {
  uint32_t name_size;
  uint32_t value_size;
  char bytes[];
};

}  // namespace

LayerTree::Inode& LayerTree::inode(Ref ref) const {
  return *arena_->at<Inode>(ref);
}
LayerTree::Name& LayerTree::name(Ref ref) const {
  return *arena_->at<Name>(ref);
}
std::string_view LayerTree::text(Ref ref) const {
  const Name& found = name(ref);
  return {found.text, found.size};
}

Result<std::unique_ptr<LayerTree>> LayerTree::open(int directory, uint64_t max_entries) {
  TRY(std::unique_ptr<Arena> arena, Arena::open(directory));
  std::unique_ptr<LayerTree> tree(new LayerTree(std::move(arena), max_entries));
  TRY_VOID(tree->begin());
  return tree;
}

Result<void> LayerTree::begin() {
  if (getrandom(key_, sizeof key_, 0) != sizeof key_)
    return Error::from_errno(errno, "cannot get random bytes");
  table_bits_ = kFirstTableBits;
  TRY(table_, arena_->allocate(sizeof(Ref) << table_bits_));
  TRY(root_, make_inode(Type::kDirectory));
  inode(root_).directory.parent = root_;
  return {};
}

// --- names in directories

uint64_t LayerTree::hash_of(Ref directory, std::string_view text) const {
  return KeyedHash(key_, directory).of(text);
}

LayerTree::Ref& LayerTree::bucket(uint64_t hash) const {
  return arena_->at<Ref>(table_)[hash >> (64 - table_bits_)];
}

LayerTree::Ref LayerTree::find(Ref directory, std::string_view wanted) const {
  uint64_t hash = hash_of(directory, wanted);
  Ref ref = bucket(hash);
  for (; ref != 0; ref = name(ref).next_in_bucket) {
    const Name& found = name(ref);
    if (found.hash == hash && found.parent == directory && text(ref) == wanted) break;
  }
  return ref;
}

Result<void> LayerTree::grow_table() {
  Ref old = table_;
  size_t old_size = size_t{1} << table_bits_;
  TRY(table_, arena_->allocate(sizeof(Ref) << (table_bits_ + 1)));
  ++table_bits_;
  for (size_t i = 0; i < old_size; ++i) {
    for (Ref ref = arena_->at<Ref>(old)[i]; ref != 0;) {
      Ref next = name(ref).next_in_bucket;
      Ref& head = bucket(name(ref).hash);
      name(ref).next_in_bucket = head;
      head = ref;
      ref = next;
    }
  }
  return {};
}

Result<void> LayerTree::insert(const Place& place, Ref child) {
  if (place.name.size() > tree::kMaxName) return too_large("a name is longer than 255 bytes");
  const Inode& parent = inode(place.parent);
  size_t path_size =
      parent.directory.path_size + (place.parent == root_ ? 0 : 1) + place.name.size();
  if (path_size > tree::kMaxPath) return too_large("the name is longer than 4095 bytes");
  if (++names_made_ > max_entries_)
    return too_large("more than " + std::to_string(max_entries_) +
                     " names, which is the setting 'max-layer-entries'");
  if (names_ >> table_bits_ != 0) TRY_VOID(grow_table());
  TRY(Ref ref, arena_->allocate(sizeof(Name) + place.name.size()));
  Name& made = name(ref);
  made.hash = hash_of(place.parent, place.name);
  made.parent = place.parent;
  made.inode = child;
  made.size = static_cast<uint16_t>(place.name.size());
  made.hides = place.hides;
  memcpy(made.text, place.name.data(), place.name.size());
  Ref& head = bucket(made.hash);
  made.next_in_bucket = std::exchange(head, ref);
  made.next = std::exchange(inode(place.parent).directory.first, ref);
  if (made.next != 0) name(made.next).previous = ref;
  ++names_;
  ++inode(child).names;
  if (inode(child).type == Type::kDirectory) {
    inode(child).directory.parent = place.parent;
    inode(child).directory.path_size = static_cast<uint32_t>(path_size);
  }
  return {};
}

void LayerTree::unhash(Ref ref) {
  Ref* at = &bucket(name(ref).hash);
  while (*at != ref) at = &name(*at).next_in_bucket;
  *at = name(ref).next_in_bucket;
  --names_;
}

void LayerTree::unlist(Ref ref) {
  const Name& gone = name(ref);
  if (gone.next != 0) name(gone.next).previous = gone.previous;
  if (gone.previous != 0) {
    name(gone.previous).next = gone.next;
  } else {
    inode(gone.parent).directory.first = gone.next;
  }
}

// With all that is below it.
void LayerTree::remove(Ref top) {
  unlist(top);
  std::vector<Ref> left{top};
  while (!left.empty()) {
    Ref ref = left.back();
    left.pop_back();
    Ref gone_ref = name(ref).inode;
    Inode& gone = inode(gone_ref);
    unhash(ref);
    --gone.names;
    if (gone.type == Type::kDirectory || gone.type == Type::kSymlink) cached_parent_ = 0;
    if (gone.type == Type::kDirectory) {
      for (Ref child = gone.directory.first; child != 0; child = name(child).next)
        left.push_back(child);
    }
    if (gone.type == Type::kFile && gone.names == 0 && gone.file.size > 0)
      dead_.push_back(gone_ref);
  }
}

// --- paths

// What a target leads to from `directory`, which must be a directory.
Result<LayerTree::Ref> LayerTree::follow(Ref directory, std::string_view target, int& links) {
  // What is still to be walked, the innermost target last. Texts in the arena never move.
  std::vector<std::string_view> left{target};
  if (target.starts_with('/')) directory = root_;
  while (!left.empty()) {
    std::string_view& rest = left.back();
    rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
    if (rest.empty()) {
      left.pop_back();
      continue;
    }
    std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    if (++steps_ > kMaxSteps) return too_large("its symlinks lead through too many names");
    if (part == ".") continue;
    if (part == "..") {
      directory = inode(directory).directory.parent;
      continue;
    }
    Ref found = find(directory, part);
    if (found == 0) return Error::from_errno(ENOENT, "follow");
    Ref child = name(found).inode;
    const Inode& what = inode(child);
    if (what.type == Type::kDirectory) {
      directory = child;
      continue;
    }
    if (what.type == Type::kWhiteout) return Error::from_errno(ENOENT, "follow");
    if (what.type != Type::kSymlink) return Error::from_errno(ENOTDIR, "follow");
    if (++links > kMaxLinks) return Error::from_errno(ELOOP, "follow");
    left.push_back(arena_->bytes(what.link.text, what.link.size));
    if (left.back().starts_with('/')) directory = root_;
  }
  return directory;
}

// The directory that the name stands for.
Result<LayerTree::Ref> LayerTree::enter(Ref directory, std::string_view part, bool make,
                                        int& links) {
  Place place{directory, part, false};
  if (Ref found = find(directory, part); found != 0) {
    Ref child = name(found).inode;
    switch (inode(child).type) {
      case Type::kDirectory:
        return child;
      case Type::kSymlink:
        if (++links > kMaxLinks) return Error::from_errno(ELOOP, "follow");
        return follow(directory, arena_->bytes(inode(child).link.text, inode(child).link.size),
                      links);
      case Type::kWhiteout:
        break;
      default:
        return Error::from_errno(ENOTDIR, "enter");
    }
    if (!make) return Error::from_errno(ENOENT, "enter");
    remove(found);
    place.hides = true;
  }
  if (!make) return Error::from_errno(ENOENT, "enter");
  return make_directory(place);
}

Result<LayerTree::Ref> LayerTree::walk(std::string_view path, bool make) {
  Ref directory = root_;
  int links = 0;
  for (std::string_view rest = path; !rest.empty();) {
    size_t slash = std::min(rest.find('/'), rest.size());
    Result<Ref> entered = enter(directory, rest.substr(0, slash), make, links);
    if (!entered) {
      if (entered.error().errnum() == 0) return entered;
      return cannot_enter(entered.error().errnum(),
                          path.substr(0, path.size() - rest.size() + slash));
    }
    directory = *entered;
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  return directory;
}

Result<LayerTree::Ref> LayerTree::parent_of(std::string_view path, bool make) {
  size_t slash = path.rfind('/');
  std::string_view parent = path.substr(0, slash == path.npos ? 0 : slash);
  // Archives list a directory's files in a row.
  if (cached_parent_ != 0 && parent == cached_path_) return cached_parent_;
  TRY(Ref found, walk(parent, make));
  cached_path_ = parent;
  cached_parent_ = found;
  return found;
}

Result<LayerTree::Place> LayerTree::place_of(std::string_view path) {
  TRY(Ref parent, parent_of(path, true));
  return Place{parent, path.substr(path.rfind('/') + 1), false};
}

// As place_of, with nothing left at the name.
Result<LayerTree::Place> LayerTree::vacate(std::string_view path) {
  TRY(Place place, place_of(path));
  Ref found = find(place.parent, place.name);
  if (found == 0) return place;
  place.hides = name(found).hides;
  if (inode(name(found).inode).type != Type::kWhiteout) ++replaced_;
  remove(found);
  return place;
}

// --- entries

Result<LayerTree::Ref> LayerTree::make_inode(Type type) {
  TRY(Ref ref, arena_->allocate(sizeof(Inode)));
  inode(ref).type = type;
  inode(ref).mode = 0755;
  return ref;
}

Result<LayerTree::Ref> LayerTree::make_directory(const Place& place) {
  TRY(Ref made, make_inode(Type::kDirectory));
  TRY_VOID(insert(place, made));
  return made;
}

Result<void> LayerTree::set_metadata(Ref ref, const Metadata& metadata) {
  Inode& set = inode(ref);
  // A link's own mode is never looked at, and Linux shows one.
  set.mode = set.type == Type::kSymlink ? 0777 : static_cast<uint16_t>(metadata.mode & 07777);
  set.uid = metadata.uid;
  set.gid = metadata.gid;
  set.mtime_s = metadata.mtime.tv_sec;
  set.mtime_ns = static_cast<uint32_t>(metadata.mtime.tv_nsec);
  return set_xattrs(ref, metadata);
}

Result<void> LayerTree::set_xattrs(Ref ref, const Metadata& metadata) {
  std::vector<const std::pair<std::string, std::string>*> kept;
  size_t size = 0, total = 0;
  for (const auto& xattr : metadata.xattrs) {
    const auto& [name, value] = xattr;
    if (!tree::is_xattr_kept(inode(ref).type, name)) {
      ++xattrs_lost_;
      continue;
    }
    if (name == "security.capability" && !is_capability(value))
      return Error(ErrorKind::kCorrupt, "its 'security.capability' is damaged");
    if (value.size() > tree::kMaxXattrBytes)
      return too_large("an extended attribute is larger than 64 KiB");
    total += name.size() + value.size();
    size += (sizeof(StoredXattr) + name.size() + value.size() + 7) / 8 * 8;
    kept.push_back(&xattr);
  }
  if (total > tree::kMaxXattrsBytes)
    return too_large("its extended attributes are larger than 128 KiB");
  inode(ref).xattr_count = static_cast<uint32_t>(kept.size());
  if (kept.empty()) return {};
  std::ranges::sort(kept, {}, [](const auto* xattr) -> const std::string& { return xattr->first; });
  TRY(Ref stored, arena_->allocate(size));
  inode(ref).xattrs = stored;
  for (const auto* xattr : kept) {
    auto* at = arena_->at<StoredXattr>(stored);
    at->name_size = static_cast<uint32_t>(xattr->first.size());
    at->value_size = static_cast<uint32_t>(xattr->second.size());
    memcpy(at->bytes, xattr->first.data(), at->name_size);
    memcpy(at->bytes + at->name_size, xattr->second.data(), at->value_size);
    stored += static_cast<Ref>((sizeof(StoredXattr) + at->name_size + at->value_size + 7) / 8);
  }
  return {};
}

Result<void> LayerTree::directory(std::string_view path, const Metadata& metadata) {
  if (path.empty()) {
    root_said_ = true;
    return set_metadata(root_, metadata);
  }
  TRY(Place place, place_of(path));
  Ref found = find(place.parent, place.name);
  if (found != 0 && inode(name(found).inode).type == Type::kDirectory)
    return set_metadata(name(found).inode, metadata);
  if (found != 0) {
    place.hides = name(found).hides;
    remove(found);
  }
  TRY(Ref made, make_directory(place));
  return set_metadata(made, metadata);
}

Result<void> LayerTree::file(std::string_view path, const Metadata& metadata, uint64_t size,
                             const tree::ObjectId& object) {
  TRY(Ref made, make_inode(Type::kFile));
  inode(made).file.size = size;
  memcpy(inode(made).file.object, object.data(), object.size());
  TRY_VOID(set_metadata(made, metadata));
  TRY(Place place, vacate(path));
  return insert(place, made);
}

Result<void> LayerTree::symlink(std::string_view path, std::string_view target,
                                const Metadata& metadata) {
  TRY(Ref made, make_inode(Type::kSymlink));
  TRY(Ref text, arena_->copy(target));
  inode(made).link = {text, static_cast<uint32_t>(target.size())};
  TRY_VOID(set_metadata(made, metadata));
  TRY(Place place, vacate(path));
  return insert(place, made);
}

Result<void> LayerTree::node(std::string_view path, Type type, uint32_t major, uint32_t minor,
                             const Metadata& metadata) {
  TRY(Ref made, make_inode(type));
  inode(made).device = {major, minor};
  TRY_VOID(set_metadata(made, metadata));
  TRY(Place place, vacate(path));
  return insert(place, made);
}

Result<void> LayerTree::hard_link(std::string_view path, std::string_view target) {
  std::string context = "cannot link '" + shown(path) + "' to '" + shown(target) + "'";
  TRY_CTX(Ref parent, parent_of(target, false), context);
  Ref found = find(parent, target.substr(target.rfind('/') + 1));
  if (found == 0 || inode(name(found).inode).type == Type::kWhiteout)
    return Error::from_errno(ENOENT, context);
  Ref linked = name(found).inode;
  if (inode(linked).type == Type::kDirectory)
    return Error(ErrorKind::kCorrupt, context + ": the target is a directory");
  TRY(Place place, place_of(path));
  Ref old = find(place.parent, place.name);
  // The same name, perhaps through a symlink.
  if (old == found) return {};
  ++inode(linked).names;
  TRY(place, vacate(path));
  bool gone = --inode(linked).names == 0;
  // It was below what the link takes the place of.
  if (gone) return Error::from_errno(ENOENT, context);
  return insert(place, linked);
}

Result<void> LayerTree::whiteout(std::string_view path) {
  TRY(Place place, place_of(path));
  if (Ref found = find(place.parent, place.name); found != 0) {
    name(found).hides = true;
    return {};
  }
  place.hides = true;
  TRY(Ref made, make_inode(Type::kWhiteout));
  return insert(place, made);
}

Result<void> LayerTree::opaque(std::string_view path) {
  TRY(Ref directory, walk(path, true));
  inode(directory).opaque = true;
  return {};
}

// --- the record

// The names of a directory on the way down, sorted.
struct LayerTree::Level {
  std::vector<Ref> names;
  size_t next = 0;
  size_t path_size = 0;
};

LayerTree::Level LayerTree::level_of(Ref directory, size_t path_size) const {
  Level level{.names = {}, .path_size = path_size};
  for (Ref ref = inode(directory).directory.first; ref != 0; ref = name(ref).next)
    level.names.push_back(ref);
  std::ranges::sort(level.names, {}, [this](Ref ref) { return text(ref); });
  return level;
}

Result<void> LayerTree::write(tree::RecordWriter& writer) {
  auto object_of = [this](Ref ref) { return inode(ref).file.object; };
  std::ranges::sort(dead_,
                    [&](Ref a, Ref b) { return memcmp(object_of(a), object_of(b), 32) < 0; });
  alive_.assign(dead_.size(), false);
  if (root_said_ || inode(root_).opaque) TRY_VOID(emit(root_, "", inode(root_).opaque, writer));
  std::string path;
  std::vector<Level> levels;
  levels.push_back(level_of(root_, 0));
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.names.size()) {
      levels.pop_back();
      continue;
    }
    Ref ref = level.names[level.next++];
    path.resize(level.path_size);
    if (!path.empty()) path += '/';
    path += text(ref);
    Ref child = name(ref).inode;
    bool directory = inode(child).type == Type::kDirectory;
    TRY_VOID(emit(child, path, directory && (inode(child).opaque || name(ref).hides), writer));
    if (directory) levels.push_back(level_of(child, path.size()));
  }
  return {};
}

Result<void> LayerTree::emit(Ref ref, std::string_view path, bool opaque,
                             tree::RecordWriter& writer) {
  Inode& from = inode(ref);
  if (from.names > 1 && from.number == 0 && from.type != Type::kDirectory) from.number = ++numbers_;
  tree::Entry entry{.path = path,
                    .type = from.type,
                    .opaque = opaque,
                    .mode = from.mode,
                    .uid = from.uid,
                    .gid = from.gid,
                    .mtime_s = from.mtime_s,
                    .mtime_ns = from.mtime_ns,
                    .inode = from.number};
  if (from.type == Type::kFile) {
    entry.size = from.file.size;
    memcpy(entry.object.data(), from.file.object, entry.object.size());
    if (entry.size > 0) note_alive(entry.object);
  } else if (from.type == Type::kSymlink) {
    entry.target = arena_->bytes(from.link.text, from.link.size);
  } else if (from.type == Type::kCharDevice || from.type == Type::kBlockDevice) {
    entry.device_major = from.device.major;
    entry.device_minor = from.device.minor;
  }
  Ref at = from.xattrs;
  for (uint32_t i = 0; i < from.xattr_count; ++i) {
    const auto* xattr = arena_->at<StoredXattr>(at);
    entry.xattrs.push_back(
        {{xattr->bytes, xattr->name_size}, {xattr->bytes + xattr->name_size, xattr->value_size}});
    at += static_cast<Ref>((sizeof(StoredXattr) + xattr->name_size + xattr->value_size + 7) / 8);
  }
  return writer.add(entry);
}

void LayerTree::note_alive(const tree::ObjectId& object) {
  auto first = std::lower_bound(dead_.begin(), dead_.end(), object,
                                [this](Ref ref, const tree::ObjectId& wanted) {
                                  return memcmp(inode(ref).file.object, wanted.data(), 32) < 0;
                                });
  for (; first != dead_.end() && memcmp(inode(*first).file.object, object.data(), 32) == 0; ++first)
    alive_[static_cast<size_t>(first - dead_.begin())] = true;
}

std::vector<tree::ObjectId> LayerTree::lost_objects() const {
  std::vector<tree::ObjectId> lost;
  for (size_t i = 0; i < dead_.size(); ++i) {
    if (alive_[i]) continue;
    tree::ObjectId object;
    memcpy(object.data(), inode(dead_[i]).file.object, object.size());
    if (lost.empty() || lost.back() != object) lost.push_back(object);
  }
  return lost;
}

}  // namespace wherry::archive
