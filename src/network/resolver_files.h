// The generated /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, as text. Pure
// functions. Source: reference runtime.md 5.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wherry::network {

struct HostsEntry {
  std::string address;
  std::string names;  // "web web.example"
};
std::string hosts_file(const std::vector<HostsEntry>& entries, bool ipv6);

// The host's resolv.conf without loopback name servers; when none is left, 8.8.8.8 and 8.8.4.4.
// Search domains and options are kept. Input above 64 KiB is cut at a line.
std::string resolv_conf(std::string_view host_file);
// True when the host's file names only the systemd-resolved stub (127.0.0.53): the caller then
// gives /run/systemd/resolve/resolv.conf instead.
bool is_resolved_stub(std::string_view host_file);

}  // namespace wherry::network
