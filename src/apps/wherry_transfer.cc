// wherry-transfer's main: a registry's repository for the socket at fd 0 (`serve`), or one
// download. The latter: fd 0: the job, one JSON object {"url", "max_bytes", "connect_ms",
// "stall_ms"}; fd 1: the body; fd 3: JSON lines {"bytes", "total"} (dropped when nobody reads),
// last {"done": bytes} or {"error": {...}}.
#include <curl/curl.h>
#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/failpoint.h"
#include "sys/fd.h"
#include "wire/confinement.h"
#include "wire/download.h"
#include "wire/service.h"

namespace {

using nlohmann::json;
using namespace wherry;

constexpr int kJobFd = 0;
constexpr int kBodyFd = 1;
constexpr int kEventFd = 3;
constexpr size_t kMaxJob = 64u << 10;
constexpr int64_t kProgressNs = 500'000'000;

std::string line_of(const json& event) {
  return event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<wire::Download> read_job() {
  TRY(std::string text, sys::read_all(kJobFd, kMaxJob));
  json job = json::parse(text, nullptr, /*allow_exceptions=*/false);
  Error unclear(ErrorKind::kInvalidArgument, "the job is not understood");
  if (!job.is_object() || !job.contains("url") || !job["url"].is_string()) return unclear;
  for (const char* number : {"max_bytes", "connect_ms", "stall_ms"})
    if (!job.contains(number) || !job[number].is_number_unsigned()) return unclear;
  return wire::Download{job["url"].get<std::string>(), job["max_bytes"].get<uint64_t>(),
                        job["connect_ms"].get<uint32_t>(), job["stall_ms"].get<uint32_t>()};
}

// Progress may be lost: the event pipe must never hold up the body.
void tell_progress(uint64_t bytes, uint64_t total) {
  static int64_t last = 0;
  int64_t now = monotonic_ns();
  if (now - last < kProgressNs) return;
  last = now;
  std::string line = line_of({{"bytes", bytes}, {"total", total}});
  int flags = fcntl(kEventFd, F_GETFL);
  fcntl(kEventFd, F_SETFL, flags | O_NONBLOCK);
  [[maybe_unused]] ssize_t dropped_when_full = write(kEventFd, line.data(), line.size());
  fcntl(kEventFd, F_SETFL, flags);
}

Result<uint64_t> run() {
  TRY(wire::Download job, read_job());
  TRY_VOID_CTX(wire::confine_transfer(), "cannot confine wherry-transfer");
  return wire::download(job, kBodyFd, tell_progress);
}

int serve() {
  Result<void> served = wire::confine_transfer();
  if (served) served = wire::serve(kJobFd);
  if (served) return 0;
  std::string line = "wherry-transfer: " + served.error().message() + "\n";
  [[maybe_unused]] Result<void> told = sys::write_all(2, line);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  arm_failpoints();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (argc > 1 && std::string_view(argv[1]) == "serve") return serve();
  Result<uint64_t> done = run();
  // The reader of the body sees its end before it asks how it went.
  close(kBodyFd);
  json event;
  if (done) {
    event["done"] = *done;
  } else {
    event["error"] = {{"kind", std::string(kind_name(done.error().kind()))},
                      {"errno", done.error().errnum()},
                      {"message", done.error().message()}};
  }
  return sys::write_all(kEventFd, line_of(event)) && done ? 0 : 1;
}
