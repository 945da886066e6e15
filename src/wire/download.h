// One HTTP or HTTPS resource into a descriptor. Only inside wherry-transfer.
//
// Redirects: at most 10, only to http and https, never from https to http. A server that does not
// answer for `connect_ms` or sends less than a byte a second for `stall_ms` is given up. Proxies
// come from the environment (http_proxy, https_proxy, all_proxy, no_proxy), as curl's manual has
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace wherry::wire {

struct Download {
  std::string url;
  uint64_t max_bytes = 0;  // more is kResourceExhausted; 0: no bound
  uint32_t connect_ms = 30'000;
  uint32_t stall_ms = 60'000;  // whole seconds count, at least one
};

// http or https with a host, without control characters; else kInvalidArgument.
Result<void> check_url(const std::string& url);
// Writes the body to `out`; returns its size. `progress` gets (so far, total or 0 when unknown).
Result<uint64_t> download(const Download& job, int out,
                          const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace wherry::wire
