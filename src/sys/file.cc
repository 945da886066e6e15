#include "sys/file.h"

#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/failpoint.h"
#include "base/scope.h"
#include "base/text.h"
#include "base/weaken.h"

namespace wherry::sys {
namespace {

constexpr std::string_view kTempMark = ".tmp-";

std::string temp_name(const std::string& name) {
  unsigned char random[8] = {};
  [[maybe_unused]] ssize_t got = getrandom(random, sizeof random, 0);
  return "." + name + std::string(kTempMark) + to_hex(random);
}

// How deep a removal goes with an open directory on each level. What lies deeper is moved up to the
// top first: a program can nest directories far beyond any stack and any limit of descriptors.
constexpr int kMaxOpenLevels = 16;

struct Removal {
  int top = -1;  // the directory that is removed
  uint64_t lifted = 0;
};

// Out of the depths into the top, whose next listing has it. An empty directory that is in the way
// is replaced; it would be removed anyway.
Result<void> lift(Removal& removal, int dir, const std::string& name) {
  for (;;) {
    std::string place = ".removed-" + std::to_string(++removal.lifted);
    if (renameat(dir, name.c_str(), removal.top, place.c_str()) == 0) return {};
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
      return Error::from_errno(errno, "cannot remove '" + name + "'");
  }
}

struct Entry {
  std::string name;
  bool directory = false;  // true: certainly
};

// Through the caller's descriptor, whose offset moves.
Result<std::vector<Entry>> read_entries(int dir) {
  if (lseek(dir, 0, SEEK_SET) < 0) return Error::from_errno(errno, "cannot list a directory");
  std::vector<Entry> entries;
  alignas(dirent64) char buffer[16384];
  for (;;) {
    ssize_t size = getdents64(dir, buffer, sizeof buffer);
    if (size < 0) return Error::from_errno(errno, "cannot list a directory");
    if (size == 0) return entries;
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      std::string_view name = entry->d_name;
      if (name != "." && name != "..")
        entries.push_back({std::string(name), entry->d_type == DT_DIR});
      at += entry->d_reclen;
    }
  }
}

Result<void> remove_below(Removal& removal, int dir, const Entry& entry, int level);

Result<void> remove_children(Removal& removal, int dir, int level) {
  TRY(std::vector<Entry> entries, read_entries(dir));
  Result<void> first;
  for (const Entry& entry : entries) {
    Result<void> removed = remove_below(removal, dir, entry, level);
    if (!removed && first) first = std::move(removed);
  }
  return first;
}

Result<void> empty_directory(Removal& removal, int dir, int level) {
  if (level > 0) return remove_children(removal, dir, level + 1);
  removal.top = dir;
  Result<void> first;
  for (uint64_t before = ~uint64_t{0}; before != removal.lifted;) {
    before = removal.lifted;
    Result<void> removed = remove_children(removal, dir, level + 1);
    if (!removed && first) first = std::move(removed);
  }
  return first;
}

Result<void> remove_below(Removal& removal, int dir, const Entry& entry, int level) {
  const std::string& name = entry.name;
  if (!entry.directory) {
    if (unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM)
      return Error::from_errno(errno, "cannot remove '" + name + "'");
  }
  if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != ENOTEMPTY && errno != EEXIST)
    return Error::from_errno(errno, "cannot remove '" + name + "'");
  if (level == kMaxOpenLevels) return lift(removal, dir, name);
  Result<void> children;
  {
    TRY(Fd sub, open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    children = empty_directory(removal, sub.get(), level);
  }
  if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    if (!children) return children;
    return Error::from_errno(errno, "cannot remove '" + name + "'");
  }
  return {};
}

}  // namespace

Result<void> write_file_atomic(int dir, const std::string& name, std::string_view data,
                               unsigned mode, Sync sync) {
  std::string context = "cannot write '" + name + "'";
  std::string temp = temp_name(name);
  TRY_CTX(Fd fd, open_at(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode), context);
  auto undo = on_exit([&] { unlinkat(dir, temp.c_str(), 0); });
  TRY_VOID_CTX(failpoint("file.opened"), context);
  if (fchmod(fd.get(), mode) != 0) return Error::from_errno(errno, context);
  TRY_VOID_CTX(write_all(fd.get(), data), context);
  TRY_VOID_CTX(failpoint("file.written"), context);
  if (sync == Sync::kFull && fsync(fd.get()) != 0) return Error::from_errno(errno, context);
  TRY_VOID_CTX(failpoint("file.synced"), context);
  if (renameat(dir, temp.c_str(), dir, name.c_str()) != 0) return Error::from_errno(errno, context);
  undo.release();
  TRY_VOID_CTX(failpoint("file.renamed"), context);
  if (sync == Sync::kFull) TRY_VOID_CTX(sync_dir(dir), context);
  return {};
}

Result<void> write_new_file(int dir, const std::string& name, std::string_view data,
                            unsigned mode) {
  std::string context = "cannot write '" + name + "'";
  TRY_CTX(Fd fd, open_at(dir, ".", O_WRONLY | O_TMPFILE, mode), context);
  TRY_VOID_CTX(failpoint("file.opened"), context);
  if (fchmod(fd.get(), mode) != 0) return Error::from_errno(errno, context);
  TRY_VOID_CTX(write_all(fd.get(), data), context);
  TRY_VOID_CTX(failpoint("file.written"), context);
  if (fsync(fd.get()) != 0) return Error::from_errno(errno, context);
  TRY_VOID_CTX(failpoint("file.synced"), context);
  std::string unnamed = "/proc/self/fd/" + std::to_string(fd.get());
  if (linkat(AT_FDCWD, unnamed.c_str(), dir, name.c_str(), AT_SYMLINK_FOLLOW) != 0 &&
      errno != EEXIST)
    return Error::from_errno(errno, context);
  TRY_VOID_CTX(sync_dir(dir), context);
  return {};
}

Result<void> remove_temp_files(int dir) {
  TRY(std::vector<std::string> names, list_dir(dir));
  for (const std::string& name : names)
    if (name.starts_with('.') && name.contains(kTempMark)) TRY_VOID(remove_tree_at(dir, name));
  return {};
}

Result<void> sync_dir(int dir) {
  if (fsync(dir) != 0) return Error::from_errno(errno, "cannot sync a directory");
  return {};
}

Result<void> sync_filesystem(int dir) {
  if (syncfs(dir) != 0) return Error::from_errno(errno, "cannot sync the file system");
  return {};
}

Result<Fd> make_dir_at(int dir, const std::string& name, unsigned mode) {
  if (weakened(Defence::kRoots)) mode |= 0055;
  if (mkdirat(dir, name.c_str(), mode) == 0) {
    TRY(Fd made, open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (fchmod(made.get(), mode) != 0)
      return Error::from_errno(errno, "cannot set the mode of '" + name + "'");
    return made;
  }
  if (errno != EEXIST) return Error::from_errno(errno, "cannot make directory '" + name + "'");
  return open_at(dir, name, O_RDONLY | O_DIRECTORY);
}

Result<Fd> make_dirs(const std::string& path, unsigned mode) {
  // As a rule it is there.
  if (Result<Fd> there = open_file(path, O_RDONLY | O_DIRECTORY)) return there;
  TRY(Fd current, open_file(path.starts_with('/') ? "/" : ".", O_RDONLY | O_DIRECTORY));
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    TRY_CTX(current, make_dir_at(current.get(), std::string(part), mode), "in '" + path + "'");
  }
  return current;
}

Result<void> remove_tree_at(int dir, const std::string& name) {
  Removal removal;
  return remove_below(removal, dir, {name}, 0);
}

Result<std::vector<std::string>> list_dir(int dir) {
  // A descriptor of its own: readdir moves the shared offset.
  TRY(Fd own, open_at(dir, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(own.get()), &closedir);
  if (!stream) return Error::from_errno(errno, "cannot list a directory");
  [[maybe_unused]] int owned_by_stream = own.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return Error::from_errno(errno, "cannot list a directory");
  std::ranges::sort(names);
  return names;
}

bool exists_at(int dir, const std::string& name) {
  struct stat info{};
  return fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace wherry::sys
