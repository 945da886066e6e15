// Blobs: each content once for all repositories, and a mark in each repository that has it.
//
// A blob's file appears by rename, whole, verified and synced. A repository has a blob exactly when
// its mark exists; taking the mark away is what DELETE does. A blob that comes again replaces the
// file: same bytes, and a rotten copy is healed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "registry/content_digest.h"
#include "registry/store_root.h"

namespace wherry::registry {

struct OpenBlob {
  std::shared_ptr<sys::Fd> file;
  uint64_t size = 0;
};

class Blobs {
 public:
  explicit Blobs(StoreRoot& root) : root_(root) {}

  // nullopt when the repository does not have it.
  Result<std::optional<OpenBlob>> open(const std::string& repository, const ContentDigest& digest);
  // Of the bytes alone, whatever repository has them.
  Result<std::optional<OpenBlob>> open_content(const ContentDigest& digest);
  bool has(const std::string& repository, const ContentDigest& digest) const;

  // Makes root/`file`, whose content is verified and synced, the blob's content and marks it.
  Result<void> commit(const std::string& file, const std::string& repository,
                      const ContentDigest& digest);
  // As commit, from memory and without a mark: for manifests.
  Result<void> add_content(const ContentDigest& digest, std::string_view bytes);
  // The blob of another repository in this one too. False: `from` does not have it.
  Result<bool> mount(const std::string& from, const std::string& repository,
                     const ContentDigest& digest);
  // False: it was not there.
  Result<bool> remove(const std::string& repository, const ContentDigest& digest);

 private:
  StoreRoot& root_;
};

// "repositories/<name>/_blobs/sha256": where a repository's marks of blobs are.
std::string blob_marks_dir(const std::string& repository, Algorithm algorithm);
std::string blob_dir(Algorithm algorithm);

}  // namespace wherry::registry
