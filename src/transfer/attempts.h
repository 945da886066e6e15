// Several ways to an image: which answer of one lets the next be tried. And Docker's words for what
// registries answer.
#pragma once

#include <string>
#include <vector>

#include "oci/reference.h"
#include "transfer/remote.h"

namespace wherry::transfer {

// Whether `next` may be tried after `error` at `endpoint`. The same registry by http when it does
// not speak https (`plain_http`); another one also when this has it not, is away or lets nobody in.
bool worth_another(const Error& error, bool plain_http, const Endpoint& endpoint,
                   const Endpoint& next);

// The words for a reference that could not be resolved in a registry.
Error explain_pull(Error error, const oci::ImageRef& reference);
Error explain_push(Error error, const oci::ImageRef& reference);

// attempt(endpoint, plain_http) for each until one succeeds or its error is final. An attempt that
// fails says with its second argument whether it has met a server of plain http. `endpoints` is not
// empty.
template <typename Attempt>
auto first_endpoint(const std::vector<Endpoint>& endpoints, Attempt attempt) {
  for (size_t i = 0;; ++i) {
    bool plain_http = false;
    auto outcome = attempt(endpoints[i], plain_http);
    bool last = i + 1 == endpoints.size();
    if (outcome || last ||
        !worth_another(outcome.error(), plain_http, endpoints[i], endpoints[i + 1]))
      return outcome;
  }
}

}  // namespace wherry::transfer
