// Who we are, to a registry: Basic, or a Bearer token of the server that its challenge names.
//
// The challenge is foreign text that says where a password goes. So: no token server by http for a
// registry by https; none on this host or in a private network unless the registry is there too,
// by name and by the address that the connection really has; no redirects; the scheme and the
// host are named when one is refused (CVE-2020-15157 and its kin).
#pragma once

#include <string>
#include <vector>

#include "wire/challenge.h"
#include "wire/exchange.h"
#include "wire/task.h"

namespace wherry::wire {

// May credentials for `registry` (at `registry_address`) go to `realm`? Errors say why not.
Result<void> check_realm(const Url& realm, const Url& registry,
                         const std::string& registry_address);
// The same for the address that the realm's name turned out to have.
Result<void> check_realm_address(const Url& realm, const std::string& address, const Url& registry,
                                 const std::string& registry_address);

class Authorizer {
 public:
  Authorizer(Loop& loop, const Session& session, const Opening& opening, const Url& registry);

  // For the Authorization header; "" as long as the registry has not asked. Renews what expires.
  Task<Result<std::string>> authorization();
  // What to do about a 401. `rejected`: what was sent. An error: nothing is left to try.
  Task<Result<void>> answer(const Response& response, const std::string& rejected);
  // The token server is to give an identity token, which is kept here.
  void want_identity_token() { wants_identity_token_ = true; }
  const std::string& identity_token() const { return identity_token_; }

 private:
  enum class Scheme { kNone, kBasic, kBearer };

  bool is_fresh() const;
  Task<Result<void>> renew();
  Task<Result<void>> fetch_token();
  Result<Request> token_request() const;
  Result<void> take_token(const Response& response);
  Result<void> choose(const Response& response);
  std::vector<std::string> scopes() const;

  Loop& loop_;
  const Session& session_;
  const Opening& opening_;
  const Url& registry_;
  Scheme scheme_ = Scheme::kNone;
  Url realm_;
  std::string service_, asked_scope_, registry_address_;
  std::string token_;
  int64_t renew_at_ns_ = 0;
  bool wants_identity_token_ = false;
  std::string identity_token_;
  bool fetching_ = false;
  Turnstile turnstile_;
};

}  // namespace wherry::wire
