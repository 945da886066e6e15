// GET, HEAD and DELETE of blobs.
#include "registry/api.h"
#include "registry/ranges.h"

namespace wherry::registry {
namespace {

Response blob_unknown(const ContentDigest& digest) {
  return error_response(404, "BLOB_UNKNOWN", "there is no such blob in this repository",
                        digest.str());
}

// A part is only of what the client has already: If-Range names another content, then the whole.
bool range_applies(const Request& request, const std::string& etag) {
  const std::string* condition = request.header("if-range");
  return condition == nullptr || *condition == etag;
}

}  // namespace

Begun Api::blob(const Request& request, const Route& route) {
  if (request.method == "GET" || request.method == "HEAD") return get_blob(request, route);
  if (request.method == "DELETE") return delete_blob(route);
  return method_not_allowed("GET, HEAD, DELETE");
}

Response Api::get_blob(const Request& request, const Route& route) {
  Result<std::optional<OpenBlob>> found = blobs_.open(route.name, *route.digest);
  if (!found) return store_failure(found.error());
  if (!*found) return blob_unknown(*route.digest);
  std::string etag = "\"" + route.digest->str() + "\"";
  Response response;
  response.add("Docker-Content-Digest", route.digest->str()).add("ETag", etag);
  response.add("Cache-Control", "max-age=31536000");
  if (matches_etag(request, etag)) {
    response.status = 304;
    return response;
  }
  response.add("Content-Type", "application/octet-stream").add("Accept-Ranges", "bytes");
  response.file = FilePart{(*found)->file, 0, (*found)->size};
  const std::string* header = request.header("range");
  if (header == nullptr || request.method != "GET" || !range_applies(request, etag))
    return response;
  auto range = parse_range(*header, (*found)->size);
  std::string total = "/" + std::to_string((*found)->size);
  if (auto* part = std::get_if<ByteRange>(&range)) {
    response.status = 206;
    response.add("Content-Range",
                 "bytes " + std::to_string(part->first) + "-" + std::to_string(part->last) + total);
    response.file->offset = part->first;
    response.file->length = part->length();
  } else if (std::get<RangeAnswer>(range) == RangeAnswer::kUnsatisfiable) {
    response = error_response(416, "UNSUPPORTED", "the range is beyond the blob's end");
    response.add("Content-Range", "bytes *" + total);
  }
  return response;
}

Response Api::delete_blob(const Route& route) {
  Result<bool> removed = blobs_.remove(route.name, *route.digest);
  if (!removed) return store_failure(removed.error());
  if (!*removed) return blob_unknown(*route.digest);
  Response response;
  response.status = 202;
  return response;
}

}  // namespace wherry::registry
