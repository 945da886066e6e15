#include "transfer/attempts.h"

namespace wherry::transfer {

bool worth_another(const Error& error, bool plain_http, const Endpoint& endpoint,
                   const Endpoint& next) {
  if (endpoint.domain == next.domain) return plain_http;
  return error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kNotFound ||
         error.kind() == ErrorKind::kPermissionDenied;
}

Error explain_pull(Error error, const oci::ImageRef& reference) {
  std::string name = reference.familiar();
  switch (error.kind()) {
    case ErrorKind::kNotFound: {
      Error found = std::move(error).wrap("manifest for " + name + " not found: manifest unknown");
      if (found.hint().empty()) found.set_hint("check the name and the tag");
      return found;
    }
    case ErrorKind::kPermissionDenied:
      return std::move(error)
          .wrap("pull access denied for " + reference.familiar_repository() +
                ", repository does not exist or may require 'wherry login'")
          .set_hint(reference.domain() == "docker.io" ? "wherry login"
                                                      : "wherry login " + reference.domain());
    default:
      return std::move(error).wrap("failed to resolve reference '" + reference.repository() +
                                   (reference.digest() ? "@" + reference.digest()->str()
                                                       : ":" + reference.tag().value_or("")) +
                                   "'");
  }
}

Error explain_push(Error error, const oci::ImageRef& reference) {
  if (error.kind() == ErrorKind::kPermissionDenied)
    return std::move(error)
        .wrap("push access denied for " + reference.familiar_repository() +
              ", it may require 'wherry login'")
        .set_hint(reference.domain() == "docker.io" ? "wherry login"
                                                    : "wherry login " + reference.domain());
  return std::move(error).wrap("cannot push '" + reference.familiar() + "'");
}

}  // namespace wherry::transfer
