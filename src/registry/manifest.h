// Reading a pushed manifest: what kind it is and what it refers to. Never changes a byte of it.
//
// Accepted are image manifests and indexes of OCI and of Docker (schema 2). A document that could
// be read as either kind is refused (CVE-2021-41190). Source: OCI image-spec 1.1, manifest.md,
// image-index.md; distribution-spec 1.1, "Pushing manifests".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/content_digest.h"

namespace wherry::registry {

inline constexpr size_t kMaxManifestBytes = 4u << 20;

struct ManifestPart {
  ContentDigest digest;
  uint64_t size = 0;
};

struct ManifestFacts {
  std::string media_type;
  bool is_index = false;
  std::vector<ManifestPart> blobs;      // configuration and layers that the registry must have
  std::vector<ManifestPart> manifests;  // children of an index
  std::optional<ContentDigest> subject;
  std::string artifact_type;     // its own, or the configuration's media type
  std::string annotations_json;  // an object, or empty
};

// `media_type`: the request's Content-Type, may be empty. kInvalidArgument, kCorrupt or
// kResourceExhausted with the reason.
Result<ManifestFacts> read_manifest(std::string_view bytes, std::string_view media_type);

// The descriptor of a manifest with a subject, as the referrers list shows it.
std::string referrer_descriptor(const ManifestFacts& facts, const ContentDigest& digest,
                                size_t size);
// "artifactType" of such a descriptor; empty when there is none.
std::string artifact_type_of(std::string_view descriptor);

}  // namespace wherry::registry
