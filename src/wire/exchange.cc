#include "wire/exchange.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/text.h"

namespace wherry::wire {
namespace {

constexpr long kReceiveBuffer = 512 << 10;
constexpr long kSendBuffer = 2 << 20;
constexpr size_t kMaxHeaders = 256u << 10;
constexpr uint64_t kSlowestPerSecond = 1024;
// A registry may move a whole blob to its place before it answers an upload.
constexpr int64_t kAnswerFactor = 10;

curl_blob borrowed(const std::string& bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_COPY};
}

bool says_plain_http(std::string_view detail) {
  return detail.find("wrong version number") != detail.npos ||
         detail.find("packet length too long") != detail.npos ||
         detail.find("record layer failure") != detail.npos;
}

std::string lowered_start(std::string text) {
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = static_cast<char>(text[0] + 32);
  return text;
}

}  // namespace

std::string Response::header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

Exchange::Exchange(Loop& loop, const Session& session, const Request& request)
    : Waiter(loop), session_(session), request_(request) {}

Exchange::~Exchange() {
  detach();
  if (curl_ != nullptr) curl_easy_cleanup(curl_);
  curl_slist_free_all(headers_);
}

void Exchange::await_suspend(std::coroutine_handle<> handle) noexcept {
  Waiter::await_suspend(handle);
  curl_ = curl_easy_init();
  if (curl_ == nullptr) {
    failure_ = Failure{Error(ErrorKind::kResourceExhausted, "no memory"), Failure::Cause::kFinal};
    return loop().wake(*this);
  }
  set_up();
  set_peer();
  set_body();
  window_start_ = monotonic_ns();
  curl_multi_add_handle(loop().multi(), curl_);
  attached_ = true;
  loop().add(*this);
}

void Exchange::set_up() {
  curl_easy_setopt(curl_, CURLOPT_PRIVATE, this);
  curl_easy_setopt(curl_, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(session_.patience.connect_ms));
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  // A name server that is silent must hold up neither this exchange's end nor the others'.
  curl_easy_setopt(curl_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl_, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, "wherry/" WHERRY_VERSION);
  curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, detail_);
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Exchange::on_data);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl_, CURLOPT_PREREQFUNCTION, &Exchange::on_connected);
  curl_easy_setopt(curl_, CURLOPT_PREREQDATA, this);
  for (const std::string& header : request_.headers)
    headers_ = curl_slist_append(headers_, header.c_str());
  // Waiting for "100 Continue" costs a second with servers that do not know it.
  headers_ = curl_slist_append(headers_, "Expect:");
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers_);
}

// Proxies and TLS.
void Exchange::set_peer() {
  Result<Url> url = parse_url(request_.url);
  // A proxy cannot reach what this machine calls itself; others' clients do the same.
  if (url && place_of(url->host) == Place::kOurselves) curl_easy_setopt(curl_, CURLOPT_PROXY, "");
  bool own = url && url->origin == session_.registry;
  if (own && !session_.verify_tls) {
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!session_.authorities.empty()) {
    curl_blob blob = borrowed(session_.authorities);
    curl_easy_setopt(curl_, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (own && !session_.client_certificate.empty()) {
    curl_blob certificate = borrowed(session_.client_certificate);
    curl_blob key = borrowed(session_.client_key);
    curl_easy_setopt(curl_, CURLOPT_SSLCERTTYPE, "PEM");
    curl_easy_setopt(curl_, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(curl_, CURLOPT_SSLKEYTYPE, "PEM");
    curl_easy_setopt(curl_, CURLOPT_SSLKEY_BLOB, &key);
  }
}

void Exchange::set_body() {
  if (request_.method == "GET") return;
  if (request_.method == "HEAD") {
    curl_easy_setopt(curl_, CURLOPT_NOBODY, 1L);
    return;
  }
  uint64_t size = request_.body_fd >= 0 ? request_.body_size : request_.body.size();
  curl_easy_setopt(curl_, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  curl_easy_setopt(curl_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
  curl_easy_setopt(curl_, CURLOPT_UPLOAD_BUFFERSIZE, size > 65536 ? kSendBuffer : 65536L);
  curl_easy_setopt(curl_, CURLOPT_READFUNCTION, &Exchange::on_read);
  curl_easy_setopt(curl_, CURLOPT_READDATA, this);
  curl_easy_setopt(curl_, CURLOPT_SEEKFUNCTION, &Exchange::on_seek);
  curl_easy_setopt(curl_, CURLOPT_SEEKDATA, this);
}

int Exchange::on_connected(void* context, char* peer, char*, int, int) {
  auto* self = static_cast<Exchange*>(context);
  self->response_.address = peer != nullptr ? peer : "";
  if (!self->request_.check_address) return CURL_PREREQFUNC_OK;
  Result<void> checked = self->request_.check_address(self->response_.address);
  if (checked) return CURL_PREREQFUNC_OK;
  self->give_up(std::move(checked.error()), Failure::Cause::kFinal);
  return CURL_PREREQFUNC_ABORT;
}

size_t Exchange::on_header(char* data, size_t, size_t size, void* context) {
  auto* self = static_cast<Exchange*>(context);
  self->moved_ += size;
  return self->take_header(std::string_view(data, size)) ? size : 0;
}

bool Exchange::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaders) {
    give_up(Error(ErrorKind::kResourceExhausted, "the server's headers are larger than 256 KiB"),
            Failure::Cause::kFinal);
    return false;
  }
  if (line.starts_with("HTTP/")) {
    response_.headers.clear();  // the one before was "100 Continue" or its like
    return true;
  }
  auto [name, value] = split_once(trim(line), ':');
  if (value) response_.headers.emplace(to_lower(trim(name)), trim(*value));
  return true;
}

size_t Exchange::on_data(char* data, size_t, size_t size, void* context) {
  auto* self = static_cast<Exchange*>(context);
  self->moved_ += size;
  return self->keep(std::string_view(data, size)) ? size : 0;
}

bool Exchange::keep(std::string_view data) {
  if (response_.status == 0) curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &response_.status);
  Sink* sink = response_.status / 100 == 2 ? request_.sink : nullptr;
  if (sink == nullptr) {
    if (response_.body.size() + data.size() > request_.max_body) {
      give_up(Error(ErrorKind::kResourceExhausted,
                    "the answer is larger than " + std::to_string(request_.max_body) + " bytes"),
              Failure::Cause::kFinal);
      return false;
    }
    response_.body += data;
    return true;
  }
  Result<void> taken;
  if (!std::exchange(begun_, true)) taken = sink->begin(response_);
  if (taken) taken = sink->write(data);
  if (!taken) {
    give_up(std::move(taken.error()), Failure::Cause::kFinal);
    return false;
  }
  if (sink->full_fd() >= 0 && !paused_) {
    paused_ = true;
    curl_easy_pause(curl_, CURLPAUSE_RECV);
  }
  return true;
}

size_t Exchange::on_read(char* buffer, size_t, size_t size, void* context) {
  auto* self = static_cast<Exchange*>(context);
  const Request& request = self->request_;
  size_t got = 0;
  if (request.body_fd < 0) {
    got =
        std::min(size, request.body.size() - std::min<uint64_t>(self->sent_, request.body.size()));
    memcpy(buffer, request.body.data() + self->sent_, got);
  } else if (self->sent_ < request.body_size) {
    size_t wanted = std::min<uint64_t>(size, request.body_size - self->sent_);
    ssize_t count = pread(request.body_fd, buffer, wanted,
                          static_cast<off_t>(request.body_offset + self->sent_));
    if (count <= 0) {
      self->give_up(count == 0 ? Error(ErrorKind::kCorrupt, "the file to send is too short")
                               : Error::from_errno(errno, "cannot read the file to send"),
                    Failure::Cause::kFinal);
      return CURL_READFUNC_ABORT;
    }
    got = static_cast<size_t>(count);
  }
  self->sent_ += got;
  self->moved_ += got;
  if (request.sent) request.sent(self->sent_);
  return got;
}

int Exchange::on_seek(void* context, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  auto* self = static_cast<Exchange*>(context);
  // curl would send a blob again from its start when a connection it had used before breaks. The
  // registry keeps what it has got: its place must be asked for first.
  if (self->request_.body_fd >= 0 && static_cast<uint64_t>(offset) < self->sent_)
    return CURL_SEEKFUNC_FAIL;
  self->sent_ = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

void Exchange::give_up(Error error, Failure::Cause cause) {
  if (!failure_) failure_ = Failure{std::move(error), cause};
}

void Exchange::detach() {
  if (attached_) {
    curl_multi_remove_handle(loop().multi(), curl_);
    attached_ = false;
  }
  loop().remove(*this);
}

void Exchange::wake_up() {
  loop().remove(*this);
  loop().wake(*this);
}

void Exchange::end_with(Error error, Failure::Cause cause) {
  give_up(std::move(error), cause);
  detach();
  wake_up();
}

void Exchange::on_end(CURLcode code) {
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &response_.status);
  bool given_up = failure_.has_value();
  if (code != CURLE_OK && !given_up) failure_ = failure_of(code);
  curl_multi_remove_handle(loop().multi(), curl_);
  attached_ = false;
  ended_ = true;
  // What has arrived is the sink's, also when the connection broke behind it.
  if (given_up || full_fd() < 0) wake_up();
}

int Exchange::full_fd() const {
  return begun_ && (paused_ || ended_) ? request_.sink->full_fd() : -1;
}

void Exchange::on_writable() {
  Result<void> flushed = request_.sink->flush();
  if (!flushed) return end_with(std::move(flushed.error()), Failure::Cause::kFinal);
  window_start_ = monotonic_ns();
  moved_ = 0;
  if (request_.sink->full_fd() >= 0) return;
  if (ended_) return wake_up();
  paused_ = false;
  // Hands on at once what curl holds; an error of the sink does not end the transfer from here.
  curl_easy_pause(curl_, CURLPAUSE_CONT);
  if (!failure_) return;
  detach();
  wake_up();
}

void Exchange::on_tick(int64_t now_ns) {
  if (paused_ || ended_) return;
  int64_t window = int64_t{session_.patience.stall_ms} * 1'000'000;
  bool waits_for_answer = request_.body_fd >= 0 && sent_ == request_.body_size;
  if (now_ns - window_start_ < (waits_for_answer ? window * kAnswerFactor : window)) return;
  if (moved_ * 1000 >= kSlowestPerSecond * session_.patience.stall_ms) {
    moved_ = 0;
    window_start_ = now_ns;
    return;
  }
  end_with(
      Error(ErrorKind::kUnavailable, "the server sent next to nothing for " +
                                         std::to_string(session_.patience.stall_ms / 1000) + " s"),
      Failure::Cause::kStalled);
}

Failure Exchange::failure_of(CURLcode code) const {
  Result<Url> url = parse_url(request_.url);
  std::string place = url ? url->origin : request_.url;
  std::string detail = *detail_ != 0 ? detail_ : curl_easy_strerror(code);
  auto failure = [](ErrorKind kind, std::string message, Failure::Cause cause) {
    return Failure{Error(kind, std::move(message)), cause};
  };
  using enum Failure::Cause;
  long errnum = 0;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return failure(ErrorKind::kUnavailable, lowered_start(detail), kUnreachable);
    case CURLE_COULDNT_CONNECT:
      // curl names the host that it tried.
      if (url && detail.find(url->host) == detail.npos)
        return failure(ErrorKind::kUnavailable,
                       "the proxy of '" + place + "': " + lowered_start(detail), kUnreachable);
      curl_easy_getinfo(curl_, CURLINFO_OS_ERRNO, &errnum);
      if (errnum == 0) return failure(ErrorKind::kUnavailable, lowered_start(detail), kUnreachable);
      return failure(
          ErrorKind::kUnavailable,
          Error::from_errno(static_cast<int>(errnum), "cannot connect to '" + place + "'")
              .message(),
          kUnreachable);
    case CURLE_OPERATION_TIMEDOUT:
      return failure(ErrorKind::kUnavailable,
                     (detail.starts_with("Resolving") ? "cannot find the address of '"
                                                      : "cannot connect to '") +
                         place + "' within " + std::to_string(session_.patience.connect_ms / 1000) +
                         " s",
                     kUnreachable);
    case CURLE_SSL_CONNECT_ERROR:
      if (!says_plain_http(detail)) break;
      return {Error(ErrorKind::kUnavailable, "'" + place + "' speaks plain HTTP, not HTTPS")
                  .set_hint("give it a certificate, or list it under insecure-registries"),
              kPlainHttp};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {Error(ErrorKind::kUnavailable,
                    "the certificate of '" + place + "' is not trusted: " + lowered_start(detail))
                  .set_hint("put its authority's certificate into /etc/docker/certs.d/" +
                            (url ? url->host : "HOST") +
                            "[:PORT]/ca.crt, or list the registry under insecure-registries"),
              kCertificate};
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return failure(ErrorKind::kUnavailable, "the connection to '" + place + "' broke", kLost);
    case CURLE_OUT_OF_MEMORY:
      return failure(ErrorKind::kResourceExhausted, "no memory", kFinal);
    default:
      break;
  }
  return failure(ErrorKind::kUnavailable, "'" + place + "': " + lowered_start(detail), kFinal);
}

}  // namespace wherry::wire
