// Where a registry is reached: from the domain in an image's name and the configuration to URLs,
// mirrors, certificates. Plans are pure but for looking whether certificate files exist.
//
// Rules, as Docker has them: docker.io is registry-1.docker.io; https everywhere; a registry on
// loopback or listed as insecure may have any certificate, and is asked over plain http when it
// does not speak https. Mirrors are asked first and for docker.io only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "transfer/remote.h"

namespace wherry::transfer {

struct RegistrySettings {
  std::vector<std::string> mirrors;   // URLs, in order
  std::vector<std::string> insecure;  // host, host:port, or addresses as CIDR
  std::vector<std::string> certificate_dirs = {"/etc/wherry/certs.d", "/etc/docker/certs.d"};
};

// "https://mirror.example[:port]", without path, query or user; kInvalidArgument says what is
// wrong.
Result<void> check_mirror(std::string_view url);
// "host", "host:port", "[::1]:5000", "10.0.0.0/8"; kInvalidArgument says what is wrong.
Result<void> check_insecure(std::string_view entry);

// Whether this domain ("host[:port]") may be spoken to without a trusted certificate, or in clear.
bool is_insecure(const std::string& domain, const RegistrySettings& settings);

// Where to ask, in this order. More than one endpoint of a registry itself: the later ones when the
// earlier cannot be reached. Without credentials.
std::vector<Endpoint> pull_endpoints(const std::string& domain, const RegistrySettings& settings);
// The registry itself only: a mirror takes nothing.
std::vector<Endpoint> push_endpoints(const std::string& domain, const RegistrySettings& settings);

}  // namespace wherry::transfer
