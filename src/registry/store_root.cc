#include "registry/store_root.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "base/text.h"
#include "sys/file.h"

namespace wherry::registry {
namespace {

constexpr const char* kFormat = "wherry-registry 1\n";
constexpr const char* kTemp = "tmp";
constexpr size_t kMostKnownDirs = 20'000;

Result<void> check_format(int root) {
  if (!sys::exists_at(root, "format")) {
    TRY(std::vector<std::string> names, sys::list_dir(root));
    for (const std::string& name : names)
      if (name != "lock")
        return Error(ErrorKind::kConflict, "it is not empty and not a registry: has '" + name + "'")
            .set_hint("give --root a directory of its own");
    return sys::write_new_file(root, "format", kFormat, 0600);
  }
  TRY(sys::Fd file, sys::open_at(root, "format", O_RDONLY | O_NOFOLLOW));
  TRY(std::string format, sys::read_all(file.get(), 64));
  if (format != kFormat)
    return Error(ErrorKind::kUnsupported, "its format is '" + std::string(trim(format)) + "'")
        .set_hint("it was made by another version of wherry-registry");
  return {};
}

}  // namespace

Result<StoreRoot> StoreRoot::open(const std::string& path, Use use) {
  std::string context = "cannot open the registry's root '" + path + "'";
  // Directly first: who may use the root need not be able to read the directories above it.
  Result<sys::Fd> there = sys::open_file(path, O_RDONLY | O_DIRECTORY);
  if (!there && (use == Use::kCollect || there.error().errnum() != ENOENT))
    return fail(std::move(there), context);
  sys::Fd fd;
  if (there) {
    fd = std::move(*there);
  } else {
    TRY_CTX(fd, sys::make_dirs(path, 0700), context);
  }
  StoreRoot root(path, std::move(fd));
  TRY_VOID_CTX(root.prepare(use), context);
  return root;
}

Result<void> StoreRoot::prepare(Use use) {
  if (use == Use::kServe) {
    TRY(lock_, sys::FileLock::try_acquire(fd(), "lock", sys::FileLock::Mode::kExclusive));
    if (!lock_)
      return Error(ErrorKind::kConflict, "another wherry-registry serves it")
          .set_hint("stop that one, or give this one another --root");
  }
  if (use == Use::kCollect) {
    if (!sys::exists_at(fd(), "format"))
      return Error(ErrorKind::kNotFound, "it is not a registry: has no 'format'");
    return check_format(fd());
  }
  TRY_VOID(check_format(fd()));
  // Made by the server, so that a collection that root runs leaves it the server's.
  TRY(sys::FileLock made, collection_lock(sys::FileLock::Mode::kShared));
  TRY_VOID(sys::remove_tree_at(fd(), kTemp));
  for (const char* dir : {"blobs/sha256", "blobs/sha512", "repositories", "uploads", kTemp})
    TRY_VOID(ensure_dir(dir));
  return {};
}

Result<void> StoreRoot::ensure_dir(const std::string& relative) {
  std::lock_guard guard(known_->mutex);
  if (known_->dirs.contains(relative)) return {};
  if (known_->dirs.size() > kMostKnownDirs) known_->dirs.clear();
  TRY(sys::Fd current, root_.dup());
  for (std::string_view part : split(relative, '/')) {
    TRY(sys::Fd next, sys::make_dir_at(current.get(), std::string(part), 0700));
    TRY_VOID(failpoint("registry.dir.made"));
    TRY_VOID(sys::sync_dir(current.get()));
    current = std::move(next);
  }
  known_->dirs.insert(relative);
  return {};
}

Result<void> StoreRoot::replace_file(const std::string& dir, const std::string& name,
                                     std::string_view data) {
  std::string temp = std::string(kTemp) + "/" + random_id();
  auto undo = on_exit([&] { unlinkat(fd(), temp.c_str(), 0); });
  {
    TRY(sys::Fd file, sys::open_at(fd(), temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    TRY_VOID(sys::write_all(file.get(), data));
    TRY_VOID(failpoint("registry.file.written"));
    if (fsync(file.get()) != 0) return Error::from_errno(errno, "cannot sync '" + name + "'");
  }
  TRY_VOID(failpoint("registry.file.synced"));
  TRY_VOID(move_in(temp, dir, name));
  undo.release();
  return {};
}

Result<void> StoreRoot::move_in(const std::string& from, const std::string& dir,
                                const std::string& name) {
  TRY_VOID(ensure_dir(dir));
  TRY(sys::Fd target, open_dir(dir));
  if (renameat(fd(), from.c_str(), target.get(), name.c_str()) != 0)
    return Error::from_errno(errno, "cannot move '" + name + "' into place");
  TRY_VOID(failpoint("registry.file.renamed"));
  return sys::sync_dir(target.get());
}

Result<void> StoreRoot::add_mark(const std::string& dir, const std::string& name) {
  TRY_VOID(ensure_dir(dir));
  TRY(sys::Fd target, open_dir(dir));
  TRY(sys::Fd mark, sys::open_at(target.get(), name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  if (futimens(mark.get(), nullptr) != 0)
    return Error::from_errno(errno, "cannot touch '" + name + "'");
  TRY_VOID(failpoint("registry.mark.made"));
  return sys::sync_dir(target.get());
}

Result<bool> StoreRoot::remove_file(const std::string& dir, const std::string& name) {
  Result<sys::Fd> target = open_dir(dir);
  if (!target && target.error().errnum() == ENOENT) return false;
  if (!target) return Error(std::move(target.error()));
  if (unlinkat(target->get(), name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    return Error::from_errno(errno, "cannot remove '" + name + "'");
  }
  TRY_VOID(failpoint("registry.file.removed"));
  TRY_VOID(sys::sync_dir(target->get()));
  return true;
}

bool StoreRoot::exists(const std::string& relative) const {
  return sys::exists_at(fd(), relative);
}

Result<std::optional<std::string>> StoreRoot::read(const std::string& relative,
                                                   size_t limit) const {
  Result<sys::Fd> file = sys::open_at(fd(), relative, O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().errnum() == ENOENT) return std::optional<std::string>();
  if (!file) return Error(std::move(file.error()));
  TRY(std::string content, sys::read_all(file->get(), limit));
  return std::optional(std::move(content));
}

Result<std::vector<std::string>> StoreRoot::list(const std::string& relative) const {
  Result<sys::Fd> dir = open_dir(relative);
  if (!dir && dir.error().errnum() == ENOENT) return std::vector<std::string>();
  if (!dir) return Error(std::move(dir.error()));
  return sys::list_dir(dir->get());
}

Result<sys::Fd> StoreRoot::open_dir(const std::string& relative) const {
  return sys::open_at(fd(), relative, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<sys::FileLock> StoreRoot::collection_lock(sys::FileLock::Mode mode) const {
  return sys::FileLock::acquire(fd(), "collection.lock", mode);
}

}  // namespace wherry::registry
