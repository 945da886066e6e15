#include "network/resolver_files.h"

#include "base/text.h"

namespace wherry::network {
namespace {

constexpr size_t kMaxResolvConf = 64 * 1024;
constexpr std::string_view kStub = "127.0.0.53";

constexpr std::string_view kLocalhost4 = "127.0.0.1\tlocalhost\n";
constexpr std::string_view kLocalhost6 =
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

std::string_view bounded(std::string_view file) {
  if (file.size() <= kMaxResolvConf) return file;
  file = file.substr(0, kMaxResolvConf);
  return file.substr(0, file.rfind('\n') + 1);
}

std::string_view next_word(std::string_view& line) {
  line = trim(line);
  size_t end = line.find_first_of(" \t");
  std::string_view word = line.substr(0, end);
  line.remove_prefix(word.size());
  return word;
}

// The address of a "nameserver ADDRESS" line.
std::optional<std::string_view> name_server(std::string_view line) {
  if (next_word(line) != "nameserver") return std::nullopt;
  std::string_view address = next_word(line);
  if (address.empty()) return std::nullopt;
  return address;
}

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

// A link-local server names an interface of the host ("fe80::1%eth0") that the container does not
// have.
bool is_unreachable(std::string_view address) {
  return is_loopback(address) || address.find('%') != address.npos;
}

}  // namespace

std::string hosts_file(const std::vector<HostsEntry>& entries, bool ipv6) {
  std::string text(kLocalhost4);
  if (ipv6) text += kLocalhost6;
  for (const HostsEntry& entry : entries) text += entry.address + "\t" + entry.names + "\n";
  return text;
}

std::string resolv_conf(std::string_view host_file) {
  std::string text;
  bool any_server = false;
  std::string_view rest = bounded(host_file);
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    std::string_view words = trim(line);
    if (words.empty() || words.front() == '#' || words.front() == ';') continue;
    if (std::optional<std::string_view> server = name_server(words)) {
      if (is_unreachable(*server)) continue;
      any_server = true;
    }
    text += words;
    text += '\n';
  }
  if (!any_server) text += "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";
  return text;
}

bool is_resolved_stub(std::string_view host_file) {
  bool stub = false;
  std::string_view file = bounded(host_file);
  for (std::string_view line : split(file, '\n')) {
    std::optional<std::string_view> server = name_server(trim(line));
    if (!server) continue;
    if (*server != kStub) return false;
    stub = true;
  }
  return stub;
}

}  // namespace wherry::network
