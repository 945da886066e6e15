// Registry::download: a blob in order into a descriptor, hashed on the way, resumed where it broke.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sys/sha256.h"
#include "wire/registry.h"

namespace wherry::wire {
namespace {

// What a try must bring to count as progress.
constexpr uint64_t kProgress = 1u << 20;

Error wrong_size(const std::string& bytes, uint64_t wanted) {
  return Error(ErrorKind::kCorrupt, "it has " + bytes + " bytes, not " + std::to_string(wanted));
}

class BlobSink : public Sink {
 public:
  explicit BlobSink(const Registry::Blob& blob) : blob_(blob) {}

  uint64_t offset() const { return offset_; }
  const std::string& etag() const { return etag_; }

  Result<void> begin(const Response& response) override {
    skip_ = 0;
    if (response.status == 206) return begin_part(response);
    if (response.status != 200)
      return Error(ErrorKind::kCorrupt, "the server answered " + std::to_string(response.status));
    skip_ = offset_;  // it does not know ranges: what is written already comes again
    std::string length = response.header("content-length");
    if (std::optional<uint64_t> bytes = parse_u64(length); bytes && *bytes != blob_.size)
      return wrong_size(length, blob_.size);
    // A weak one does not stand for the bytes.
    if (std::string etag = response.header("etag"); !etag.starts_with("W/")) etag_ = etag;
    return {};
  }

  Result<void> write(std::string_view data) override {
    size_t known = std::min<uint64_t>(skip_, data.size());
    skip_ -= known;
    data.remove_prefix(known);
    if (data.empty()) return {};
    if (data.size() > blob_.size - offset_)
      return wrong_size("more than " + std::to_string(blob_.size), blob_.size);
    hash_.update(data);
    offset_ += data.size();
    if (rest_.empty()) TRY_VOID(push(data));
    rest_ += data;
    if (blob_.progress) blob_.progress(offset_);
    return {};
  }

  int full_fd() const override { return rest_.empty() ? -1 : blob_.fd; }

  Result<void> flush() override {
    std::string_view left = rest_;
    TRY_VOID(push(left));
    rest_.erase(0, rest_.size() - left.size());
    return {};
  }

  // Call at the end.
  Result<void> check() {
    if (offset_ != blob_.size) return wrong_size(std::to_string(offset_), blob_.size);
    Digest digest = hash_.finish();
    if (digest == blob_.digest) return {};
    return Error(ErrorKind::kCorrupt, "it has the digest '" + digest.str() + "'");
  }

 private:
  // "bytes 100-199/200"
  Result<void> begin_part(const Response& response) {
    std::string range = response.header("content-range");
    std::string_view text = range;
    std::optional<uint64_t> begin;
    if (text.starts_with("bytes ")) begin = parse_u64(split_once(text.substr(6), '-').first);
    if (!begin || *begin > offset_)
      return Error(ErrorKind::kCorrupt,
                   "the server sent the range '" + shown(range) + "', which was not asked for");
    skip_ = offset_ - *begin;
    return {};
  }

  // As much as the descriptor takes; `data` keeps the rest.
  Result<void> push(std::string_view& data) {
    while (!data.empty()) {
      ssize_t written = ::write(blob_.fd, data.data(), data.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EAGAIN) return {};
      if (written < 0) return Error::from_errno(errno, "cannot write the blob");
      data.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }

  const Registry::Blob& blob_;
  sys::Sha256 hash_;
  uint64_t offset_ = 0;  // hashed, and written but for `rest_`
  uint64_t skip_ = 0;
  std::string rest_, etag_;
};

// One reader that is slow must not hold up the others.
void make_nonblocking(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0 || S_ISREG(status.st_mode)) return;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

}  // namespace

Task<Result<void>> Registry::download(const Blob& blob) {
  make_nonblocking(blob.fd);
  BlobSink sink(blob);
  std::vector<std::string> places = {url_of("/blobs/" + blob.digest.str())};
  places.insert(places.end(), blob.urls.begin(), blob.urls.end());
  size_t place = 0;
  Retries retries(session_.patience, known_);
  Error first(ErrorKind::kNotFound, "");
  for (;;) {
    Request request;
    request.url = places[place];
    request.sink = &sink;
    uint64_t before = sink.offset();
    if (before != 0) {
      request.headers.push_back("Range: bytes=" + std::to_string(before) + "-");
      if (!sink.etag().empty()) request.headers.push_back("If-Range: " + sink.etag());
    }
    Outcome outcome = co_await attempt(request);
    bool whole = !outcome.failure && outcome.response.status / 100 == 2;
    bool broke_behind = outcome.failure && sink.offset() == blob.size && blob.size != 0 &&
                        outcome.failure->cause == Failure::Cause::kLost;
    if (whole || broke_behind) {
      Result<void> checked = sink.check();
      co_return checked;
    }
    if (sink.offset() - before >= kProgress) retries.made_progress();
    std::optional<int64_t> delay = retries.next(outcome.failure, outcome.response);
    if (!delay) {
      if (place == 0) first = error_of(outcome);
      bool corrupt = outcome.failure && outcome.failure->error.kind() == ErrorKind::kCorrupt;
      if (corrupt || ++place == places.size()) co_return first;
      retries = Retries(session_.patience, false);
      continue;
    }
    Sleep pause(loop_, *delay);
    co_await pause;
  }
}

}  // namespace wherry::wire
