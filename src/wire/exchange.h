// One HTTP request and its response on curl's multi interface; redirects, authentication and
// retries are for the callers above.
//
//   Exchange exchange(loop, session, request);
//   co_await exchange;
//   ... exchange.failure(), exchange.response() ...
//
// Nothing is taken from files or the environment but the proxy's variables. Foreign sizes are
// bounded: headers, bodies that are kept, the time without progress.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/loop.h"
#include "wire/messages.h"
#include "wire/url.h"

namespace wherry::wire {

// What all requests to a registry share. Outlives its exchanges.
struct Session {
  Patience patience;
  std::string registry;  // origin; only it gets the client certificate and the unverified TLS
  bool verify_tls = true;
  std::string authorities;                     // PEM, with the system's; empty: the system's alone
  std::string client_certificate, client_key;  // PEM
};

// Where a successful body goes instead of into memory.
class Sink {
 public:
  virtual ~Sink() = default;
  // Called once before the first byte of a 2xx body; an error ends the exchange.
  virtual Result<void> begin(const struct Response& response) = 0;
  // Takes all of it; what it cannot write at once it keeps.
  virtual Result<void> write(std::string_view data) = 0;
  // The descriptor that must become writable before more is welcome, or -1.
  virtual int full_fd() const = 0;
  // Writes what was kept.
  virtual Result<void> flush() = 0;
};

struct Request {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  // The body of PUT, POST and PATCH: a text, or `body_size` bytes of `body_fd` from `body_offset`.
  std::string body;
  int body_fd = -1;
  uint64_t body_offset = 0, body_size = 0;
  size_t max_body = 64u << 10;         // of a response that is kept in memory
  Sink* sink = nullptr;                // gets the body of a 2xx response; others are kept in memory
  std::function<void(uint64_t)> sent;  // bytes of the body so far
  // Refuses the address before anything is said to it: an error ends the exchange.
  std::function<Result<void>(const std::string& address)> check_address;
};

struct Response {
  long status = 0;
  std::multimap<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string address;  // of the peer

  // The first value, or "".
  std::string header(const std::string& name) const;
};

// Why there is no response.
struct Failure {
  Error error;
  // What may help: nothing, another try (the connection broke), or a caller's fallback.
  enum class Cause { kFinal, kLost, kStalled, kUnreachable, kPlainHttp, kCertificate } cause;
};

class Exchange : public Waiter {
 public:
  Exchange(Loop& loop, const Session& session, const Request& request);
  ~Exchange();

  void await_suspend(std::coroutine_handle<> handle) noexcept;

  const std::optional<Failure>& failure() const { return failure_; }
  Response& response() { return response_; }

  // For the loop.
  void on_end(CURLcode code);
  void on_tick(int64_t now_ns);
  void on_writable();
  int full_fd() const;

 private:
  static size_t on_header(char* data, size_t, size_t size, void* self);
  static size_t on_data(char* data, size_t, size_t size, void* self);
  static size_t on_read(char* buffer, size_t, size_t size, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);
  static int on_connected(void* self, char* peer, char* local, int peer_port, int local_port);
  void set_up();
  void set_peer();
  void set_body();
  bool take_header(std::string_view line);
  bool keep(std::string_view data);
  void give_up(Error error, Failure::Cause cause);
  void end_with(Error error, Failure::Cause cause);
  void detach();
  void wake_up();
  Failure failure_of(CURLcode code) const;

  const Session& session_;
  const Request& request_;
  CURL* curl_ = nullptr;
  curl_slist* headers_ = nullptr;
  bool attached_ = false;
  bool paused_ = false;
  bool begun_ = false;
  bool ended_ = false;  // by curl; the sink may still have something to write
  char detail_[CURL_ERROR_SIZE] = {};
  uint64_t sent_ = 0;
  uint64_t moved_ = 0;  // bytes in both directions in this window
  int64_t window_start_ = 0;
  size_t header_bytes_ = 0;
  Response response_;
  std::optional<Failure> failure_;
};

}  // namespace wherry::wire
