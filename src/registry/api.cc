#include "registry/api.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "registry/log.h"

namespace wherry::registry {
namespace {

Response fault_response(RouteFault fault) {
  switch (fault) {
    case RouteFault::kBadName:
      return error_response(400, "NAME_INVALID", "invalid repository name",
                            "lower-case letters and digits, separated by '.', '_', '__' or '-', in "
                            "parts between '/', "
                            "at most 255 bytes");
    case RouteFault::kBadDigest:
      return error_response(400, "DIGEST_INVALID", "invalid digest",
                            "sha256:<64 lower-case hex digits> or sha512:<128>");
    case RouteFault::kBadReference:
      return error_response(400, "MANIFEST_INVALID", "invalid tag",
                            "letters, digits, '_', '.', '-', at most 128; not first '.' or '-'");
    case RouteFault::kBadUpload:
      return error_response(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload");
    case RouteFault::kBadEncoding:
      return error_response(400, "UNSUPPORTED", "the request's target is malformed");
    case RouteFault::kUnknownPath:
      break;
  }
  return error_response(404, "UNSUPPORTED", "there is nothing at this path");
}

}  // namespace

Response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view detail) {
  nlohmann::ordered_json item;
  item["code"] = code;
  item["message"] = message;
  item["detail"] = nullptr;
  if (!detail.empty()) item["detail"] = detail;
  nlohmann::ordered_json document;
  document["errors"] = nlohmann::ordered_json::array({std::move(item)});
  Response response;
  response.status = status;
  response.add("Content-Type", "application/json");
  response.body = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return response;
}

Response store_failure(const Error& error) {
  log(Level::kError, error.message() + (error.hint().empty() ? "" : " (" + error.hint() + ")"));
  if (error.kind() == ErrorKind::kResourceExhausted)
    return error_response(507, "UNKNOWN", "the registry has no space left", error.message());
  return error_response(500, "UNKNOWN", "the registry's store failed", error.message());
}

Response method_not_allowed(std::string_view allowed) {
  Response response = error_response(405, "UNSUPPORTED", "this method is not for this path",
                                     "allowed: " + std::string(allowed));
  response.add("Allow", std::string(allowed));
  return response;
}

Response name_unknown(const std::string& name) {
  return error_response(404, "NAME_UNKNOWN", "there is no repository '" + name + "'");
}

bool matches_etag(const Request& request, const std::string& etag) {
  const std::string* wanted = request.header("if-none-match");
  if (wanted == nullptr) return false;
  for (std::string_view one : split(*wanted, ',')) {
    one = trim(one);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == etag) return true;
  }
  return false;
}

Admission Api::admission(const Request& request) {
  if (users_ == nullptr) return Admission::kYes;
  std::optional<bool> known = users_->known(request.header("authorization"));
  if (!known) return Admission::kAskSlowly;
  return *known ? Admission::kYes : Admission::kNo;
}

bool Api::check_credentials(const Request& request) {
  return users_->check(*request.header("authorization"));
}

Response Api::unauthorized() {
  Response response = error_response(401, "UNAUTHORIZED", "authentication required");
  response.add("WWW-Authenticate", "Basic realm=\"wherry-registry\", charset=\"UTF-8\"");
  return response;
}

Begun Api::begin(const Request& request) {
  auto route = parse_route(request.target);
  if (auto* fault = std::get_if<RouteFault>(&route)) return fault_response(*fault);
  return dispatch(request, std::get<Route>(route));
}

Begun Api::dispatch(const Request& request, const Route& route) {
  bool reads = request.method == "GET" || request.method == "HEAD";
  switch (route.kind) {
    case Route::Kind::kBlob:
      return blob(request, route);
    case Route::Kind::kUploads:
      return start_upload(request, route);
    case Route::Kind::kUpload:
      return upload(request, route);
    case Route::Kind::kManifest:
      return manifest(request, route);
    default:
      break;
  }
  if (!reads) return method_not_allowed("GET, HEAD");
  switch (route.kind) {
    case Route::Kind::kCatalog:
      return catalog(route);
    case Route::Kind::kTags:
      return tags(route);
    case Route::Kind::kReferrers:
      return referrers(route);
    default:
      break;
  }
  Response base;
  base.body = "{}";
  return base.add("Content-Type", "application/json");
}

}  // namespace wherry::registry
