// Repositories: manifests by digest, tags that name them, referrers of a subject, and lists.
//
// A manifest's bytes are a blob; the repository's own file repositories/<name>/_manifests/... holds
// its media type. Order of making: bytes, referrer entry, that file, tag; each durable before the
// next, so a tag never names what is not there. Removal goes the other way. Thread-safe.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/blobs.h"
#include "registry/manifest.h"
#include "registry/route.h"
#include "registry/store_root.h"

namespace wherry::registry {

struct StoredManifest {
  ContentDigest digest;
  std::string media_type;
  std::string bytes;
};

// A part of a sorted list.
struct Page {
  std::vector<std::string> items;
  bool more = false;
};

class Repositories {
 public:
  Repositories(StoreRoot& root, Blobs& blobs) : root_(root), blobs_(blobs) {}

  bool exists(const std::string& repository) const;
  // nullopt when there is none. kCorrupt when the stored bytes are not the digest's.
  Result<std::optional<StoredManifest>> manifest(const std::string& repository,
                                                 const Reference& reference);
  bool has_manifest(const std::string& repository, const ContentDigest& digest) const;
  // kNotFound names the first part that the repository does not have.
  Result<void> put_manifest(const std::string& repository, const Reference& reference,
                            const ContentDigest& digest, std::string_view bytes,
                            const ManifestFacts& facts);
  // By tag: only the tag. By digest: its tags too. False: there is none.
  Result<bool> remove_manifest(const std::string& repository, const Reference& reference);

  // Up to `limit` in byte order, after `last`.
  Result<Page> tags(const std::string& repository, size_t limit, const std::string& last);
  Result<Page> catalog(size_t limit, const std::string& last);
  // Descriptors as JSON texts, keyed for paging by "<algorithm>-<hex>": items are these keys.
  Result<Page> referrers(const std::string& repository, const ContentDigest& subject, size_t limit,
                         const std::string& last);
  // The descriptor of one key of referrers(); empty when it has gone.
  Result<std::string> referrer(const std::string& repository, const ContentDigest& subject,
                               const std::string& key);

 private:
  Result<void> check_parts(const std::string& repository, const ManifestFacts& facts);
  Result<std::optional<ContentDigest>> resolve(const std::string& repository,
                                               const Reference& reference);
  Result<void> remove_tags_of(const std::string& repository, const ContentDigest& digest);
  Result<void> remove_referrer(const std::string& repository, const StoredManifest& manifest);

  // One of a few, by name: whoever changes a repository's manifests does it alone.
  std::mutex& lock_of(const std::string& repository);

  StoreRoot& root_;
  Blobs& blobs_;
  std::array<std::mutex, 64> locks_;
};

// All that have a manifest or a blob.
Result<std::vector<std::string>> repository_names(const StoreRoot& root);
// "repositories/<name>/_manifests/sha256", ".../_tags": where they are.
std::string manifest_dir(const std::string& repository, Algorithm algorithm);
std::string tag_dir(const std::string& repository);

}  // namespace wherry::registry
