#include "registry/repositories.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "oci/names.h"

namespace wherry::registry {
namespace {

using LockMode = sys::FileLock::Mode;

constexpr size_t kMaxMediaType = 256;
constexpr size_t kMaxDigestText = 256;
constexpr int kMaxNameParts = static_cast<int>(oci::kMaxRepository) / 2 + 1;

std::string referrer_dir(const std::string& repository, const ContentDigest& subject) {
  return "repositories/" + repository + "/_referrers/" + subject.path();
}

std::string referrer_key(const ContentDigest& digest) {
  return std::string(algorithm_name(digest.algorithm())) + "-" + digest.hex();
}

std::string manifest_path(const std::string& repository, const ContentDigest& digest) {
  return manifest_dir(repository, digest.algorithm()) + "/" + digest.hex();
}

Page page_of(std::vector<std::string> sorted, size_t limit, const std::string& last) {
  auto begin = std::ranges::upper_bound(sorted, last);
  if (last.empty()) begin = sorted.begin();
  auto left = static_cast<size_t>(sorted.end() - begin);
  Page page;
  page.more = left > limit;
  page.items.assign(begin, begin + static_cast<std::ptrdiff_t>(std::min(left, limit)));
  return page;
}

// The least names after `last`, one more than the page needs.
class Smallest {
 public:
  Smallest(size_t limit, const std::string& last) : limit_(limit), last_(last) {}
  void offer(const std::string& name) {
    if (!last_.empty() && name <= last_) return;
    names_.insert(name);
    if (names_.size() > limit_ + 1) names_.erase(std::prev(names_.end()));
  }
  Page page() const {
    Page page;
    for (const std::string& name : names_)
      if (page.items.size() < limit_) page.items.push_back(name);
    page.more = names_.size() > limit_;
    return page;
  }

 private:
  size_t limit_;
  const std::string& last_;
  std::set<std::string> names_;
};

// Calls `found(name, entry)` for each of a repository's own directories, and goes down.
template <class Found>
Result<void> walk(const StoreRoot& root, const std::string& name, int depth, const Found& found) {
  TRY(std::vector<std::string> entries,
      root.list(name.empty() ? "repositories" : "repositories/" + name));
  for (const std::string& entry : entries) {
    if (entry.starts_with('_')) {
      found(name, entry);
    } else if (depth < kMaxNameParts) {
      TRY_VOID(walk(root, name.empty() ? entry : name + "/" + entry, depth + 1, found));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> repository_names(const StoreRoot& root) {
  std::set<std::string> names;
  TRY_VOID(
      walk(root, "", 0, [&](const std::string& name, const std::string&) { names.insert(name); }));
  return std::vector<std::string>(names.begin(), names.end());
}

std::string manifest_dir(const std::string& repository, Algorithm algorithm) {
  return "repositories/" + repository + "/_manifests/" + std::string(algorithm_name(algorithm));
}

std::string tag_dir(const std::string& repository) {
  return "repositories/" + repository + "/_tags";
}

std::mutex& Repositories::lock_of(const std::string& repository) {
  return locks_[std::hash<std::string>{}(repository) % locks_.size()];
}

bool Repositories::exists(const std::string& repository) const {
  std::string dir = "repositories/" + repository;
  return root_.exists(dir + "/_manifests") || root_.exists(dir + "/_blobs");
}

bool Repositories::has_manifest(const std::string& repository, const ContentDigest& digest) const {
  return root_.exists(manifest_path(repository, digest));
}

Result<std::optional<ContentDigest>> Repositories::resolve(const std::string& repository,
                                                           const Reference& reference) {
  if (const auto* digest = std::get_if<ContentDigest>(&reference)) return std::optional(*digest);
  const std::string& tag = std::get<std::string>(reference);
  TRY(std::optional<std::string> text, root_.read(tag_dir(repository) + "/" + tag, kMaxDigestText));
  if (!text) return std::optional<ContentDigest>();
  std::optional<ContentDigest> digest = ContentDigest::parse(*text);
  if (!digest) return Error(ErrorKind::kCorrupt, "the file of tag '" + tag + "' is damaged");
  return digest;
}

Result<std::optional<StoredManifest>> Repositories::manifest(const std::string& repository,
                                                             const Reference& reference) {
  using Found = std::optional<StoredManifest>;
  TRY(std::optional<ContentDigest> digest, resolve(repository, reference));
  if (!digest) return Found();
  TRY(std::optional<std::string> type,
      root_.read(manifest_path(repository, *digest), kMaxMediaType));
  if (!type) return Found();
  TRY(std::optional<std::string> bytes, root_.read("blobs/" + digest->path(), kMaxManifestBytes));
  if (!bytes || digest_of(digest->algorithm(), *bytes) != *digest)
    return Error(ErrorKind::kCorrupt, "the stored manifest '" + digest->str() + "' is damaged")
        .set_hint("push it again");
  return Found(StoredManifest{*digest, std::move(*type), std::move(*bytes)});
}

Result<void> Repositories::check_parts(const std::string& repository, const ManifestFacts& facts) {
  auto missing = [](const ManifestPart& part) {
    return Error(ErrorKind::kNotFound, "'" + part.digest.str() + "' is not in this repository");
  };
  for (const ManifestPart& part : facts.blobs) {
    TRY(std::optional<OpenBlob> blob, blobs_.open(repository, part.digest));
    if (!blob) return missing(part);
    if (blob->size != part.size)
      return Error(ErrorKind::kInvalidArgument, "'" + part.digest.str() + "' has " +
                                                    std::to_string(blob->size) + " bytes, not " +
                                                    std::to_string(part.size));
  }
  for (const ManifestPart& part : facts.manifests)
    if (!has_manifest(repository, part.digest) && !blobs_.has(repository, part.digest))
      return missing(part);
  return {};
}

Result<void> Repositories::put_manifest(const std::string& repository, const Reference& reference,
                                        const ContentDigest& digest, std::string_view bytes,
                                        const ManifestFacts& facts) {
  std::lock_guard guard(lock_of(repository));
  TRY(sys::FileLock lock, root_.collection_lock(LockMode::kShared));
  TRY_VOID(check_parts(repository, facts));
  TRY_VOID(failpoint("registry.manifest.checked"));
  TRY_VOID(blobs_.add_content(digest, bytes));
  TRY_VOID(failpoint("registry.manifest.stored"));
  if (facts.subject)
    TRY_VOID(root_.replace_file(referrer_dir(repository, *facts.subject), referrer_key(digest),
                                referrer_descriptor(facts, digest, bytes.size())));
  TRY_VOID(root_.replace_file(manifest_dir(repository, digest.algorithm()), digest.hex(),
                              facts.media_type));
  TRY_VOID(failpoint("registry.manifest.linked"));
  if (const auto* tag = std::get_if<std::string>(&reference))
    TRY_VOID(root_.replace_file(tag_dir(repository), *tag, digest.str()));
  return failpoint("registry.manifest.tagged");
}

Result<void> Repositories::remove_tags_of(const std::string& repository,
                                          const ContentDigest& digest) {
  TRY(std::vector<std::string> tags, root_.list(tag_dir(repository)));
  for (const std::string& tag : tags) {
    TRY(std::optional<std::string> text,
        root_.read(tag_dir(repository) + "/" + tag, kMaxDigestText));
    if (text && *text == digest.str()) TRY_VOID(root_.remove_file(tag_dir(repository), tag));
  }
  return failpoint("registry.manifest.untagged");
}

Result<void> Repositories::remove_referrer(const std::string& repository,
                                           const StoredManifest& manifest) {
  Result<ManifestFacts> facts = read_manifest(manifest.bytes, manifest.media_type);
  if (!facts || !facts->subject) return {};
  TRY_VOID(
      root_.remove_file(referrer_dir(repository, *facts->subject), referrer_key(manifest.digest)));
  return {};
}

Result<bool> Repositories::remove_manifest(const std::string& repository,
                                           const Reference& reference) {
  std::lock_guard guard(lock_of(repository));
  if (const auto* tag = std::get_if<std::string>(&reference))
    return root_.remove_file(tag_dir(repository), *tag);
  const auto& digest = std::get<ContentDigest>(reference);
  if (!has_manifest(repository, digest)) return false;
  TRY_VOID(remove_tags_of(repository, digest));
  // A damaged one goes like any other; its referrer entry then no longer shows.
  Result<std::optional<StoredManifest>> stored = manifest(repository, reference);
  TRY(bool removed, root_.remove_file(manifest_dir(repository, digest.algorithm()), digest.hex()));
  if (stored && *stored) TRY_VOID(remove_referrer(repository, **stored));
  return removed;
}

Result<Page> Repositories::tags(const std::string& repository, size_t limit,
                                const std::string& last) {
  TRY(std::vector<std::string> names, root_.list(tag_dir(repository)));
  return page_of(std::move(names), limit, last);
}

Result<Page> Repositories::catalog(size_t limit, const std::string& last) {
  Smallest found(limit, last);
  TRY_VOID(walk(root_, "", 0, [&](const std::string& name, const std::string& entry) {
    if (entry == "_manifests") found.offer(name);
  }));
  return found.page();
}

Result<Page> Repositories::referrers(const std::string& repository, const ContentDigest& subject,
                                     size_t limit, const std::string& last) {
  TRY(std::vector<std::string> keys, root_.list(referrer_dir(repository, subject)));
  return page_of(std::move(keys), limit, last);
}

Result<std::string> Repositories::referrer(const std::string& repository,
                                           const ContentDigest& subject, const std::string& key) {
  TRY(std::optional<std::string> descriptor,
      root_.read(referrer_dir(repository, subject) + "/" + key, 2 * kMaxManifestBytes));
  std::string digest = key;
  std::ranges::replace(digest, '-', ':');
  std::optional<ContentDigest> parsed = ContentDigest::parse(digest);
  // An entry without its manifest is what a crash has left.
  if (!descriptor || !parsed || !has_manifest(repository, *parsed)) return std::string();
  return std::move(*descriptor);
}

}  // namespace wherry::registry
