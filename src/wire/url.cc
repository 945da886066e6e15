#include "wire/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>

#include "base/text.h"

namespace wherry::wire {
namespace {

constexpr size_t kMaxUrl = 8192;
constexpr unsigned kFlags = CURLU_NON_SUPPORT_SCHEME;

using Handle = std::unique_ptr<CURLU, void (*)(CURLU*)>;

Error invalid(const std::string& text) {
  std::string shown;
  for (unsigned char c : text.substr(0, 200))
    shown += c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
  return Error(ErrorKind::kInvalidArgument, "invalid URL '" + shown + "'");
}

bool acceptable(const std::string& text) {
  if (text.empty() || text.size() > kMaxUrl) return false;
  for (unsigned char c : text)
    if (c <= 0x20 || c == 0x7f) return false;
  return true;
}

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

Result<Url> taken_apart(CURLU* handle, const std::string& text) {
  Url url;
  url.scheme = to_lower(part(handle, CURLUPART_SCHEME));
  if (url.scheme != "http" && url.scheme != "https")
    return Error(ErrorKind::kUnsupported,
                 invalid(text).message() + ": only http and https are spoken");
  url.host = to_lower(part(handle, CURLUPART_HOST));
  url.text = part(handle, CURLUPART_URL);
  bool has_user =
      !part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty();
  if (url.host.empty() || url.text.empty() || has_user) return invalid(text);
  url.origin =
      url.scheme + "://" + url.host + ":" + part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  return url;
}

Place place_of_v4(uint32_t address) {
  uint32_t first = address >> 24;
  if (first == 127 || first == 0 || address >> 16 == 0xa9fe) return Place::kOurselves;
  if (first == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8 || address >> 22 == 0x191)
    return Place::kPrivate;
  return Place::kPublic;
}

Place place_of_v6(const in6_addr& address) {
  const unsigned char* bytes = address.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    uint32_t v4 = 0;
    memcpy(&v4, bytes + 12, sizeof v4);
    return place_of_v4(ntohl(v4));
  }
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address) ||
      IN6_IS_ADDR_LINKLOCAL(&address))
    return Place::kOurselves;
  return (bytes[0] & 0xfe) == 0xfc ? Place::kPrivate : Place::kPublic;
}

}  // namespace

Result<Url> parse_url(const std::string& text) {
  Handle handle(curl_url(), &curl_url_cleanup);
  if (!handle || !acceptable(text) ||
      curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), kFlags) != CURLUE_OK)
    return invalid(text);
  return taken_apart(handle.get(), text);
}

Result<Url> resolve_url(const Url& base, const std::string& location) {
  Handle handle(curl_url(), &curl_url_cleanup);
  if (!handle || !acceptable(location) ||
      curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), kFlags) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), kFlags) != CURLUE_OK)
    return invalid(location);
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return taken_apart(handle.get(), location);
}

std::string escape_parameter(std::string_view value) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/,";
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string escaped;
  for (unsigned char c : value) {
    if (kPlain.find(static_cast<char>(c)) != kPlain.npos) {
      escaped += static_cast<char>(c);
    } else {
      escaped += '%';
      escaped += kHex[c >> 4];
      escaped += kHex[c & 15];
    }
  }
  return escaped;
}

std::string with_parameter(const std::string& text, std::string_view name, std::string_view value) {
  std::string result = text;
  result += text.find('?') == text.npos ? '?' : '&';
  result += name;
  result += '=';
  result += escape_parameter(value);
  return result;
}

Place place_of(const std::string& host) {
  std::string name = host;
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    name = name.substr(1, name.size() - 2);
  if (size_t zone = name.find('%'); zone != name.npos) name.resize(zone);
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return place_of_v4(ntohl(v4.s_addr));
  in6_addr v6{};
  if (inet_pton(AF_INET6, name.c_str(), &v6) == 1) return place_of_v6(v6);
  if (!name.empty() && name.back() == '.') name.pop_back();
  return name == "localhost" || name.ends_with(".localhost") ? Place::kOurselves : Place::kPublic;
}

}  // namespace wherry::wire
