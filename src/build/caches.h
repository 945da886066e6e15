// The directories behind RUN --mount=type=cache, kept from build to build.
//
//   <root>/build/mounts/<sha256 of the id>[-n]        the cache; -n: another one of the same id,
//                                                     for builds that share it with nobody
//   <root>/build/mounts/<sha256 of the id>[-n].lock   held by each step that uses it; its time of
//                                                     change is the last use
// A cache appears whole: it is made and filled under the name "<...>.new". One that a kill left is
// made again, or goes with the next prune.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "build/dockerfile.h"
#include "sys/lock.h"

namespace wherry::build {

// A cache in use: nobody removes it, and `sharing` is kept, as long as the lock lives.
struct Cache {
  std::string path;  // absolute
  sys::FileLock lock;
};

struct CacheRequest {
  std::string id;
  Sharing sharing = Sharing::kShared;
  uint32_t mode = 0755, uid = 0, gid = 0;  // of a new one
};

// Waits for others where `sharing` asks for it. `fill` puts the first content into a new one; its
// arguments are the directory and a lock. kResourceExhausted: a hundred private ones are in use.
Result<Cache> open_cache(const std::string& root, const CacheRequest& request,
                         const std::function<Result<void>(int directory, int lock)>& fill);

// Removes those that no step uses, with a limit those that no step has used for so long. Their
// bytes.
Result<uint64_t> remove_caches(const std::string& root, std::optional<int64_t> unused_for_ns,
                               int64_t now_ns);

}  // namespace wherry::build
