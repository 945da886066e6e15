// The texts around an answer: its head, the line of the access log, the answer to what is not HTTP.
#pragma once

#include <string>
#include <string_view>

#include "registry/http.h"

namespace wherry::registry {

// Status line and headers, up to and with the empty line.
std::string response_head(const Response& response, const Headers& common, bool keep_alive);

// "GET /v2/ 200 2 bytes 150 us". `bytes`: of the body that was to be sent.
std::string access_line(const Request& request, int status, uint64_t bytes, int64_t microseconds,
                        bool all_sent);

Response malformed_request(int status, std::string_view why);

}  // namespace wherry::registry
