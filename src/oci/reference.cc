#include "oci/reference.h"

#include <algorithm>

#include "base/text.h"
#include "oci/names.h"

namespace wherry::oci {
namespace {

constexpr const char* kDefaultDomain = "docker.io";
constexpr const char* kLegacyDomain = "index.docker.io";
constexpr const char* kOfficialPrefix = "library/";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || is_upper(c);
}

// For messages: bounded, and nothing in it can move a terminal's cursor.
std::string shown(std::string_view text) {
  std::string safe;
  for (char c : text.substr(0, 200)) safe += (c >= 0x20 && c != 0x7f) ? c : '?';
  return "'" + safe + "'";
}

Error invalid(std::string_view text, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument,
               "invalid reference format " + shown(text) + ": " + std::string(why));
}

// One label of a host name.
bool is_domain_label(std::string_view label) {
  return !label.empty() &&
         std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; }) &&
         label.front() != '-' && label.back() != '-';
}

bool is_port(std::string_view text) {
  auto number = parse_u64(text);
  return number && text.size() <= 5 && *number <= 65535;
}

bool is_ipv6_literal(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  return std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
    return is_digit(c) || c == ':' || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

bool is_domain(std::string_view domain) {
  std::string_view host = domain;
  size_t colon = domain.rfind(':');
  size_t bracket = domain.rfind(']');
  bool has_port = colon != domain.npos && (bracket == domain.npos || colon > bracket);
  if (has_port) {
    if (!is_port(domain.substr(colon + 1))) return false;
    host = domain.substr(0, colon);
  }
  if (is_ipv6_literal(host)) return true;
  return std::ranges::all_of(split(host, '.'), is_domain_label);
}

// Whether the part before the first '/' names a registry rather than a team on Docker Hub.
bool names_a_registry(std::string_view first) {
  return first.find_first_of(".:") != first.npos || first == "localhost" ||
         std::ranges::any_of(first, is_upper);
}

}  // namespace

Result<ImageRef> ImageRef::parse(std::string_view text) {
  if (text.empty()) return invalid(text, "it is empty");
  // Nothing valid is longer; the rest need not be looked at.
  if (text.size() > kMaxRepository + kMaxTag + 100) return invalid(text, "it is too long");
  ImageRef ref;
  std::string_view rest = text;
  if (size_t at = rest.find('@'); at != rest.npos) {
    Result<Digest> digest = Digest::parse(rest.substr(at + 1));
    if (!digest) return invalid(text, digest.error().message());
    ref.digest_ = std::move(*digest);
    rest = rest.substr(0, at);
  }
  size_t slash = rest.rfind('/');
  size_t colon = rest.find(':', slash == rest.npos ? 0 : slash);
  if (colon != rest.npos) {
    if (!is_tag(rest.substr(colon + 1))) return invalid(text, "the tag is not valid");
    ref.tag_ = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (!ref.tag_ && !ref.digest_) {
    if (rest.size() == 64 && is_hex(rest))
      return invalid(text, "64 hexadecimal digits are an id, not a name");
    ref.tag_ = "latest";
  }

  size_t first_slash = rest.find('/');
  if (first_slash != rest.npos && names_a_registry(rest.substr(0, first_slash))) {
    ref.domain_ = rest.substr(0, first_slash);
    rest = rest.substr(first_slash + 1);
    if (!is_domain(ref.domain_)) return invalid(text, "the registry's name is not valid");
  } else {
    ref.domain_ = kDefaultDomain;
  }
  if (ref.domain_ == kLegacyDomain) ref.domain_ = kDefaultDomain;
  if (std::ranges::any_of(rest, is_upper))
    return invalid(text, "the repository's name must be lower case");
  if (rest.size() > kMaxRepository) return invalid(text, "the name is longer than 255 bytes");
  if (!is_repository(rest)) return invalid(text, "the repository's name is not valid");
  bool official = ref.domain_ == kDefaultDomain && rest.find('/') == rest.npos;
  ref.path_ = (official ? kOfficialPrefix : "") + std::string(rest);
  if (ref.repository().size() > kMaxRepository)
    return invalid(text, "the name is longer than 255 bytes");
  return ref;
}

std::string ImageRef::familiar_repository() const {
  if (domain_ != kDefaultDomain) return repository();
  std::string_view path = path_;
  std::string_view prefix = kOfficialPrefix;
  if (path.starts_with(prefix) && path.find('/', prefix.size()) == path.npos)
    path.remove_prefix(prefix.size());
  // Without the domain "docker.io/localhost/x" would read as another registry's.
  size_t slash = path.find('/');
  if (slash != path.npos && names_a_registry(path.substr(0, slash))) return repository();
  return std::string(path);
}

std::string ImageRef::familiar() const {
  std::string text = familiar_repository();
  if (tag_) text += ":" + *tag_;
  if (digest_) text += "@" + digest_->str();
  return text;
}

}  // namespace wherry::oci
