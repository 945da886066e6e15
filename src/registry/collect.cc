#include "registry/collect.h"

#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <set>
#include <string>

#include "base/failpoint.h"
#include "registry/blobs.h"
#include "registry/log.h"
#include "registry/manifest.h"
#include "registry/repositories.h"

namespace wherry::registry {
namespace {

using LockMode = sys::FileLock::Mode;
using Digests = std::set<ContentDigest>;

constexpr time_t kGraceSeconds = 3600;
constexpr size_t kMaxMediaType = 256;
constexpr Algorithm kAlgorithms[] = {Algorithm::kSha256, Algorithm::kSha512};

class Collection {
 public:
  Collection(StoreRoot& root, bool dry_run) : root_(root), dry_run_(dry_run) {}

  Result<Collected> run() {
    TRY(std::vector<std::string> names, repository_names(root_));
    for (const std::string& name : names) TRY_VOID_CTX(repository(name), "in '" + name + "'");
    for (Algorithm algorithm : kAlgorithms) TRY_VOID(contents(algorithm));
    return collected_;
  }

 private:
  Result<void> repository(const std::string& name);
  Result<bool> add_parts(const std::string& name, const ContentDigest& manifest, Digests& named);
  Result<void> contents(Algorithm algorithm);
  bool is_old(const std::string& path, uint64_t* size = nullptr) const;
  Result<Digests> digests_in(const std::string& dir, Algorithm algorithm) const;

  StoreRoot& root_;
  bool dry_run_;
  Digests used_;  // by any repository
  Collected collected_;
};

bool Collection::is_old(const std::string& path, uint64_t* size) const {
  struct stat info{};
  if (fstatat(root_.fd(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (size != nullptr) *size = static_cast<uint64_t>(info.st_size);
  return info.st_mtime + kGraceSeconds < time(nullptr);
}

Result<Digests> Collection::digests_in(const std::string& dir, Algorithm algorithm) const {
  TRY(std::vector<std::string> names, root_.list(dir));
  Digests found;
  for (const std::string& hex : names)
    if (auto digest = ContentDigest::parse(std::string(algorithm_name(algorithm)) + ":" + hex))
      found.insert(std::move(*digest));
  return found;
}

// False: it cannot be read, so nobody knows what it needs.
Result<bool> Collection::add_parts(const std::string& name, const ContentDigest& manifest,
                                   Digests& named) {
  TRY(std::optional<std::string> bytes, root_.read("blobs/" + manifest.path(), kMaxManifestBytes));
  if (!bytes || digest_of(manifest.algorithm(), *bytes) != manifest) return false;
  TRY(std::optional<std::string> type,
      root_.read(manifest_dir(name, manifest.algorithm()) + "/" + manifest.hex(), kMaxMediaType));
  Result<ManifestFacts> facts = read_manifest(*bytes, type.value_or(""));
  if (!facts) return false;
  for (const ManifestPart& part : facts->blobs) named.insert(part.digest);
  for (const ManifestPart& part : facts->manifests) named.insert(part.digest);
  return true;
}

Result<void> Collection::repository(const std::string& name) {
  TRY(sys::FileLock lock, root_.collection_lock(LockMode::kExclusive));
  Digests named;
  bool all_known = true;
  for (Algorithm algorithm : kAlgorithms) {
    TRY(Digests manifests, digests_in(manifest_dir(name, algorithm), algorithm));
    for (const ContentDigest& manifest : manifests) {
      used_.insert(manifest);
      TRY(bool known, add_parts(name, manifest, named));
      if (known) continue;
      all_known = false;
      log(Level::kWarning, "'" + name + "' keeps all its blobs: its manifest '" + manifest.str() +
                               "' is damaged; push it again");
    }
  }
  for (Algorithm algorithm : kAlgorithms) {
    std::string dir = blob_marks_dir(name, algorithm);
    TRY(Digests marks, digests_in(dir, algorithm));
    for (const ContentDigest& blob : marks) {
      if (!all_known || named.contains(blob) || !is_old(dir + "/" + blob.hex())) {
        used_.insert(blob);
        continue;
      }
      ++collected_.marks;
      if (dry_run_) continue;
      TRY_VOID(failpoint("registry.collect.mark"));
      TRY_VOID(root_.remove_file(dir, blob.hex()));
    }
  }
  return {};
}

Result<void> Collection::contents(Algorithm algorithm) {
  TRY(Digests all, digests_in(blob_dir(algorithm), algorithm));
  for (const ContentDigest& blob : all) {
    std::string path = "blobs/" + blob.path();
    if (used_.contains(blob) || !is_old(path)) continue;
    TRY(sys::FileLock lock, root_.collection_lock(LockMode::kExclusive));
    uint64_t size = 0;
    if (!is_old(path, &size)) continue;
    ++collected_.blobs;
    collected_.bytes += size;
    if (dry_run_) continue;
    TRY_VOID(failpoint("registry.collect.blob"));
    TRY_VOID(root_.remove_file(blob_dir(algorithm), blob.hex()));
  }
  return {};
}

}  // namespace

Result<Collected> collect_garbage(StoreRoot& root, bool dry_run) {
  return Collection(root, dry_run).run();
}

}  // namespace wherry::registry
