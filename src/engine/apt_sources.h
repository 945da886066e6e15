// The host's apt sources as one-line entries, for making an image of the same distribution. Pure.
// Source: sources.list(5): one-line style and deb822 style.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wherry::engine {

struct AptSource {
  std::string uri;
  std::string suite;
  std::vector<std::string> components;
  std::vector<std::pair<std::string, std::string>> options;  // "signed-by", "trusted", ...
};

// Binary packages ("deb") of one file; `deb822` chooses the style. What is malformed or disabled is
// left out, as are keys given inline (they cannot be named on one line).
std::vector<AptSource> parse_apt_sources(std::string_view text, bool deb822);

// Those of `suite` and of its -updates, -security and /updates companions.
std::vector<AptSource> sources_of_suite(const std::vector<AptSource>& sources,
                                        std::string_view suite);

// "deb [signed-by=/x] http://host/debian bookworm main"
std::string one_line(const AptSource& source);

}  // namespace wherry::engine
