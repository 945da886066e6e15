#include "build/caches.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "build/file_content.h"
#include "engine/tree_size.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

using Mode = sys::FileLock::Mode;

constexpr int kMaxPrivate = 100;
constexpr const char* kLock = ".lock";
constexpr const char* kNew = ".new";

std::string folder(const std::string& root) {
  return root + "/build/mounts";
}

struct Chosen {
  std::string name;
  sys::FileLock lock;
};

Result<Chosen> choose(int caches, const CacheRequest& request) {
  std::string base = sys::sha256(request.id).hex();
  if (request.sharing != Sharing::kPrivate) {
    Mode mode = request.sharing == Sharing::kLocked ? Mode::kExclusive : Mode::kShared;
    TRY(sys::FileLock lock, sys::FileLock::acquire(caches, base + kLock, mode));
    return Chosen{std::move(base), std::move(lock)};
  }
  for (int number = 1; number <= kMaxPrivate; ++number) {
    std::string name = number == 1 ? base : base + "-" + std::to_string(number);
    TRY(auto lock, sys::FileLock::try_acquire(caches, name + kLock, Mode::kExclusive));
    if (lock) return Chosen{std::move(name), std::move(*lock)};
  }
  return Error(ErrorKind::kResourceExhausted,
               "too many builds use the cache '" + request.id + "' at once");
}

// Users of a shared cache may come at the same moment: the first makes it.
Result<void> make(int caches, const std::string& name, const CacheRequest& request,
                  const std::function<Result<void>(int directory, int lock)>& fill) {
  std::string draft = name + kNew;
  TRY(sys::FileLock making, sys::FileLock::acquire(caches, draft + kLock, Mode::kExclusive));
  if (sys::exists_at(caches, name)) return {};
  TRY_VOID(sys::remove_tree_at(caches, draft));
  TRY(sys::Fd made, sys::make_dir_at(caches, draft, request.mode));
  if (fchown(made.get(), request.uid, request.gid) != 0 || fchmod(made.get(), request.mode) != 0)
    return Error::from_errno(errno, "cannot set the owner of a cache");
  TRY_VOID(fill(made.get(), making.fd()));
  TRY_VOID(failpoint("build.cache.filled"));
  if (renameat(caches, draft.c_str(), caches, name.c_str()) != 0)
    return Error::from_errno(errno, "cannot put a cache in its place");
  unlinkat(caches, (draft + kLock).c_str(), 0);
  return {};
}

// Its bytes; 0 when it is in use, or was a short time ago.
Result<uint64_t> remove_one(int caches, const std::string& path, const std::string& name,
                            std::optional<int64_t> unused_for_ns, int64_t now_ns) {
  struct stat used{};
  bool known = fstatat(caches, (name + kLock).c_str(), &used, AT_SYMLINK_NOFOLLOW) == 0;
  TRY(auto lock, sys::FileLock::try_acquire(caches, name + kLock, Mode::kExclusive));
  if (!lock) return 0;
  if (unused_for_ns && known && nanoseconds(used.st_mtim) > now_ns - *unused_for_ns) return 0;
  uint64_t bytes = engine::tree_size(path + "/" + name);
  TRY_VOID(sys::remove_tree_at(caches, name));
  unlinkat(caches, (name + kLock).c_str(), 0);
  return bytes;
}

}  // namespace

Result<Cache> open_cache(const std::string& root, const CacheRequest& request,
                         const std::function<Result<void>(int directory, int lock)>& fill) {
  TRY(sys::Fd caches, sys::make_dirs(folder(root), 0700));
  TRY(Chosen chosen, choose(caches.get(), request));
  if (!sys::exists_at(caches.get(), chosen.name))
    TRY_VOID(make(caches.get(), chosen.name, request, fill));
  if (futimens(chosen.lock.fd(), nullptr) != 0)
    return Error::from_errno(errno, "cannot note the use of a cache");
  return Cache{folder(root) + "/" + chosen.name, std::move(chosen.lock)};
}

Result<uint64_t> remove_caches(const std::string& root, std::optional<int64_t> unused_for_ns,
                               int64_t now_ns) {
  std::string path = folder(root);
  Result<sys::Fd> caches = sys::open_file(path, O_RDONLY | O_DIRECTORY);
  if (!caches && caches.error().errnum() == ENOENT) return 0;
  if (!caches) return std::move(caches.error());
  TRY(std::vector<std::string> names, sys::list_dir(caches->get()));
  uint64_t bytes = 0;
  for (const std::string& name : names) {
    if (name.ends_with(kLock)) continue;
    TRY_CTX(uint64_t freed, remove_one(caches->get(), path, name, unused_for_ns, now_ns),
            "cannot remove a build's cache");
    bytes += freed;
  }
  return bytes;
}

}  // namespace wherry::build
