#include "transfer/fetch.h"

#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "transfer/helper_environment.h"
#include "transfer/patience.h"

namespace wherry::transfer {
namespace {

using nlohmann::json;

constexpr const char* kProgram = "wherry-transfer";
constexpr size_t kMaxEvents = 16u << 20;
Error no_report(int code) {
  return Error(
      ErrorKind::kInternal,
      std::string(kProgram) + (code > 128 ? " was killed by signal " + std::to_string(code - 128)
                                          : " ended without a report"));
}

// The last line tells; the ones before are progress.
Result<uint64_t> outcome(std::string_view events, int code) {
  std::string_view last = trim(events);
  if (size_t newline = last.rfind('\n'); newline != last.npos) last.remove_prefix(newline + 1);
  json event = json::parse(last, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object()) return no_report(code);
  if (event.contains("done") && event["done"].is_number_unsigned())
    return event["done"].get<uint64_t>();
  if (!event.contains("error") || !event["error"].is_object()) return no_report(code);
  const json& error = event["error"];
  if (!error.contains("kind") || !error["kind"].is_string() || !error.contains("message") ||
      !error["message"].is_string())
    return no_report(code);
  return Error(kind_from_name(error["kind"].get_ref<const std::string&>()),
               error["message"].get<std::string>());
}

}  // namespace

bool is_url(std::string_view text) {
  std::string start = to_lower(text.substr(0, 8));
  return start.starts_with("http://") || start.starts_with("https://");
}

Result<Fetch> fetch_url(const std::string& url, uint64_t max_bytes) {
  std::string context = "cannot fetch '" + url.substr(0, 200) + "'";
  sys::SpawnOptions options;
  TRY_CTX(options.program, sys::find_helper(kProgram), context);
  options.arguments = {kProgram};
  options.environment = helper_environment();
  TRY(sys::Pipe job, sys::make_pipe());
  TRY(sys::Pipe body, sys::make_pipe());
  TRY(sys::Pipe events, sys::make_pipe());
  options.fds = {{job.read.get(), 0}, {body.write.get(), 1}, {events.write.get(), 3}};
  TRY_CTX(sys::Child child, sys::spawn(std::move(options)), context);
  // A helper that refuses the job without reading all of it must be an error, not a wait.
  job.read.reset();
  Fetch fetch(std::move(child), std::move(body.read), std::move(events.read));
  wire::Patience limits = patience({});
  json request = {{"url", url},
                  {"max_bytes", max_bytes},
                  {"connect_ms", limits.connect_ms},
                  {"stall_ms", limits.stall_ms}};
  TRY_VOID_CTX(
      sys::write_all(job.write.get(), request.dump(-1, ' ', false, json::error_handler_t::replace)),
      context);
  return fetch;
}

Fetch::~Fetch() {
  if (child_.pid() == 0 || child_.pidfd() < 0) return;
  [[maybe_unused]] Result<void> killed = child_.signal(SIGKILL);
  [[maybe_unused]] Result<int> reaped = child_.wait();
}

Result<uint64_t> Fetch::finish() {
  body_.reset();
  Result<std::string> text = sys::read_all(events_.get(), kMaxEvents);
  TRY(int code, child_.wait());
  if (!text) return Error(std::move(text.error()));
  return outcome(*text, code);
}

}  // namespace wherry::transfer
