#include "build/prune.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/failpoint.h"
#include "engine/tree_size.h"
#include "state/build_steps.h"
#include "state/images.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace wherry::build {
namespace {

Result<std::vector<std::string>> choose(state::Database& database, const PruneOptions& options,
                                        int64_t now) {
  TRY(std::vector<state::BuildStepRow> rows, state::list_build_steps(database));
  std::vector<std::string> keys;
  for (const state::BuildStepRow& row : rows) {
    if (options.unused_for_ns && row.used_ns > now - *options.unused_for_ns) continue;
    if (!options.all) {
      // What costs nothing to keep, or is an image's layer anyway.
      if (row.layer.empty()) continue;
      TRY(int64_t users, state::layer_users(database, row.layer));
      if (users > 0) continue;
    }
    keys.push_back(row.key);
  }
  return keys;
}

// One cache of RUN --mount=type=cache, unless a step uses it. Its bytes.
Result<uint64_t> remove_cache(int caches, const std::string& path, const std::string& name,
                              const PruneOptions& options, int64_t now) {
  TRY(auto lock,
      sys::FileLock::try_acquire(caches, name + ".lock", sys::FileLock::Mode::kExclusive));
  struct stat info{};
  if (!lock || fstatat(caches, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  int64_t used_ns = int64_t{info.st_atim.tv_sec} * 1000000000 + info.st_atim.tv_nsec;
  if (options.unused_for_ns && used_ns > now - *options.unused_for_ns) return 0;
  uint64_t bytes = engine::tree_size(path + "/" + name);
  TRY_VOID(sys::remove_tree_at(caches, name));
  unlinkat(caches, (name + ".lock").c_str(), 0);
  return bytes;
}

Result<uint64_t> remove_caches(const std::string& root, const PruneOptions& options, int64_t now) {
  std::string path = root + "/build/mounts";
  Result<sys::Fd> caches = sys::open_file(path, O_RDONLY | O_DIRECTORY);
  if (!caches) {
    if (caches.error().errnum() == ENOENT) return 0;
    return std::move(caches.error());
  }
  TRY(std::vector<std::string> names, sys::list_dir(caches->get()));
  uint64_t bytes = 0;
  for (const std::string& name : names) {
    if (name.ends_with(".lock")) continue;
    TRY_CTX(uint64_t freed, remove_cache(caches->get(), path, name, options, now),
            "cannot remove a build's cache");
    bytes += freed;
  }
  return bytes;
}

}  // namespace

Result<Pruned> prune(engine::BuildHost& host, const PruneOptions& options) {
  TRY(store::Store * store, host.image_store());
  TRY_VOID(store->sweep());
  int64_t now = wall_clock_ns();
  Pruned pruned;
  TRY(pruned.bytes, store->prune_layers([&]() -> Result<void> {
    TRY(pruned.steps, choose(host.state(), options, now));
    for (const std::string& key : pruned.steps)
      TRY_VOID(state::delete_build_step(host.state(), key));
    return {};
  }));
  TRY_VOID(failpoint("build.pruned"));
  if (options.all) {
    TRY(uint64_t caches, remove_caches(host.root(), options, now));
    pruned.bytes += caches;
  }
  return pruned;
}

}  // namespace wherry::build
