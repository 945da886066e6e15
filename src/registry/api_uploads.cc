// Uploads: POST starts, mounts or takes a whole blob; PATCH appends; PUT ends; GET tells the state;
// DELETE gives up.
#include "oci/names.h"
#include "registry/api.h"
#include "registry/ranges.h"

namespace wherry::registry {
namespace {

Response upload_unknown() {
  return error_response(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload in this repository",
                        "start again with POST");
}

std::string upload_location(const std::string& name, const std::string& id) {
  return "/v2/" + name + "/blobs/uploads/" + id;
}

// "0-<last byte>"; of nothing "0-0", as the reference implementation has it.
std::string progress(uint64_t size) {
  return "0-" + std::to_string(size == 0 ? 0 : size - 1);
}

Response upload_state(int status, const std::string& name, const std::string& id, uint64_t size) {
  Response response;
  response.status = status;
  response.add("Location", upload_location(name, id)).add("Range", progress(size));
  return response.add("Docker-Upload-UUID", id);
}

Response created_blob(const std::string& name, const ContentDigest& digest) {
  Response response;
  response.status = 201;
  response.add("Location", "/v2/" + name + "/blobs/" + digest.str());
  return response.add("Docker-Content-Digest", digest.str());
}

Response append_failure(const Error& error) {
  if (error.kind() == ErrorKind::kConflict)
    return error_response(409, "BLOB_UPLOAD_INVALID", error.message());
  if (error.kind() == ErrorKind::kInvalidArgument)
    return error_response(400, "DIGEST_INVALID", error.message());
  return store_failure(error);
}

std::optional<ContentDigest> digest_parameter(const Route& route) {
  const std::string* text = route.parameter("digest");
  return text == nullptr ? std::nullopt : ContentDigest::parse(*text);
}

Response bad_digest() {
  return error_response(400, "DIGEST_INVALID", "the digest is missing or invalid",
                        "?digest=sha256:<64 lower-case hex digits> or sha512:<128>");
}

// The chunk must begin where the upload ends. Nothing: it does.
std::optional<Response> check_chunk(const Request& request, const Route& route, uint64_t size) {
  const std::string* header = request.header("content-range");
  if (header == nullptr) return std::nullopt;
  std::optional<ByteRange> range = parse_content_range(*header);
  if (range && range->first == size) {
    if (!request.content_length || *request.content_length == range->length()) return std::nullopt;
    return error_response(400, "SIZE_INVALID", "Content-Range and Content-Length disagree");
  }
  Response refused =
      error_response(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends",
                     "the upload has " + std::to_string(size) + " bytes");
  refused.add("Location", upload_location(route.name, route.upload)).add("Range", progress(size));
  return refused;
}

// The body of PATCH, PUT and of POST with a digest.
class Append : public Exchange {
 public:
  Append(UploadWriter writer, Route route, std::optional<ContentDigest> ends_with)
      : writer_(std::move(writer)), route_(std::move(route)), ends_with_(std::move(ends_with)) {}

  bool write(std::string_view piece) override {
    appended_ = writer_.append(piece);
    return appended_.has_value();
  }

  Response finish() override {
    if (!appended_) return append_failure(appended_.error());
    if (!ends_with_) return upload_state(202, route_.name, route_.upload, writer_.size());
    Result<void> committed = writer_.commit(*ends_with_);
    if (!committed) return append_failure(committed.error());
    return created_blob(route_.name, *ends_with_);
  }

 private:
  UploadWriter writer_;
  Route route_;
  std::optional<ContentDigest> ends_with_;
  Result<void> appended_;
};

}  // namespace

Begun Api::start_upload(const Request& request, const Route& route) {
  if (request.method != "POST") return method_not_allowed("POST");
  if (const std::string* digest = route.parameter("mount")) {
    Response mounted = mount(route, *digest);
    if (mounted.status != 202) return mounted;
  }
  bool whole = route.parameter("digest") != nullptr;
  std::optional<ContentDigest> digest = digest_parameter(route);
  if (whole && !digest) return bad_digest();
  Result<std::string> id = uploads_.start(route.name);
  if (!id && id.error().kind() == ErrorKind::kResourceExhausted && id.error().errnum() == 0)
    return error_response(429, "TOOMANYREQUESTS", id.error().message(), id.error().hint());
  if (!id) return store_failure(id.error());
  if (!whole) return upload_state(202, route.name, *id, 0);
  Route begun = route;
  begun.upload = *id;
  return put_upload(request, begun);
}

// 202: there is nothing to mount, an ordinary upload follows.
Response Api::mount(const Route& route, const std::string& text) {
  std::optional<ContentDigest> digest = ContentDigest::parse(text);
  if (!digest) return bad_digest();
  Response response;
  response.status = 202;
  const std::string* from = route.parameter("from");
  if (from == nullptr) return response;
  if (!oci::is_repository(*from))
    return error_response(400, "NAME_INVALID", "invalid repository name in 'from'");
  Result<bool> mounted = blobs_.mount(*from, route.name, *digest);
  if (!mounted) return store_failure(mounted.error());
  return *mounted ? created_blob(route.name, *digest) : response;
}

Begun Api::upload(const Request& request, const Route& route) {
  if (request.method == "PATCH") return patch_upload(request, route);
  if (request.method == "PUT") return put_upload(request, route);
  if (request.method == "GET" || request.method == "HEAD") return upload_status(route);
  if (request.method == "DELETE") return cancel_upload(route);
  return method_not_allowed("GET, HEAD, PATCH, PUT, DELETE");
}

Response Api::upload_status(const Route& route) {
  Result<std::optional<uint64_t>> size = uploads_.size(route.name, route.upload);
  if (!size) return store_failure(size.error());
  if (!*size) return upload_unknown();
  return upload_state(204, route.name, route.upload, **size);
}

Response Api::cancel_upload(const Route& route) {
  Result<bool> cancelled = uploads_.cancel(route.name, route.upload);
  if (!cancelled) return store_failure(cancelled.error());
  if (!*cancelled) return upload_unknown();
  Response response;
  response.status = 204;
  return response;
}

Begun Api::patch_upload(const Request& request, const Route& route) {
  Result<std::optional<UploadWriter>> writer = uploads_.write(route.name, route.upload);
  if (!writer) return store_failure(writer.error());
  if (!*writer) return upload_unknown();
  if (std::optional<Response> refused = check_chunk(request, route, (*writer)->size()))
    return std::move(*refused);
  return std::make_unique<Append>(std::move(**writer), route, std::nullopt);
}

Begun Api::put_upload(const Request& request, const Route& route) {
  std::optional<ContentDigest> digest = digest_parameter(route);
  if (!digest) return bad_digest();
  Result<std::optional<UploadWriter>> writer = uploads_.write(route.name, route.upload);
  if (!writer) return store_failure(writer.error());
  if (!*writer) return upload_unknown();
  if (std::optional<Response> refused = check_chunk(request, route, (*writer)->size()))
    return std::move(*refused);
  return std::make_unique<Append>(std::move(**writer), route, std::move(digest));
}

}  // namespace wherry::registry
