// What a request's target means: one of the distribution specification's paths, or none.
//
// Everything that could later name a file (repository, tag, digest, upload) is checked here against
// the specification's grammar; nothing else reaches the store. Source: OCI distribution-spec 1.1,
// "Pulling manifests", "Endpoints".
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "registry/content_digest.h"

namespace wherry::registry {

// 32 lower-case hex digits, as the server hands them out.
bool valid_upload_id(std::string_view id);

// A manifest by tag or by digest.
using Reference = std::variant<std::string, ContentDigest>;

struct Route {
  enum class Kind {
    kBase,       // /v2/
    kCatalog,    // /v2/_catalog
    kBlob,       // /v2/<name>/blobs/<digest>
    kUploads,    // /v2/<name>/blobs/uploads/
    kUpload,     // /v2/<name>/blobs/uploads/<id>
    kManifest,   // /v2/<name>/manifests/<reference>
    kTags,       // /v2/<name>/tags/list
    kReferrers,  // /v2/<name>/referrers/<digest>
  };
  Kind kind = Kind::kBase;
  std::string name;
  std::optional<ContentDigest> digest;  // kBlob, kReferrers
  std::string upload;                   // kUpload
  Reference reference;                  // kManifest
  std::map<std::string, std::string, std::less<>> query;

  // The value of a query's key, or nullptr.
  const std::string* parameter(std::string_view key) const;
};

enum class RouteFault {
  kUnknownPath,
  kBadName,
  kBadDigest,
  kBadReference,
  kBadUpload,
  kBadEncoding,
};

std::variant<Route, RouteFault> parse_route(std::string_view target);

}  // namespace wherry::registry
