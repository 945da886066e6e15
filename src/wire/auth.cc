#include "wire/auth.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/scope.h"
#include "base/text.h"
#include "oci/json_reader.h"
#include "wire/retry.h"

namespace wherry::wire {
namespace {

using nlohmann::json;

constexpr const char* kClient = "wherry";
constexpr int64_t kDefaultSeconds = 60;
constexpr int64_t kLongestSeconds = 24 * 3600;
constexpr size_t kMaxToken = 64u << 10;

std::string base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                               reinterpret_cast<const unsigned char*>(bytes.data()),
                               static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::string basic_proof(const Opening& opening) {
  return "Basic " + base64(opening.username + ":" + opening.password);
}

bool is_header_text(const std::string& text) {
  return text.size() <= kMaxToken &&
         std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

Error refused(const Url& realm, const Url& registry, const std::string& why) {
  return Error(ErrorKind::kUnavailable, "the registry '" + registry.origin +
                                            "' sends credentials to '" + realm.origin +
                                            "', which " + why)
      .set_hint("nothing was sent; if this token server is right, reach the registry the same way");
}

}  // namespace

Result<void> check_realm(const Url& realm, const Url& registry,
                         const std::string& registry_address) {
  if (registry.encrypted() && !realm.encrypted())
    return refused(realm, registry, "is not encrypted");
  if (realm.host == registry.host) return {};
  return check_realm_address(realm, realm.host, registry, registry_address);
}

Result<void> check_realm_address(const Url& realm, const std::string& address, const Url& registry,
                                 const std::string& registry_address) {
  if (realm.host == registry.host) return {};
  Place theirs = std::max(place_of(registry.host), place_of(registry_address));
  Place place = place_of(address);
  if (place <= theirs) return {};
  return refused(realm, registry,
                 place == Place::kOurselves ? "is on this machine" : "is in a private network");
}

Authorizer::Authorizer(Loop& loop, const Session& session, const Opening& opening,
                       const Url& registry)
    : loop_(loop), session_(session), opening_(opening), registry_(registry), turnstile_(loop) {}

bool Authorizer::is_fresh() const {
  return !token_.empty() && monotonic_ns() < renew_at_ns_;
}

Task<Result<std::string>> Authorizer::authorization() {
  if (scheme_ == Scheme::kNone) co_return std::string();
  if (scheme_ == Scheme::kBasic) co_return basic_proof(opening_);
  if (!is_fresh()) {
    Result<void> renewed = co_await renew();
    if (!renewed) co_return Error(std::move(renewed.error()));
  }
  // Anonymous servers may have nothing to give.
  co_return "Bearer " + token_;
}

Result<void> Authorizer::choose(const Response& response) {
  std::vector<Challenge> challenges;
  auto [begin, end] = response.headers.equal_range("www-authenticate");
  for (auto header = begin; header != end; ++header)
    for (Challenge& challenge : parse_challenges(header->second))
      challenges.push_back(std::move(challenge));
  auto find = [&](const char* scheme) {
    return std::ranges::find(challenges, std::string_view(scheme), &Challenge::scheme);
  };
  if (auto bearer = find("bearer"); bearer != challenges.end()) {
    std::string realm = bearer->parameter("realm");
    TRY_CTX(realm_, resolve_url(registry_, realm), "the registry names no token server");
    TRY_VOID(check_realm(realm_, registry_, response.address));
    registry_address_ = response.address;
    service_ = bearer->parameter("service");
    asked_scope_ = bearer->parameter("scope");
    scheme_ = Scheme::kBearer;
    return {};
  }
  if (find("basic") == challenges.end())
    return Error(ErrorKind::kUnsupported,
                 "'" + opening_.domain + "' asks for a login of a kind that is not known");
  if (!opening_.has_credentials || opening_.username.empty())
    return Error(ErrorKind::kPermissionDenied, "'" + opening_.domain + "' asks for a login")
        .set_hint("log in with 'wherry login " + opening_.domain + "'");
  scheme_ = Scheme::kBasic;
  return {};
}

Task<Result<void>> Authorizer::answer(const Response& response, const std::string& rejected) {
  // Somebody else was faster to renew it.
  if (scheme_ == Scheme::kBearer && is_fresh() && rejected != "Bearer " + token_)
    co_return Result<void>();
  CO_TRY_VOID(choose(response));
  if (scheme_ == Scheme::kBasic) {
    if (rejected == basic_proof(opening_))
      co_return Error(ErrorKind::kPermissionDenied,
                      "'" + opening_.domain + "' refuses the user name or password")
          .set_hint("log in again with 'wherry login " + opening_.domain + "'");
    co_return Result<void>();
  }
  token_.clear();
  Result<void> renewed = co_await renew();
  co_return renewed;
}

Task<Result<void>> Authorizer::renew() {
  while (fetching_) {
    Turnstile::Wait wait(turnstile_);
    co_await wait;
  }
  if (is_fresh()) co_return Result<void>();
  fetching_ = true;
  auto opened = on_exit([this] {
    fetching_ = false;
    turnstile_.wake_all();
  });
  Result<void> fetched = co_await fetch_token();
  if (!fetched)
    co_return std::move(fetched.error())
        .wrap("cannot get a token for '" + opening_.domain + "' from '" + realm_.origin + "'");
  co_return Result<void>();
}

// Ours in one order, so that a proxy or a server may remember the answer.
std::vector<std::string> Authorizer::scopes() const {
  std::vector<std::string> list;
  auto add = [&](std::string scope) {
    if (!scope.empty() && std::ranges::find(list, scope) == list.end())
      list.push_back(std::move(scope));
  };
  if (!opening_.repository.empty())
    add("repository:" + opening_.repository + ":" + opening_.actions);
  for (const std::string& other : opening_.also_pull) add("repository:" + other + ":pull");
  for (std::string_view asked : split(asked_scope_, ' ')) {
    // One for our repository that ours covers would only double it.
    bool covered = !opening_.repository.empty() &&
                   asked.starts_with("repository:" + opening_.repository + ":") &&
                   opening_.actions.find(asked.substr(asked.rfind(':') + 1)) != std::string::npos;
    if (!covered) add(std::string(asked));
  }
  return list;
}

Result<Request> Authorizer::token_request() const {
  Request request;
  request.max_body = 1u << 20;
  request.check_address = [this](const std::string& address) {
    return check_realm_address(realm_, address, registry_, registry_address_);
  };
  if (opening_.has_credentials && !opening_.identity_token.empty()) {
    request.method = "POST";
    request.url = realm_.text;
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    std::vector<std::string> asked = scopes();
    request.body = "grant_type=refresh_token&client_id=" + std::string(kClient) +
                   "&service=" + escape_parameter(service_) +
                   "&scope=" + escape_parameter(join(asked, " ")) +
                   "&refresh_token=" + escape_parameter(opening_.identity_token);
    return request;
  }
  request.url = realm_.text;
  if (!service_.empty()) request.url = with_parameter(request.url, "service", service_);
  for (const std::string& scope : scopes())
    request.url = with_parameter(request.url, "scope", scope);
  if (!opening_.has_credentials) return request;
  request.url = with_parameter(request.url, "account", opening_.username);
  request.url = with_parameter(request.url, "client_id", kClient);
  if (wants_identity_token_) request.url = with_parameter(request.url, "offline_token", "true");
  request.headers = {"Authorization: " + basic_proof(opening_)};
  return request;
}

Task<Result<void>> Authorizer::fetch_token() {
  CO_TRY(Request request, token_request());
  Retries retries(session_.patience, /*known=*/false);
  for (;;) {
    Exchange exchange(loop_, session_, request);
    co_await exchange;
    const Response& response = exchange.response();
    if (!exchange.failure() && response.status == 200) {
      Result<void> taken = take_token(response);
      co_return taken;
    }
    std::optional<int64_t> delay = retries.next(exchange.failure(), response);
    if (!delay) {
      if (exchange.failure()) co_return Error(exchange.failure()->error);
      co_return answer_error(response, opening_.domain);
    }
    Sleep pause(loop_, *delay);
    co_await pause;
  }
}

Result<void> Authorizer::take_token(const Response& response) {
  TRY(json document, oci::parse_bounded(response.body, "answer"));
  std::string token, access_token, refresh_token;
  TRY_VOID(oci::take_text(document, "token", token));
  TRY_VOID(oci::take_text(document, "access_token", access_token));
  TRY_VOID(oci::take_text(document, "refresh_token", refresh_token));
  if (token.empty()) token = access_token;
  if (token.empty() || !is_header_text(token) || refresh_token.size() > kMaxToken)
    return Error(ErrorKind::kCorrupt, "there is no token in the answer");
  int64_t seconds = kDefaultSeconds;
  if (auto found = document.find("expires_in");
      found != document.end() && found->is_number_unsigned())
    seconds = static_cast<int64_t>(std::min<uint64_t>(found->get<uint64_t>(), kLongestSeconds));
  seconds = std::max(seconds, kDefaultSeconds);
  token_ = std::move(token);
  identity_token_ = std::move(refresh_token);
  // From now and not from issued_at: the clocks need not agree.
  renew_at_ns_ = monotonic_ns() + (seconds - std::min<int64_t>(seconds / 4, 30)) * 1'000'000'000;
  return {};
}

}  // namespace wherry::wire
