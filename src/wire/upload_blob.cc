// Registry::upload: a session, the bytes in one PUT (or in chunks where the registry asks for
// them), and after a broken connection the rest from where the registry says it is. Spec 1.1,
// "Pushing blobs".
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "wire/registry.h"

namespace wherry::wire {
namespace {

constexpr uint64_t kChunk = 32u << 20;
// What a try must bring to count as progress.
constexpr uint64_t kProgress = 1u << 20;

Result<void> check_file(const Registry::Blob& blob) {
  struct stat status{};
  if (fstat(blob.fd, &status) != 0) return Error::from_errno(errno, "cannot look at the blob");
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) != blob.size)
    return Error(ErrorKind::kCorrupt, "the file to send has " + std::to_string(status.st_size) +
                                          " bytes, not " + std::to_string(blob.size));
  return {};
}

// "0-99" of a session: 100 bytes. "0-0" may mean one byte or none: as none it is started anew.
std::optional<uint64_t> bytes_there(const Response& response) {
  std::string range = response.header("range");
  std::string_view text = range;
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  auto [begin, end] = split_once(text, '-');
  if (begin != "0" || !end) return std::nullopt;
  uint64_t last = parse_u64(*end).value_or(0);
  return last == 0 ? 0 : last + 1;
}

}  // namespace

class Upload {
 public:
  Upload(Registry& registry, const Registry::Blob& blob)
      : registry_(registry), blob_(blob), retries_(registry.session_.patience, registry.known_) {}

  Task<Result<void>> run() {
    CO_TRY_VOID(check_file(blob_));
    if (auto found = registry_.sessions_.extract(blob_.digest); !found.empty())
      session_ = found.mapped();
    for (;;) {
      uint64_t before = offset_;
      Registry::Outcome outcome = co_await step();
      if (done_) co_return Result<void>();
      if (wrong_) co_return *wrong_;
      if (!outcome.failure && outcome.response.status / 100 == 2) {
        if (offset_ > before) retries_.made_progress();
        continue;
      }
      // The place in the session that we took for ours is not the registry's.
      bool lost_place = !outcome.failure && session_ &&
                        (outcome.response.status == 404 || outcome.response.status == 416);
      std::optional<int64_t> delay = retries_.next(outcome.failure, outcome.response);
      if (lost_place && restarts_++ < 2) delay = 0;
      if (!delay) co_return registry_.error_of(outcome);
      Sleep pause(registry_.loop_, *delay);
      co_await pause;
      Result<bool> there = co_await find_place(lost_place);
      if (!there) co_return Error(std::move(there.error()));
      if (*there) co_return Result<void>();
    }
  }

 private:
  // The next request of the upload; sets done_ or wrong_, or moves on.
  Task<Registry::Outcome> step() {
    Request request;
    uint64_t begin = offset_;
    uint64_t length = 0;
    bool last = false;
    if (!session_) {
      request.method = "POST";
      request.url = registry_.url_of("/blobs/uploads/");
    } else {
      last = offset_ == blob_.size || (offset_ == 0 && chunk_ == 0);
      request.method = last ? "PUT" : "PATCH";
      length = blob_.size - offset_;
      if (!last && chunk_ != 0) length = std::min(length, chunk_);
      request.url =
          last ? with_parameter(session_->text, "digest", blob_.digest.str()) : session_->text;
      request.headers.push_back("Content-Type: application/octet-stream");
      if (!last)
        request.headers.push_back("Content-Range: " + std::to_string(begin) + "-" +
                                  std::to_string(begin + length - 1));
      if (length != 0) {
        request.body_fd = blob_.fd;
        request.body_offset = begin;
        request.body_size = length;
      }
      request.sent = [this, begin](uint64_t bytes) {
        if (blob_.progress) blob_.progress(begin + bytes);
      };
    }
    Registry::Outcome outcome = co_await registry_.attempt(request);
    if (!outcome.failure && outcome.response.status / 100 == 2) take_answer(outcome, last, length);
    co_return outcome;
  }

  void take_answer(const Registry::Outcome& outcome, bool last, uint64_t length) {
    if (last) {
      std::string said = outcome.response.header("docker-content-digest");
      if (said.starts_with("sha256:") && said != blob_.digest.str())
        wrong_ = Error(ErrorKind::kCorrupt, "the registry stored it as '" + shown(said) + "'");
      else
        done_ = true;
      return;
    }
    take_location(outcome);
    if (length == 0) {
      // A new session.
      if (!session_ && !wrong_)
        wrong_ = Error(ErrorKind::kCorrupt, "the server does not say where to send the blob");
      std::string least = outcome.response.header("oci-chunk-min-length");
      if (std::optional<uint64_t> bytes = parse_u64(least); bytes && *bytes != 0)
        chunk_ = std::max(*bytes, kChunk);
      return;
    }
    std::optional<uint64_t> there = bytes_there(outcome.response);
    offset_ += length;
    if (!there || *there == 0 || *there == offset_) return;
    if (*there > blob_.size || *there <= offset_ - length)
      wrong_ = Error(ErrorKind::kCorrupt, "the registry takes the bytes and forgets them");
    else
      offset_ = *there;
  }

  void take_location(const Registry::Outcome& outcome) {
    std::string location = outcome.response.header("location");
    if (location.empty()) return;
    Result<Url> url = resolve_url(outcome.url, location);
    if (!url) {
      wrong_ = std::move(url.error());
    } else if (outcome.url.encrypted() && !url->encrypted()) {
      wrong_ = Error(ErrorKind::kUnavailable,
                     "the server wants the blob at '" + url->origin + "', which is not encrypted")
                   .set_hint("the proxy in front of the registry must pass X-Forwarded-Proto on");
    } else {
      session_ = std::move(*url);
    }
  }

  // After a failure: where the registry is. True: it has the blob already.
  Task<Result<bool>> find_place(bool restart) {
    Result<bool> has = co_await registry_.has_blob(blob_.digest);
    if (!has) co_return Error(std::move(has.error()));
    if (*has) co_return true;
    if (session_ && !restart) {
      Request request;
      request.url = session_->text;
      Registry::Outcome outcome = co_await registry_.send(request);
      std::optional<uint64_t> there;
      if (!outcome.failure && outcome.response.status / 100 == 2) {
        there = bytes_there(outcome.response);
        take_location(outcome);
      }
      if (wrong_) co_return *wrong_;
      if (there && *there != 0 && *there <= blob_.size) {
        if (*there >= offset_ + kProgress) retries_.made_progress();
        offset_ = *there;
        co_return false;
      }
    }
    session_.reset();
    offset_ = 0;
    co_return false;
  }

  Registry& registry_;
  const Registry::Blob& blob_;
  Retries retries_;
  std::optional<Url> session_;
  uint64_t offset_ = 0;  // bytes that the registry has
  uint64_t chunk_ = 0;   // 0: all at once
  int restarts_ = 0;
  bool done_ = false;
  std::optional<Error> wrong_;
};

Task<Result<void>> Registry::upload(const Blob& blob) {
  Upload upload(*this, blob);
  Result<void> result = co_await upload.run();
  co_return result;
}

}  // namespace wherry::wire
