// URLs as a registry's client needs them: origins, relative Locations, query parameters, and what
// kind of place a host is.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::wire {

// Where a host or an address is: what is nearer to us must not be reached by a farther one's word.
enum class Place { kPublic, kPrivate, kOurselves };

struct Url {
  std::string text;  // normalised
  std::string scheme, host;
  std::string origin;  // "https://host:port", the port always there

  bool encrypted() const { return scheme == "https"; }
};

// http and https only, with a host and without user, control characters or more than 8 KiB.
Result<Url> parse_url(const std::string& text);
// A Location (absolute or relative) as seen from `base`.
Result<Url> resolve_url(const Url& base, const std::string& location);
// `text` with "name=value" behind, escaped, whether it has a query or not.
std::string with_parameter(const std::string& text, std::string_view name, std::string_view value);
std::string escape_parameter(std::string_view value);

// Literal addresses and "localhost" are told by themselves; any other name is kPublic.
Place place_of(const std::string& host);

}  // namespace wherry::wire
