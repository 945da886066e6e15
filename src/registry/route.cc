#include "registry/route.h"

#include <vector>

#include "base/text.h"
#include "oci/names.h"
#include "registry/http.h"

namespace wherry::registry {
namespace {

constexpr size_t kMaxParameters = 32;
constexpr size_t kUploadIdBytes = 32;

using Parts = std::vector<std::string>;

std::optional<Parts> path_parts(std::string_view path) {
  Parts parts;
  for (std::string_view part : split(path, '/')) {
    std::optional<std::string> decoded = percent_decode(part);
    if (!decoded) return std::nullopt;
    parts.push_back(std::move(*decoded));
  }
  return parts;
}

bool take_query(std::string_view query, Route& route) {
  for (std::string_view pair : split(query, '&')) {
    if (pair.empty()) continue;
    auto [raw_key, raw_value] = split_once(pair, '=');
    std::optional<std::string> key = percent_decode(raw_key);
    std::optional<std::string> value = percent_decode(raw_value.value_or(""));
    if (!key || !value || route.query.size() == kMaxParameters) return false;
    // Of a key that comes twice the first counts, as with Go's url.Values.Get.
    route.query.emplace(std::move(*key), std::move(*value));
  }
  return true;
}

// The name is what stands before the last `tail` parts.
bool take_name(const Parts& parts, size_t tail, Route& route) {
  for (size_t i = 0; i + tail < parts.size(); ++i) route.name += (i == 0 ? "" : "/") + parts[i];
  return oci::is_repository(route.name);
}

std::optional<RouteFault> take_reference(const std::string& text, Route& route) {
  if (text.contains(':')) {
    std::optional<ContentDigest> digest = ContentDigest::parse(text);
    if (!digest) return RouteFault::kBadDigest;
    route.reference = std::move(*digest);
    return std::nullopt;
  }
  if (!oci::is_tag(text)) return RouteFault::kBadReference;
  route.reference = text;
  return std::nullopt;
}

std::optional<RouteFault> take_digest(const std::string& text, Route& route) {
  route.digest = ContentDigest::parse(text);
  if (!route.digest) return RouteFault::kBadDigest;
  return std::nullopt;
}

// `parts`: what follows "/v2/", at least two parts.
std::optional<RouteFault> take_path(const Parts& parts, Route& route) {
  const std::string& last = parts.back();
  const std::string& before = parts[parts.size() - 2];
  size_t count = parts.size();
  auto named = [&](size_t tail, Route::Kind kind) {
    route.kind = kind;
    return take_name(parts, tail, route);
  };
  if (count >= 4 && parts[count - 3] == "blobs" && before == "uploads") {
    bool start = last.empty();
    if (!named(3, start ? Route::Kind::kUploads : Route::Kind::kUpload))
      return RouteFault::kBadName;
    route.upload = last;
    if (!start && !valid_upload_id(last)) return RouteFault::kBadUpload;
    return std::nullopt;
  }
  if (count < 3) return RouteFault::kUnknownPath;
  if (before == "blobs") {
    bool start = last == "uploads";
    if (!named(2, start ? Route::Kind::kUploads : Route::Kind::kBlob)) return RouteFault::kBadName;
    return start ? std::nullopt : take_digest(last, route);
  }
  if (before == "manifests") {
    if (!named(2, Route::Kind::kManifest)) return RouteFault::kBadName;
    return take_reference(last, route);
  }
  if (before == "referrers") {
    if (!named(2, Route::Kind::kReferrers)) return RouteFault::kBadName;
    return take_digest(last, route);
  }
  if (before == "tags" && last == "list")
    return named(2, Route::Kind::kTags) ? std::nullopt : std::optional(RouteFault::kBadName);
  return RouteFault::kUnknownPath;
}

}  // namespace

bool valid_upload_id(std::string_view id) {
  return id.size() == kUploadIdBytes && is_hex(id);
}

const std::string* Route::parameter(std::string_view key) const {
  auto found = query.find(key);
  return found == query.end() ? nullptr : &found->second;
}

std::variant<Route, RouteFault> parse_route(std::string_view target) {
  auto [path, query] = split_once(target, '?');
  Route route;
  if (path != "/v2" && !path.starts_with("/v2/")) return RouteFault::kUnknownPath;
  if (query && !take_query(*query, route)) return RouteFault::kBadEncoding;
  path.remove_prefix(std::min<size_t>(path.size(), 4));
  if (path.empty()) return route;
  std::optional<Parts> parts = path_parts(path);
  if (!parts) return RouteFault::kBadEncoding;
  if (parts->size() == 1 && parts->front() == "_catalog") {
    route.kind = Route::Kind::kCatalog;
    return route;
  }
  if (parts->size() < 2) return RouteFault::kUnknownPath;
  if (std::optional<RouteFault> fault = take_path(*parts, route)) return *fault;
  return route;
}

}  // namespace wherry::registry
