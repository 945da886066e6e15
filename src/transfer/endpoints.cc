#include "transfer/endpoints.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "oci/reference.h"
#include "sys/file.h"

namespace wherry::transfer {
namespace {

constexpr const char* kHub = "docker.io";
constexpr const char* kHubUrl = "https://registry-1.docker.io";

// "host:5000" -> "host"; "[::1]:5000" -> "::1".
std::string_view host_of(std::string_view domain) {
  if (domain.starts_with('[')) return domain.substr(1, domain.find(']') - 1);
  return domain.substr(0, domain.find(':'));
}

// IPv4 as mapped IPv6, so that there is one kind of prefix.
std::optional<std::array<unsigned char, 16>> address_of(std::string_view text) {
  std::array<unsigned char, 16> bytes{};
  std::string terminated(text);
  if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) return bytes;
  if (inet_pton(AF_INET, terminated.c_str(), bytes.data() + 12) != 1) return std::nullopt;
  bytes[10] = bytes[11] = 0xFF;
  return bytes;
}

struct Block {
  std::array<unsigned char, 16> address{};
  unsigned bits = 0;
};

std::optional<Block> block_of(std::string_view text) {
  auto [address, length] = split_once(text, '/');
  auto bytes = address_of(address);
  constexpr uint64_t kNone = 1000;
  uint64_t bits = length ? parse_u64(*length).value_or(kNone) : kNone;
  bool v4 = address.find(':') == address.npos;
  if (!bytes || bits > (v4 ? 32U : 128U)) return std::nullopt;
  return Block{*bytes, static_cast<unsigned>(bits) + (v4 ? 96U : 0U)};
}

bool contains(const Block& block, const std::array<unsigned char, 16>& address) {
  for (unsigned bit = 0; bit < block.bits; ++bit) {
    unsigned char mask = static_cast<unsigned char>(0x80U >> bit % 8);
    if ((block.address[bit / 8] & mask) != (address[bit / 8] & mask)) return false;
  }
  return true;
}

bool is_loopback(std::string_view host) {
  static const Block kLoopback = *block_of("127.0.0.0/8");
  if (host == "localhost" || host == "::1") return true;
  auto address = address_of(host);
  return address && contains(kLoopback, *address);
}

std::string first_with_ending(const std::string& folder, std::string_view ending) {
  Result<sys::Fd> directory = sys::open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!directory) return {};
  Result<std::vector<std::string>> names = sys::list_dir(directory->get());
  if (!names) return {};
  for (const std::string& name : *names)
    if (name.ends_with(ending)) return folder + "/" + name;
  return {};
}

// The first folder that there is for this registry: an administrator's word on it.
void add_certificates(Endpoint& endpoint, const std::vector<std::string>& folders) {
  std::string_view authority = endpoint.base_url;
  authority.remove_prefix(std::string_view("https://").size());
  for (const std::string& parent : folders) {
    std::string folder = parent + "/" + std::string(authority);
    if (access(folder.c_str(), X_OK) != 0) continue;
    endpoint.ca_file = first_with_ending(folder, ".crt");
    endpoint.client_cert = first_with_ending(folder, ".cert");
    endpoint.client_key = first_with_ending(folder, ".key");
    return;
  }
}

Error bad(std::string_view text, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument,
               "'" + std::string(text.substr(0, 200)) + "' " + std::string(why));
}

bool is_authority(std::string_view text) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(std::string(text) + "/x");
  if (reference && reference->domain() == text) return true;
  // A name without a dot or port is a registry here, though not in an image's name.
  reference = oci::ImageRef::parse(std::string(text) + ":1/x");
  return reference && reference->domain() == std::string(text) + ":1";
}

}  // namespace

Result<void> check_mirror(std::string_view url) {
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad(url, "must begin with https:// or http://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != rest.npos) return bad(url, "must not have a user: use 'wherry login'");
  if (rest.find_first_of("/?#") != rest.npos)
    return bad(url, "must have no path, query or fragment");
  if (!is_authority(rest)) return bad(url, "has no valid host");
  return {};
}

Result<void> check_insecure(std::string_view entry) {
  if (entry.find("://") != entry.npos) return bad(entry, "must be a host, not a URL");
  if (entry.find('/') != entry.npos && !block_of(entry))
    return bad(entry, "is neither a host nor a block of addresses such as 10.0.0.0/8");
  if (entry.find('/') == entry.npos && !is_authority(entry)) return bad(entry, "is no valid host");
  return {};
}

bool is_insecure(const std::string& domain, const RegistrySettings& settings) {
  std::string_view host = host_of(domain);
  if (is_loopback(host)) return true;
  auto address = address_of(host);
  return std::ranges::any_of(settings.insecure, [&](const std::string& entry) {
    if (entry == domain || entry == host) return true;
    auto block = block_of(entry);
    return block && address && contains(*block, *address);
  });
}

std::vector<Endpoint> push_endpoints(const std::string& domain, const RegistrySettings& settings) {
  Endpoint secure;
  secure.domain = domain;
  secure.base_url = domain == kHub ? kHubUrl : "https://" + domain;
  secure.verify_tls = domain == kHub || !is_insecure(domain, settings);
  Endpoint clear = secure;
  add_certificates(secure, settings.certificate_dirs);
  std::vector<Endpoint> endpoints = {secure};
  if (!secure.verify_tls) {
    clear.base_url = "http://" + domain;
    endpoints.push_back(std::move(clear));
  }
  return endpoints;
}

std::vector<Endpoint> pull_endpoints(const std::string& domain, const RegistrySettings& settings) {
  std::vector<Endpoint> endpoints;
  for (const std::string& mirror : domain == kHub ? settings.mirrors : std::vector<std::string>()) {
    Endpoint endpoint;
    endpoint.base_url = mirror.ends_with('/') ? mirror.substr(0, mirror.size() - 1) : mirror;
    endpoint.domain = endpoint.base_url.substr(endpoint.base_url.find("://") + 3);
    endpoint.verify_tls = !is_insecure(endpoint.domain, settings);
    if (endpoint.base_url.starts_with("https:"))
      add_certificates(endpoint, settings.certificate_dirs);
    endpoints.push_back(std::move(endpoint));
  }
  for (Endpoint& endpoint : push_endpoints(domain, settings))
    endpoints.push_back(std::move(endpoint));
  return endpoints;
}

}  // namespace wherry::transfer
