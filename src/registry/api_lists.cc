// The lists: tags, repositories, referrers; in pages with a Link to the next.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "registry/api.h"

namespace wherry::registry {
namespace {

using nlohmann::ordered_json;

constexpr size_t kAllTags = 10'000;
constexpr size_t kCatalogPage = 100, kMostCatalog = 1000;
constexpr size_t kReferrersPage = 500;

Response bad_page() {
  return error_response(400, "PAGINATION_NUMBER_INVALID", "'n' must be a whole number");
}

// What ?n= asks for, at most `most`; nullopt when it is not a number.
std::optional<size_t> page_size(const Route& route, size_t usual, size_t most) {
  const std::string* text = route.parameter("n");
  if (text == nullptr) return usual;
  std::optional<uint64_t> wanted = parse_u64(*text);
  if (!wanted) return std::nullopt;
  return static_cast<size_t>(std::min<uint64_t>(*wanted, most));
}

std::string last_of(const Route& route) {
  const std::string* last = route.parameter("last");
  return last == nullptr ? "" : *last;
}

void add_link(Response& response, const std::string& path, size_t limit, const Page& page,
              const std::string& more = "") {
  if (!page.more || page.items.empty()) return;
  response.add("Link", "<" + path + "?n=" + std::to_string(limit) +
                           "&last=" + percent_encode(page.items.back()) + more + ">; rel=\"next\"");
}

Response json_response(const ordered_json& document) {
  Response response;
  response.body = document.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  return response.add("Content-Type", "application/json");
}

}  // namespace

Response Api::tags(const Route& route) {
  if (!repositories_.exists(route.name)) return name_unknown(route.name);
  std::optional<size_t> limit = page_size(route, kAllTags, kAllTags);
  if (!limit) return bad_page();
  Result<Page> page = repositories_.tags(route.name, *limit, last_of(route));
  if (!page) return store_failure(page.error());
  Response response = json_response({{"name", route.name}, {"tags", page->items}});
  add_link(response, "/v2/" + route.name + "/tags/list", *limit, *page);
  return response;
}

Response Api::catalog(const Route& route) {
  std::optional<size_t> limit = page_size(route, kCatalogPage, kMostCatalog);
  if (!limit) return bad_page();
  Result<Page> page = repositories_.catalog(*limit, last_of(route));
  if (!page) return store_failure(page.error());
  ordered_json document;
  document["repositories"] = page->items;
  Response response = json_response(document);
  add_link(response, "/v2/_catalog", *limit, *page);
  return response;
}

Response Api::referrers(const Route& route) {
  std::optional<size_t> limit = page_size(route, kReferrersPage, kReferrersPage);
  if (!limit || *limit == 0) return bad_page();
  const std::string* filter = route.parameter("artifactType");
  Result<Page> page = repositories_.referrers(route.name, *route.digest, *limit, last_of(route));
  if (!page) return store_failure(page.error());
  ordered_json list = ordered_json::array();
  for (const std::string& key : page->items) {
    Result<std::string> descriptor = repositories_.referrer(route.name, *route.digest, key);
    if (!descriptor) return store_failure(descriptor.error());
    if (descriptor->empty() || (filter != nullptr && artifact_type_of(*descriptor) != *filter))
      continue;
    list.push_back(ordered_json::parse(*descriptor, nullptr, /*allow_exceptions=*/false));
  }
  ordered_json document;
  document["schemaVersion"] = 2;
  document["mediaType"] = "application/vnd.oci.image.index.v1+json";
  document["manifests"] = std::move(list);
  Response response = json_response(document);
  response.headers.front().second = "application/vnd.oci.image.index.v1+json";
  if (filter != nullptr) response.add("OCI-Filters-Applied", "artifactType");
  add_link(response, "/v2/" + route.name + "/referrers/" + route.digest->str(), *limit, *page,
           filter == nullptr ? "" : "&artifactType=" + percent_encode(*filter));
  return response;
}

}  // namespace wherry::registry
