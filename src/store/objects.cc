#include "store/objects.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr size_t kBlock = 256u << 10;

Result<sys::Fd> objects_folder(const std::string& root) {
  Result<sys::Fd> opened = sys::open_file(root + "/" + kObjects, O_RDONLY | O_DIRECTORY);
  if (!opened && opened.error().errnum() == ENOENT)
    return sys::make_dirs(root + "/" + kObjects, 0700);
  return opened;
}

Result<void> seal(int fd, const struct stat& info) {
  if ((info.st_uid != 0 || info.st_gid != 0) && fchown(fd, 0, 0) != 0)
    return Error::from_errno(errno, "cannot set an object's owner");
  if ((info.st_mode & 07777) != kObjectMode && fchmod(fd, kObjectMode) != 0)
    return Error::from_errno(errno, "cannot set an object's mode");
  if (info.st_mtim.tv_sec == kObjectTime && info.st_mtim.tv_nsec == 0) return {};
  const timespec times[] = {{0, UTIME_OMIT}, {kObjectTime, 0}};
  if (futimens(fd, times) != 0) return Error::from_errno(errno, "cannot set an object's time");
  return {};
}

Result<std::string> read_digest(int fd, std::string& buffer) {
  sys::Sha256 hash;
  buffer.resize(kBlock);
  for (;;) {
    ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno(errno, "cannot read an object");
    if (size == 0) return hash.finish().hex();
    hash.update({buffer.data(), static_cast<size_t>(size)});
  }
}

// One file that a helper has written.
Result<bool> admit(const Places& places, int folder, const std::string& name, std::string& buffer,
                   Admitted& admitted) {
  TRY_CTX(tree::ObjectId id, parse_object_hex(name), "'" + name + "' is no object");
  TRY(sys::Fd file, sys::open_at(folder, name, O_RDONLY | O_NOFOLLOW | O_NOATIME));
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return Error::from_errno(errno, "cannot look at an object");
  if (!S_ISREG(info.st_mode) || info.st_nlink != 1)
    return Error(ErrorKind::kCorrupt, "object '" + name + "' is no plain file");
  TRY(bool moved, admit_file(places, folder, name, file.get(), id, buffer));
  if (!moved) return false;
  ++admitted.objects;
  admitted.bytes += static_cast<uint64_t>(info.st_size);
  return true;
}

// What no layer's index names. `candidates` sorted.
Result<std::vector<ObjectRef>> unnamed_of(const Places& places, std::vector<ObjectRef> candidates) {
  TRY(std::vector<std::string> names, sys::list_dir(places.layers.get()));
  for (const std::string& name : names) {
    if (candidates.empty()) break;
    TRY(sys::Fd layer, sys::open_at(places.layers.get(), name, O_RDONLY | O_DIRECTORY));
    TRY_CTX(ObjectIndex index, ObjectIndex::open(layer.get()), "layer 'sha256:" + name + "'");
    candidates = without(std::move(candidates), index.refs());
  }
  return candidates;
}

}  // namespace

Result<std::string> file_digest(int fd) {
  std::string buffer;
  return read_digest(fd, buffer);
}

std::string object_hex(const tree::ObjectId& id) {
  std::string hex;
  for (uint8_t byte : id) {
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

Result<tree::ObjectId> parse_object_hex(std::string_view hex) {
  tree::ObjectId id{};
  if (hex.size() != 2 * id.size() || !is_hex(hex))
    return Error(ErrorKind::kCorrupt, "not 64 hex digits");
  auto value = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (size_t i = 0; i < id.size(); ++i)
    id[i] = static_cast<uint8_t>(value(hex[2 * i]) << 4 | value(hex[2 * i + 1]));
  return id;
}

Result<sys::Fd> open_objects(const std::string& root) {
  TRY(sys::Fd objects, objects_folder(root));
  // The last of them is there when all are.
  if (sys::exists_at(objects.get(), "ff")) return objects;
  for (char high : std::string_view(kHex, 16))
    for (char low : std::string_view(kHex, 16)) {
      TRY([[maybe_unused]] sys::Fd made, sys::make_dir_at(objects.get(), {high, low}, 0700));
    }
  TRY_VOID(sys::sync_dir(objects.get()));
  return objects;
}

ObjectState look_at_object(int objects, const ObjectRef& ref, timespec* changed) {
  struct stat info{};
  if (fstatat(objects, object_name(ref.id).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return ObjectState::kMissing;
  if (changed != nullptr) *changed = info.st_ctim;
  return tree::is_sealed_object(info) && static_cast<uint64_t>(info.st_size) == ref.size
             ? ObjectState::kWhole
             : ObjectState::kDamaged;
}

Result<ObjectState> read_object(int objects, const ObjectRef& ref) {
  ObjectState state = look_at_object(objects, ref);
  if (state != ObjectState::kWhole) return state;
  TRY(sys::Fd file, sys::open_at(objects, object_name(ref.id), O_RDONLY | O_NOFOLLOW | O_NOATIME));
  TRY(std::string found, file_digest(file.get()));
  return found == object_hex(ref.id) ? ObjectState::kWhole : ObjectState::kDamaged;
}

Result<bool> admit_file(const Places& places, int folder, const std::string& name, int file,
                        const tree::ObjectId& id, std::string& buffer) {
  TRY(std::string found, read_digest(file, buffer));
  if (found != object_hex(id))
    return Error(ErrorKind::kCorrupt,
                 "object '" + object_hex(id) + "' has the digest '" + found + "'");
  struct stat info{};
  if (fstat(file, &info) != 0) return Error::from_errno(errno, "cannot look at an object");
  const ObjectRef ref{id, static_cast<uint64_t>(info.st_size)};
  // By its content: a power cut may have left one that nobody had acknowledged yet with the right
  // size and zeros.
  TRY(ObjectState there, read_object(places.objects.get(), ref));
  if (there == ObjectState::kWhole) {
    if (unlinkat(folder, name.c_str(), 0) != 0)
      return Error::from_errno(errno, "cannot drop an object that is there already");
    return false;
  }
  TRY_VOID(seal(file, info));
  // A damaged one is replaced.
  auto rename = [&] {
    return renameat(folder, name.c_str(), places.objects.get(), object_name(id).c_str()) == 0;
  };
  bool renamed = rename();
  if (!renamed && errno == EISDIR) {
    TRY_VOID(sys::remove_tree_at(places.objects.get(), object_name(id)));
    renamed = rename();
  }
  if (!renamed)
    return Error::from_errno(errno, "cannot put object '" + object_hex(id) + "' in its place");
  return true;
}

Result<Admitted> admit_objects(const Places& places, int entry) {
  TraceScope trace("store.admit");
  Admitted admitted;
  Result<sys::Fd> folder = sys::open_at(entry, kNewObjects, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder && folder.error().errnum() == ENOENT) return admitted;
  if (!folder) return std::move(folder.error());
  TRY(std::vector<std::string> names, sys::list_dir(folder->get()));
  std::string buffer;
  for (const std::string& name : names) {
    TRY(bool moved, admit(places, folder->get(), name, buffer, admitted));
    if (moved) TRY_VOID(failpoint("store.object.moved"));
  }
  if (unlinkat(entry, kNewObjects, AT_REMOVEDIR) != 0)
    return Error::from_errno(errno, "cannot remove the folder of new objects");
  return admitted;
}

Result<void> remove_objects(const Places& places, const std::vector<ObjectRef>& objects) {
  for (const ObjectRef& ref : objects) {
    const std::string name = object_name(ref.id);
    if (unlinkat(places.objects.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      if (errno != EISDIR)
        return Error::from_errno(errno, "cannot remove object '" + object_hex(ref.id) + "'");
      TRY_VOID(sys::remove_tree_at(places.objects.get(), name));
    }
    TRY_VOID(failpoint("store.object.removed"));
  }
  return {};
}

Result<uint64_t> release_objects(const Places& places, std::vector<ObjectRef> candidates) {
  if (candidates.empty()) return uint64_t{0};
  TraceScope trace("store.release");
  TRY(sys::Fd root, sys::open_file(places.root, O_RDONLY | O_DIRECTORY));
  TRY(auto lock,
      sys::FileLock::try_acquire(root.get(), kObjectsLock, sys::FileLock::Mode::kExclusive));
  if (!lock)
    return Error(ErrorKind::kUnavailable, "objects are in use: somebody brings layers just now");
  TRY(std::vector<ObjectRef> unnamed, unnamed_of(places, std::move(candidates)));
  TRY_VOID(remove_objects(places, unnamed));
  uint64_t bytes = 0;
  for (const ObjectRef& ref : unnamed) bytes += ref.size;
  return bytes;
}

Result<std::vector<ObjectRef>> list_objects(const Places& places) {
  std::vector<ObjectRef> all;
  TRY(std::vector<std::string> folders, sys::list_dir(places.objects.get()));
  for (const std::string& folder : folders) {
    TRY(sys::Fd opened,
        sys::open_at(places.objects.get(), folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(std::vector<std::string> names, sys::list_dir(opened.get()));
    for (const std::string& name : names) {
      Result<tree::ObjectId> id = parse_object_hex(folder + name);
      struct stat info{};
      if (!id || fstatat(opened.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      all.push_back({*id, static_cast<uint64_t>(info.st_size)});
    }
  }
  // Folders and names are sorted, and so are the ids.
  return all;
}

}  // namespace wherry::store
