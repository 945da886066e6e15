// HTTP/1.1 over TCP or TLS for one Service: the only place that knows Boost.
//
// A few threads run all connections as coroutines; what waits for the disk or computes passwords
// runs on pools of its own. Every wait for a client has a deadline, checked once a second: for a
// request's head, for progress of a body, idle between requests. Blobs leave with
// sendfile(2) where there is no TLS. On SIGTERM or SIGINT idle connections end at once and running
// requests have ten seconds. Source: RFC 9110, RFC 9112.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "registry/http.h"

namespace wherry::registry {

struct ServerOptions {
  std::string host;  // a name or an address; empty: all
  uint16_t port = 0;
  std::string tls_certificate, tls_key;  // PEM files; both or none
  Headers common_headers;                // of every answer
  size_t max_connections = 1024;
  int64_t head_seconds = 30, body_seconds = 60, idle_seconds = 120;
};

class HttpServer {
 public:
  // Listens, and reads certificate and key. kUnavailable when the address is taken.
  static Result<std::unique_ptr<HttpServer>> bind(const ServerOptions& options);
  virtual ~HttpServer() = default;

  // "127.0.0.1:5000", with the port that was chosen.
  virtual std::string address() const = 0;
  // Until a signal to end. `hourly` is called from a thread of the server now and then.
  virtual void run(Service& service, std::function<void()> hourly) = 0;
};

}  // namespace wherry::registry
