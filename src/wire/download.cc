#include "wire/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::wire {
namespace {

constexpr long kMaxRedirects = 10;

// What the callbacks share; curl only carries codes.
struct Running {
  const Download& job;
  int out;
  const std::function<void(uint64_t, uint64_t)>& progress;
  uint64_t bytes = 0;
  std::optional<Error> error;
};

size_t on_data(char* data, size_t, size_t size, void* context) {
  auto* running = static_cast<Running*>(context);
  if (running->job.max_bytes != 0 && running->bytes + size > running->job.max_bytes) {
    running->error =
        Error(ErrorKind::kResourceExhausted,
              "it is larger than " + std::to_string(running->job.max_bytes) + " bytes");
    return 0;
  }
  Result<void> written = sys::write_all(running->out, std::string_view(data, size));
  if (!written) {
    running->error = std::move(written.error());
    return 0;
  }
  running->bytes += size;
  return size;
}

int on_progress(void* context, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
  auto* running = static_cast<Running*>(context);
  running->progress(running->bytes, total > 0 ? static_cast<uint64_t>(total) : 0);
  return 0;
}

ErrorKind kind_of(CURLcode code, long status) {
  switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
      if (status == 404 || status == 410) return ErrorKind::kNotFound;
      return status == 401 || status == 403 ? ErrorKind::kPermissionDenied
                                            : ErrorKind::kUnavailable;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return ErrorKind::kInvalidArgument;
    case CURLE_OUT_OF_MEMORY:
      return ErrorKind::kResourceExhausted;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return ErrorKind::kPermissionDenied;
    default:
      return ErrorKind::kUnavailable;
  }
}

std::string words_of(CURLcode code, long status, const char* detail) {
  if (code == CURLE_HTTP_RETURNED_ERROR) return "the server answered " + std::to_string(status);
  std::string text = *detail != 0 ? detail : curl_easy_strerror(code);
  return text;
}

}  // namespace

Result<void> check_url(const std::string& url) {
  Error invalid(ErrorKind::kInvalidArgument, "invalid URL '" + url.substr(0, 200) + "'");
  if (url.size() > 8192) return invalid;
  for (unsigned char c : url)
    if (c <= 0x20 || c == 0x7f) return invalid;
  std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), &curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    return invalid;
  char* scheme = nullptr;
  if (curl_url_get(parsed.get(), CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) return invalid;
  std::string name = to_lower(scheme);
  curl_free(scheme);
  if (name != "http" && name != "https")
    return Error(ErrorKind::kUnsupported,
                 "unsupported URL '" + url.substr(0, 200) + "': only http and https are fetched");
  return {};
}

Result<uint64_t> download(const Download& job, int out,
                          const std::function<void(uint64_t, uint64_t)>& progress) {
  TRY_VOID(check_url(job.url));
  std::string context = "cannot fetch '" + job.url.substr(0, 200) + "'";
  std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), &curl_easy_cleanup);
  if (!handle) return Error(ErrorKind::kResourceExhausted, context + ": no memory");
  Running running{job, out, progress, 0, {}};
  char detail[CURL_ERROR_SIZE] = {};
  CURL* curl = handle.get();
  bool encrypted = to_lower(job.url.substr(0, 8)) == "https://";
  curl_easy_setopt(curl, CURLOPT_URL, job.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, encrypted ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(job.connect_ms));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, job.stall_ms / 1000L));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "wherry/" WHERRY_VERSION);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_data);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &running);
  CURLcode code = curl_easy_perform(curl);
  if (running.error) return std::move(*running.error).wrap(context);
  if (code == CURLE_OK) return running.bytes;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return Error(kind_of(code, status), context + ": " + words_of(code, status, detail));
}

}  // namespace wherry::wire
