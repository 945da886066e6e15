// A record as the row of a listing: the fields that --format knows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/flags.h"
#include "cli/listing.h"
#include "engine/record.h"

namespace wherry::cli {

Row container_row(const engine::ContainerRecord& record, bool whole, int64_t now_ns);
Json container_headings();

// "Up 4 seconds", "Exited (0) 3 minutes ago", "Created", ...
std::string container_status(const engine::ContainerState& state, int64_t now_ns);
// "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp"
std::string port_words(const engine::PortMap& ports);
// "2026-11-23 01:31:00 +0000 UTC"
std::string listing_time(int64_t unix_ns);

// --filter values; a malformed one is kInvalidArgument in Docker's words.
Result<std::vector<std::pair<std::string, std::string>>> parse_filters(const ParsedFlags& flags);

}  // namespace wherry::cli
