// Images from and to registries: the user's credentials and the configuration meet the transfer.
#include "base/failpoint.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "transfer/credential_store.h"
#include "transfer/image_transfer.h"

namespace wherry::engine {
namespace {

Error no_such_tag(const oci::ImageRef& reference) {
  return Error(ErrorKind::kNotFound,
               "An image does not exist locally with the tag: " + reference.familiar_repository())
      .set_hint("'wherry images' lists those that there are, 'wherry tag' gives one this name");
}

}  // namespace

// Each registry on the way gets its own, and no other's.
Result<std::vector<transfer::Endpoint>> LocalEngine::with_credentials(
    std::vector<transfer::Endpoint> endpoints) const {
  transfer::CredentialStore store(options_.docker_config, options_.search_path);
  for (size_t i = 0; i < endpoints.size(); ++i) {
    // A registry's two schemes have the same; a helper may ask its user each time.
    if (i > 0 && endpoints[i].domain == endpoints[i - 1].domain) {
      endpoints[i].credentials = endpoints[i - 1].credentials;
    } else {
      TRY(endpoints[i].credentials, store.get(endpoints[i].domain));
    }
  }
  return endpoints;
}

transfer::EndpointsOf LocalEngine::pull_endpoints_of() const {
  return [this](const std::string& domain) {
    return with_credentials(transfer::pull_endpoints(domain, options_.registries));
  };
}

Result<transfer::Pulled> LocalEngine::pull(const PullRequest& request) {
  TraceScope trace("engine.pull");
  TRY(oci::ImageRef reference, oci::ImageRef::parse(request.name));
  TRY(store::Store * images, store());
  TRY_VOID(images->sweep());
  ensure_reserve(fds_.root.get());
  TRY(auto endpoints, pull_endpoints_of()(reference.domain()));
  Result<transfer::Pulled> pulled = transfer::pull(
      *images, reference, endpoints, {request.platform, options_.max_downloads, request.progress});
  // One layer's objects could not be taken away while another layer's were counted on.
  if (!pulled) [[maybe_unused]]
    Result<void> swept = images->sweep();
  return pulled;
}

Result<transfer::Pushed> LocalEngine::push(const PushRequest& request) {
  TraceScope trace("engine.push");
  TRY(oci::ImageRef reference, oci::ImageRef::parse(request.name));
  if (reference.digest())
    return Error(ErrorKind::kInvalidArgument, "cannot push a digest reference")
        .set_hint("push a tag: NAME[:TAG]");
  TRY(store::Store * images, store());
  TRY_VOID(images->sweep());
  ensure_reserve(fds_.root.get());
  Result<store::Image> image = images->find(reference.familiar());
  if (!image && image.error().kind() == ErrorKind::kNotFound) return no_such_tag(reference);
  if (!image) return std::move(image.error());
  TRY(auto endpoints,
      with_credentials(transfer::push_endpoints(reference.domain(), options_.registries)));
  return transfer::push(
      *images, *image, reference, endpoints,
      {options_.max_uploads, request.progress, pull_endpoints_of(), request.recompress});
}

Result<std::vector<std::string>> LocalEngine::remote_tags(const std::string& repository) {
  TRY(oci::ImageRef reference, oci::ImageRef::parse(repository));
  TRY(auto endpoints, pull_endpoints_of()(reference.domain()));
  return transfer::list_tags(reference, endpoints);
}

Result<Engine::LoggedIn> LocalEngine::login(const LoginRequest& request) {
  TraceScope trace("engine.login");
  std::string domain = transfer::domain_of_server(request.server);
  TRY_VOID_CTX(transfer::check_insecure(domain), "cannot log in");
  transfer::CredentialStore store(options_.docker_config, options_.search_path);
  transfer::Credentials credentials{request.username, request.password, {}};
  if (request.username.empty()) {
    TRY(auto kept, store.get(domain));
    if (!kept) return Error(ErrorKind::kNotFound, "no credentials are kept for '" + domain + "'");
    credentials = std::move(*kept);
  }
  std::vector<transfer::Endpoint> endpoints = transfer::push_endpoints(domain, options_.registries);
  for (transfer::Endpoint& endpoint : endpoints) endpoint.credentials = credentials;
  TRY(std::string token, transfer::check_login(endpoints));
  if (!token.empty()) credentials.identity_token = std::move(token);
  TRY(transfer::CredentialStore::Kept kept, store.put(domain, credentials));
  return LoggedIn{std::move(kept.file), std::move(kept.helper)};
}

Result<bool> LocalEngine::logout(const std::string& server) {
  std::string domain = transfer::domain_of_server(server);
  TRY_VOID_CTX(transfer::check_insecure(domain), "cannot log out");
  transfer::CredentialStore store(options_.docker_config, options_.search_path);
  return store.erase(domain);
}

}  // namespace wherry::engine
