// GET, HEAD, PUT and DELETE of manifests, by tag and by digest.
#include "registry/api.h"

namespace wherry::registry {
namespace {

Response manifest_unknown(const Reference& reference) {
  const auto* digest = std::get_if<ContentDigest>(&reference);
  return error_response(404, "MANIFEST_UNKNOWN", "there is no such manifest in this repository",
                        digest ? digest->str() : std::get<std::string>(reference));
}

Response too_large() {
  return error_response(413, "SIZE_INVALID", "a manifest may have at most 4 MiB");
}

// The body of a manifest's PUT, kept in memory.
class PutManifest : public Exchange {
 public:
  PutManifest(Repositories& repositories, Route route, std::string media_type)
      : repositories_(repositories), route_(std::move(route)), media_type_(std::move(media_type)) {}

  bool write(std::string_view piece) override {
    if (bytes_.size() + piece.size() > kMaxManifestBytes) {
      too_large_ = true;
      return false;
    }
    bytes_ += piece;
    return true;
  }

  Response finish() override {
    if (too_large_) return too_large();
    const auto* wanted = std::get_if<ContentDigest>(&route_.reference);
    ContentDigest digest = digest_of(wanted ? wanted->algorithm() : Algorithm::kSha256, bytes_);
    if (wanted && digest != *wanted)
      return error_response(400, "DIGEST_INVALID", "the manifest is '" + digest.str() + "'");
    Result<ManifestFacts> facts = read_manifest(bytes_, media_type_);
    if (!facts) return error_response(400, "MANIFEST_INVALID", facts.error().message());
    Result<void> stored =
        repositories_.put_manifest(route_.name, route_.reference, digest, bytes_, *facts);
    if (!stored) return refusal(stored.error());
    Response response;
    response.status = 201;
    response.add("Location", "/v2/" + route_.name + "/manifests/" + digest.str());
    response.add("Docker-Content-Digest", digest.str());
    if (facts->subject) response.add("OCI-Subject", facts->subject->str());
    return response;
  }

 private:
  static Response refusal(const Error& error) {
    if (error.errnum() == 0 && error.kind() == ErrorKind::kNotFound)
      return error_response(400, "MANIFEST_BLOB_UNKNOWN", "a part of the manifest is missing",
                            error.message());
    if (error.errnum() == 0 && error.kind() == ErrorKind::kInvalidArgument)
      return error_response(400, "MANIFEST_INVALID", error.message());
    return store_failure(error);
  }

  Repositories& repositories_;
  Route route_;
  std::string media_type_;
  std::string bytes_;
  bool too_large_ = false;
};

}  // namespace

Begun Api::manifest(const Request& request, const Route& route) {
  if (request.method == "GET" || request.method == "HEAD") return get_manifest(request, route);
  if (request.method == "PUT") return put_manifest(request, route);
  if (request.method == "DELETE") return delete_manifest(route);
  return method_not_allowed("GET, HEAD, PUT, DELETE");
}

Response Api::get_manifest(const Request& request, const Route& route) {
  Result<std::optional<StoredManifest>> found = repositories_.manifest(route.name, route.reference);
  if (!found) return store_failure(found.error());
  if (!*found) return manifest_unknown(route.reference);
  std::string digest = (*found)->digest.str(), etag = "\"" + digest + "\"";
  Response response;
  response.add("Docker-Content-Digest", digest).add("ETag", etag);
  if (matches_etag(request, etag)) {
    response.status = 304;
    return response;
  }
  response.body = std::move((*found)->bytes);
  return response.add("Content-Type", (*found)->media_type);
}

Begun Api::put_manifest(const Request& request, const Route& route) {
  if (request.content_length.value_or(0) > kMaxManifestBytes) return too_large();
  const std::string* type = request.header("content-type");
  return std::make_unique<PutManifest>(repositories_, route, type ? *type : "");
}

Response Api::delete_manifest(const Route& route) {
  Result<bool> removed = repositories_.remove_manifest(route.name, route.reference);
  if (!removed) return store_failure(removed.error());
  if (!*removed) return manifest_unknown(route.reference);
  Response response;
  response.status = 202;
  return response;
}

}  // namespace wherry::registry
