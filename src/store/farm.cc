#include "store/farm.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/failpoint.h"
#include "store/tree_file.h"
#include "store/tree_file_look.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

// ext4 knows at most 65000 names of a file. Half of them are kept for the names that a file has
// within one tree.
constexpr nlink_t kRoomFor = 32000;
constexpr size_t kFirstSlots = 1024;

void put(std::string& bytes, uint64_t value) {
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
}

void put(std::string& bytes, std::string_view text) {
  put(bytes, text.size());
  bytes += text;
}

uint64_t fingerprint_of(const Digest& key) {
  const uint64_t value = std::stoull(key.hex().substr(0, 16), nullptr, 16);
  return value == 0 ? 1 : value;
}

Error failed(const std::string& action, const std::string& file) {
  return Error::from_errno(errno, "cannot " + action + " 'farm/" + file + "'");
}

// One file, if nobody else has a name of it. A checkout that links it meanwhile keeps it.
Result<void> sweep_file(int dir, const std::string& name, FarmSwept& swept) {
  struct stat info{};
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return failed("look at", name);
  }
  if (!S_ISREG(info.st_mode) || info.st_nlink > 1) return {};
  if (unlinkat(dir, name.c_str(), 0) != 0) {
    if (errno == ENOENT) return {};
    return failed("remove", name);
  }
  ++swept.files;
  swept.bytes += static_cast<uint64_t>(info.st_size);
  return {};
}

}  // namespace

Digest farm_key(const tree::Entry& entry) {
  std::string bytes = "wherry farm 1\n";
  put(bytes, entry.size);
  bytes.append(reinterpret_cast<const char*>(entry.object.data()), entry.object.size());
  for (uint64_t number : {uint64_t{entry.mode}, uint64_t{entry.uid}, uint64_t{entry.gid},
                          static_cast<uint64_t>(entry.mtime_s), uint64_t{entry.mtime_ns},
                          uint64_t{entry.xattrs.size()}})
    put(bytes, number);
  for (const tree::Xattr& xattr : entry.xattrs) {
    put(bytes, xattr.name);
    put(bytes, xattr.value);
  }
  return sys::sha256(bytes);
}

std::string farm_name(const Digest& key, uint32_t copy) {
  std::string name = key.hex();
  name.insert(2, "/");
  return copy == 0 ? name : name + "." + std::to_string(copy);
}

uint32_t FarmUses::next(const Digest& key) {
  const uint64_t fingerprint = fingerprint_of(key);
  if (insert(fingerprint)) return 0;
  // One whose first use took copy 0, as nearly all do, is only noted from its second use on.
  auto found = repeated_.find(fingerprint);
  return found == repeated_.end() ? 1 : found->second;
}

void FarmUses::used(const Digest& key, uint32_t copy) {
  if (copy > 0) repeated_[fingerprint_of(key)] = copy + 1;
}

bool FarmUses::insert(uint64_t fingerprint) {
  if (filled_ * 4 >= slots_.size() * 3) grow();
  size_t at = fingerprint & (slots_.size() - 1);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1))
    if (slots_[at] == fingerprint) return false;
  slots_[at] = fingerprint;
  ++filled_;
  return true;
}

void FarmUses::grow() {
  std::vector<uint64_t> old(slots_.empty() ? kFirstSlots : slots_.size() * 2);
  old.swap(slots_);
  for (uint64_t fingerprint : old) {
    if (fingerprint == 0) continue;
    size_t at = fingerprint & (slots_.size() - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = fingerprint;
  }
}

Result<void> Farm::link(const tree::Entry& entry, int dir, const std::string& name) {
  const Digest key = farm_key(entry);
  for (uint32_t copy = uses_.next(key);;) {
    const std::string file = farm_name(key, copy);
    TRY(const Outcome outcome, link_existing(file, entry, dir, name));
    if (outcome == Outcome::kFull) {
      ++copy;
      continue;
    }
    if (outcome == Outcome::kMissing) {
      TRY(const bool made, make(file, entry, dir, name));
      if (!made) continue;
    }
    uses_.used(key, copy);
    return {};
  }
}

Result<Farm::Outcome> Farm::link_existing(const std::string& file, const tree::Entry& entry,
                                          int dir, const std::string& name) {
  struct stat info{};
  if (fstatat(farm_, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Outcome::kMissing;
    return failed("look at", file);
  }
  TRY(const bool whole, is_whole(file, entry, info));
  if (!whole) {
    TRY_VOID(drop(file, entry, info));
    return Outcome::kMissing;
  }
  if (entry.inode != 0 && info.st_nlink >= kRoomFor) return Outcome::kFull;
  if (linkat(farm_, file.c_str(), dir, name.c_str(), 0) == 0) return Outcome::kLinked;
  if (errno == ENOENT) return Outcome::kMissing;
  if (errno == EMLINK) return Outcome::kFull;
  return Error::from_errno(errno,
                           "cannot link " + shown_path(entry.path) + " to 'farm/" + file + "'");
}

Result<bool> Farm::is_whole(const std::string& file, const tree::Entry& entry,
                            const struct stat& info) {
  if (!metadata_difference(entry, info).empty()) return false;
  if (spans_.knows(info.st_ctim)) return true;
  uint64_t read = 0;
  Result<std::string_view> difference = content_difference(entry, farm_, file, read);
  if (!difference && difference.error().errnum() == ENOENT) return true;  // linking will tell
  if (!difference) return std::move(difference.error());
  return difference->empty();
}

// A damaged one, unless somebody else has put another in its place.
Result<void> Farm::drop(const std::string& file, const tree::Entry& entry,
                        const struct stat& damaged) {
  struct stat info{};
  if (fstatat(farm_, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
      info.st_ino != damaged.st_ino)
    return {};
  if (S_ISDIR(info.st_mode)) return sys::remove_tree_at(farm_, file);
  mark_damaged(farm_, file, entry);
  if (unlinkat(farm_, file.c_str(), 0) != 0 && errno != ENOENT) return failed("drop", file);
  return {};
}

Result<bool> Farm::make(const std::string& file, const tree::Entry& entry, int dir,
                        const std::string& name) {
  TRY_VOID(make_tree_file(objects_, entry, Filling::kCopy, dir, name));
  TRY_VOID(failpoint("store.farm.made"));
  int linked = linkat(dir, name.c_str(), farm_, file.c_str(), 0);
  if (linked != 0 && errno == ENOENT) {
    TRY_VOID(make_folder(file));
    linked = linkat(dir, name.c_str(), farm_, file.c_str(), 0);
  }
  if (linked != 0 && errno == EEXIST) {
    if (unlinkat(dir, name.c_str(), 0) != 0) return failed("give back", file);
    return false;
  }
  if (linked != 0) return failed("make", file);
  TRY_VOID(failpoint("store.farm.linked"));
  return true;
}

Result<void> Farm::make_folder(const std::string& file) {
  const std::string folder = file.substr(0, 2);
  if (mkdirat(farm_, folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return failed("make", folder);
}

void forget_farm_file(int farm, const tree::Entry& entry, const struct stat& info) {
  if (info.st_nlink < 2) return;
  const std::string file = farm_name(farm_key(entry), 0);
  Result<sys::Fd> folder =
      sys::open_at(farm, file.substr(0, 2), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder) return;
  Result<std::vector<std::string>> names = sys::list_dir(folder->get());
  if (!names) return;
  for (const std::string& name : *names) {
    struct stat here{};
    if (name.starts_with(std::string_view(file).substr(3)) &&
        fstatat(folder->get(), name.c_str(), &here, AT_SYMLINK_NOFOLLOW) == 0 &&
        here.st_ino == info.st_ino)
      unlinkat(folder->get(), name.c_str(), 0);
  }
}

Result<FarmSwept> sweep_farm(const std::string& root) {
  FarmSwept swept;
  Result<sys::Fd> farm = sys::open_file(root + "/" + kFarm, O_RDONLY | O_DIRECTORY);
  if (!farm && farm.error().errnum() == ENOENT) return swept;
  if (!farm) return std::move(farm.error());
  TRY(std::vector<std::string> folders, sys::list_dir(farm->get()));
  for (const std::string& folder : folders) {
    TRY(sys::Fd dir, sys::open_at(farm->get(), folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(std::vector<std::string> names, sys::list_dir(dir.get()));
    for (const std::string& name : names) TRY_VOID(sweep_file(dir.get(), name, swept));
  }
  return swept;
}

}  // namespace wherry::store
