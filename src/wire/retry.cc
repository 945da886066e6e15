#include "wire/retry.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "oci/json_reader.h"

namespace wherry::wire {
namespace {

using nlohmann::json;

constexpr int kTries = 5;
constexpr uint64_t kLongestWaitSeconds = 60;
constexpr size_t kMaxWords = 300;

bool may_pass(long status) {
  return status == 429 || (status >= 500 && status != 501 && status != 505);
}

ErrorKind kind_of(long status) {
  if (status == 401 || status == 403) return ErrorKind::kPermissionDenied;
  if (status == 404 || status == 410) return ErrorKind::kNotFound;
  if (status == 413) return ErrorKind::kResourceExhausted;
  if (status == 405 || status == 406 || status == 415 || status == 501)
    return ErrorKind::kUnsupported;
  if (status == 429 || status >= 500) return ErrorKind::kUnavailable;
  return ErrorKind::kInvalidArgument;
}

// "manifest unknown (MANIFEST_UNKNOWN)" of {"errors":[{"code","message"}]}, a token server's
// {"details"} or a plain line; "" when the body says nothing that can be shown.
std::string words_of(const Response& response) {
  Result<json> document = oci::parse_bounded(response.body, "answer");
  if (!document) {
    std::string type = response.header("content-type");
    return type.starts_with("text/plain") ? shown(trim(response.body)) : "";
  }
  auto errors = document->find("errors");
  std::string code, message;
  if (errors != document->end() && errors->is_array() && !errors->empty() &&
      errors->front().is_object()) {
    const json& first = errors->front();
    if (!oci::take_text(first, "code", code) || !oci::take_text(first, "message", message))
      return "";
  } else if (!oci::take_text(*document, "details", message)) {
    return "";
  }
  if (code.empty()) return shown(message);
  return message.empty() ? shown(code) : shown(message) + " (" + shown(code) + ")";
}

}  // namespace

std::string shown(std::string_view text) {
  std::string safe;
  for (unsigned char c : text.substr(0, kMaxWords)) {
    if (c >= 0x20 && c < 0x7f)
      safe += static_cast<char>(c);
    else
      safe += "\\x" + to_hex(std::span(&c, 1));
  }
  if (text.size() > kMaxWords) safe += "...";
  return safe;
}

std::optional<int64_t> Retries::next(const std::optional<Failure>& failure,
                                     const Response& response) {
  if (failure) {
    bool again = failure->cause == Failure::Cause::kLost ||
                 (failure->cause == Failure::Cause::kUnreachable && known_) ||
                 (failure->cause == Failure::Cause::kStalled && known_ && stalls_++ == 0);
    if (!again) return std::nullopt;
  } else if (!may_pass(response.status)) {
    return std::nullopt;
  } else {
    known_ = true;
  }
  if (used_ == kTries) return std::nullopt;
  int64_t delay = int64_t{patience_->backoff_ms} << used_++;
  if (failure) return delay;
  if (std::optional<uint64_t> asked = parse_u64(response.header("retry-after"))) {
    if (*asked > kLongestWaitSeconds) return std::nullopt;
    delay = std::max(delay, static_cast<int64_t>(*asked) * 1000);
  }
  return delay;
}

Error answer_error(const Response& response, const std::string& domain) {
  std::string words = words_of(response);
  std::string message = "the server answered " + std::to_string(response.status);
  if (!words.empty()) message += ": " + words;
  Error error(kind_of(response.status), message);
  if (response.status == 401 || response.status == 403)
    error.set_hint("log in with 'wherry login " + domain + "', as a user who may do this");
  if (response.status == 413)
    error.set_hint("a proxy in front of the registry limits the size of a request");
  std::string after = response.header("retry-after");
  if (response.status == 429 && !after.empty())
    error.set_hint("the registry asks to wait " + shown(after) + " s");
  return error;
}

}  // namespace wherry::wire
