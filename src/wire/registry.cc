#include "wire/registry.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "oci/json_reader.h"
#include "oci/names.h"
#include "sys/sha256.h"

namespace wherry::wire {
namespace {

using nlohmann::json;

constexpr int kMaxRedirects = 10;
constexpr int kMaxTagPages = 1000;
constexpr size_t kMaxTags = 4u << 20;
constexpr const char* kAccept[] = {
    "Accept: application/vnd.oci.image.index.v1+json",
    "Accept: application/vnd.oci.image.manifest.v1+json",
    "Accept: application/vnd.docker.distribution.manifest.list.v2+json",
    "Accept: application/vnd.docker.distribution.manifest.v2+json",
};

bool is_redirect(const Request& request, const Response& response) {
  if (response.header("location").empty()) return false;
  if (response.status == 307 || response.status == 308) return true;
  bool reads = request.method == "GET" || request.method == "HEAD";
  return reads && response.status >= 301 && response.status <= 303;
}

// What the server says that it sent; an unknown algorithm says nothing.
Result<void> check_content_digest(const Response& response, const Digest& digest) {
  std::string said = response.header("docker-content-digest");
  if (said.empty() || said == digest.str() || said.starts_with("sha512:")) return {};
  return Error(ErrorKind::kCorrupt,
               "the server calls it '" + shown(said) + "', but it is '" + digest.str() + "'");
}

Result<void> take_tags(const Response& response, std::string& lines) {
  TRY(json document, oci::parse_bounded(response.body, "tag list"));
  std::vector<std::string> tags;
  TRY_VOID(oci::take_texts(document, "tags", tags));
  for (const std::string& tag : tags) {
    if (!oci::is_tag(tag)) return Error(ErrorKind::kCorrupt, "invalid tag '" + shown(tag) + "'");
    lines += tag + "\n";
  }
  if (lines.size() > kMaxTags)
    return Error(ErrorKind::kResourceExhausted, "the list of tags is larger than 4 MiB");
  return {};
}

// RFC 8288, as registries write it: <url>; rel="next".
std::string next_page(const Response& response) {
  std::string link = response.header("link");
  size_t begin = link.find('<');
  size_t end = link.find('>');
  if (begin == link.npos || end == link.npos || end < begin) return "";
  bool is_next =
      link.find("rel=\"next\"", end) != link.npos || link.find("rel=next", end) != link.npos;
  return is_next ? link.substr(begin + 1, end - begin - 1) : "";
}

}  // namespace

Registry::Registry(Loop& loop, Opening opening, Session session, Url base)
    : loop_(loop),
      opening_(std::move(opening)),
      session_(std::move(session)),
      base_(std::move(base)),
      authorizer_(loop, session_, opening_, base_) {}

Result<std::unique_ptr<Registry>> Registry::open(Loop& loop, Opening opening, Session session) {
  TRY(Url base, parse_url(opening.base_url));
  session.patience = opening.patience;
  session.verify_tls = opening.verify_tls;
  session.registry = base.origin;
  return std::unique_ptr<Registry>(
      new Registry(loop, std::move(opening), std::move(session), std::move(base)));
}

std::string Registry::url_of(const std::string& path) const {
  std::string url = base_.text;
  if (url.ends_with('/')) url.pop_back();
  return url + "/v2/" + opening_.repository + path;
}

Error Registry::error_of(const Outcome& outcome) {
  if (!outcome.failure) return answer_error(outcome.response, opening_.domain);
  met_plain_http_ = outcome.failure->cause == Failure::Cause::kPlainHttp;
  return outcome.failure->error;
}

Task<Registry::Outcome> Registry::attempt(Request request) {
  Outcome outcome;
  auto refuse = [&outcome](Error error) {
    outcome.failure = Failure{std::move(error), Failure::Cause::kFinal};
  };
  const std::vector<std::string> headers = request.headers;
  Result<Url> url = parse_url(request.url);
  bool answered = false;
  for (int hops = 0; url && hops <= kMaxRedirects;) {
    outcome.url = *url;
    request.url = url->text;
    request.headers = headers;
    bool own = url->origin == base_.origin;
    std::string proof;
    if (own) {
      Result<std::string> known = co_await authorizer_.authorization();
      if (!known) {
        refuse(std::move(known.error()));
        co_return outcome;
      }
      proof = *known;
      if (!proof.empty()) request.headers.push_back("Authorization: " + proof);
    }
    Exchange exchange(loop_, session_, request);
    co_await exchange;
    outcome.failure = exchange.failure();
    outcome.response = std::move(exchange.response());
    if (outcome.failure) co_return outcome;
    if (own) known_ = true;
    if (own && outcome.response.status == 401 && !std::exchange(answered, true)) {
      Result<void> can_go_on = co_await authorizer_.answer(outcome.response, proof);
      if (can_go_on) continue;
      refuse(std::move(can_go_on.error()));
      co_return outcome;
    }
    if (!is_redirect(request, outcome.response)) co_return outcome;
    ++hops;
    bool encrypted = url->encrypted();
    url = resolve_url(outcome.url, outcome.response.header("location"));
    if (url && encrypted && !url->encrypted()) {
      refuse(Error(ErrorKind::kUnavailable,
                   "the server sends us on to '" + url->origin + "', which is not encrypted"));
      co_return outcome;
    }
  }
  refuse(url ? Error(ErrorKind::kUnavailable,
                     "the server sends us on more than " + std::to_string(kMaxRedirects) + " times")
             : std::move(url.error()));
  co_return outcome;
}

Task<Registry::Outcome> Registry::send(Request request) {
  Retries retries(session_.patience, known_);
  for (;;) {
    Outcome outcome = co_await attempt(request);
    std::optional<int64_t> delay = retries.next(outcome.failure, outcome.response);
    if (!delay) co_return outcome;
    Sleep pause(loop_, *delay);
    co_await pause;
  }
}

Task<Result<std::string>> Registry::login() {
  authorizer_.want_identity_token();
  Request request;
  request.url = base_.text;
  if (request.url.ends_with('/')) request.url.pop_back();
  request.url += "/v2/";
  Outcome outcome = co_await send(request);
  if (!outcome.is(200)) co_return error_of(outcome);
  co_return authorizer_.identity_token();
}

Task<Result<Manifest>> Registry::get_manifest(const std::string& reference) {
  Request request;
  request.url = url_of("/manifests/" + reference);
  request.headers.assign(std::begin(kAccept), std::end(kAccept));
  request.max_body = kMaxManifest;
  Outcome outcome = co_await send(request);
  if (!outcome.is(200)) co_return error_of(outcome);
  Digest digest = sys::sha256(outcome.response.body);
  if (reference.find(':') != reference.npos && reference != digest.str())
    co_return Error(ErrorKind::kCorrupt, "it has the digest '" + digest.str() + "'");
  CO_TRY_VOID(check_content_digest(outcome.response, digest));
  std::string type = outcome.response.header("content-type");
  type = std::string(trim(split_once(type, ';').first));
  Manifest manifest{std::move(outcome.response.body), std::move(type), std::move(digest)};
  co_return manifest;
}

Task<Result<std::optional<Digest>>> Registry::head_manifest(const std::string& reference) {
  Request request;
  request.method = "HEAD";
  request.url = url_of("/manifests/" + reference);
  request.headers.assign(std::begin(kAccept), std::end(kAccept));
  Outcome outcome = co_await send(request);
  if (outcome.is(404)) co_return std::optional<Digest>();
  if (!outcome.is(200) && !outcome.is(405)) co_return error_of(outcome);
  std::string said = outcome.response.header("docker-content-digest");
  if (!said.empty()) {
    CO_TRY(Digest digest, Digest::parse(said));
    co_return std::optional<Digest>(std::move(digest));
  }
  // The header is optional: the bytes tell.
  Result<Manifest> manifest = co_await get_manifest(reference);
  if (!manifest) co_return Error(std::move(manifest.error()));
  co_return std::optional<Digest>(manifest->digest);
}

Task<Result<Digest>> Registry::put_manifest(const std::string& reference,
                                            const std::string& media_type,
                                            const std::string& bytes) {
  Request request;
  request.method = "PUT";
  request.url = url_of("/manifests/" + reference);
  request.headers = {"Content-Type: " + media_type};
  request.body = bytes;
  Outcome outcome = co_await send(request);
  if (outcome.failure || outcome.response.status / 100 != 2) co_return error_of(outcome);
  Digest digest = sys::sha256(bytes);
  CO_TRY_VOID(check_content_digest(outcome.response, digest));
  co_return digest;
}

Task<Result<std::string>> Registry::list_tags() {
  std::string lines;
  Request request;
  request.url = url_of("/tags/list?n=1000");
  request.max_body = kMaxTags;
  for (int page = 0; page < kMaxTagPages; ++page) {
    Outcome outcome = co_await send(request);
    if (!outcome.is(200)) co_return error_of(outcome);
    CO_TRY_VOID(take_tags(outcome.response, lines));
    std::string next = next_page(outcome.response);
    if (next.empty()) co_return lines;
    CO_TRY(Url url, resolve_url(outcome.url, next));
    if (url.origin != base_.origin)
      co_return Error(ErrorKind::kCorrupt, "the next page is at '" + url.origin + "'");
    request.url = url.text;
  }
  co_return Error(ErrorKind::kResourceExhausted, "the list of tags does not end");
}

Task<Result<bool>> Registry::has_blob(const Digest& digest) {
  Request request;
  request.method = "HEAD";
  request.url = url_of("/blobs/" + digest.str());
  Outcome outcome = co_await send(request);
  if (outcome.is(404)) co_return false;
  // An object store may refuse to say HEAD of what it was asked to GET, but it is there.
  bool elsewhere = !outcome.failure && outcome.url.origin != base_.origin;
  if (!outcome.is(200) && !elsewhere) co_return error_of(outcome);
  co_return true;
}

Task<Result<bool>> Registry::mount_blob(const Digest& digest, const std::string& from) {
  Request request;
  request.method = "POST";
  request.url = with_parameter(url_of("/blobs/uploads/"), "mount", digest.str());
  request.url = with_parameter(request.url, "from", from);
  Outcome outcome = co_await send(request);
  if (outcome.is(201)) co_return true;
  if (outcome.failure || outcome.response.status >= 500) co_return error_of(outcome);
  std::string location = outcome.response.header("location");
  if (outcome.is(202) && !location.empty()) {
    CO_TRY(Url url, resolve_url(outcome.url, location));
    sessions_.insert_or_assign(digest, std::move(url));
  }
  // Any other answer: it cannot or will not. The bytes decide.
  co_return false;
}

}  // namespace wherry::wire
