#include "registry/http_head.h"

#include <fmt/format.h>

#include <ctime>

namespace wherry::registry {
namespace {

std::string http_date() {
  time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  char text[64];
  return {text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

}  // namespace

std::string response_head(const Response& response, const Headers& common, bool keep_alive) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 reason_phrase(response.status), http_date());
  for (const Headers* headers : {&common, &response.headers})
    for (const auto& [name, value] : *headers) head += name + ": " + value + "\r\n";
  if (response.status != 204 && response.status != 304)
    head += fmt::format("Content-Length: {}\r\n", response.length());
  if (!keep_alive) head += "Connection: close\r\n";
  return head + "\r\n";
}

std::string access_line(const Request& request, int status, uint64_t bytes, int64_t microseconds,
                        bool all_sent) {
  return fmt::format("{} {} {} {} bytes {} us{}", request.method, request.target, status, bytes,
                     microseconds, all_sent ? "" : " (not all was sent)");
}

Response malformed_request(int status, std::string_view why) {
  Response response;
  response.status = status;
  response.add("Content-Type", "text/plain; charset=utf-8");
  response.body = fmt::format("malformed request: {}\n", why);
  return response;
}

}  // namespace wherry::registry
