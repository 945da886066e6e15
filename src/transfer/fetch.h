// Fetching a URL through wherry-transfer, the only program of ours that speaks HTTP.
//
//   TRY(Fetch fetch, fetch_url(url, kLimit));
//   ... read fetch.body() to its end ...
//   TRY(uint64_t size, fetch.finish());   // only now is it known that the body is whole
//
// The body is a pipe: a reader that stops early ends the transfer.
#pragma once

#include <cstdint>
#include <string>

#include "sys/fd.h"
#include "sys/process.h"

namespace wherry::transfer {

class Fetch {
 public:
  Fetch(Fetch&&) noexcept = default;
  // Ends a transfer that is still running.
  ~Fetch();

  int body() const { return body_.get(); }
  // Closes the body, waits for the end: its size, or why it is not whole. Call once.
  Result<uint64_t> finish();

 private:
  friend Result<Fetch> fetch_url(const std::string& url, uint64_t max_bytes);
  Fetch(sys::Child child, sys::Fd body, sys::Fd events)
      : child_(std::move(child)), body_(std::move(body)), events_(std::move(events)) {}

  sys::Child child_;
  sys::Fd body_;
  sys::Fd events_;
};

// True for "http://..." and "https://...", in any case of letters.
bool is_url(std::string_view text);
// Starts the transfer; `max_bytes` 0: no bound. Proxies are those of our environment.
Result<Fetch> fetch_url(const std::string& url, uint64_t max_bytes);

}  // namespace wherry::transfer
