// bzip2 and xz through libarchive's filters, its raw format behind them: rare in layers, so that
// speed and our own code are not worth it.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "archive/decompressor.h"

namespace wherry::archive {
namespace {

constexpr std::string_view kFormat = "compressed";
// Beyond the end of its stream a filter looks for the header of another one.
constexpr size_t kLookAhead = 64;

class FilterReader : public ByteStream {
 public:
  explicit FilterReader(Input& input)
      : input_(input), raw_(archive_read_new(), &archive_read_free) {}

  Result<void> begin() {
    ::archive* raw = raw_.get();
    if (raw == nullptr) return Error::from_errno(ENOMEM, "cannot make an archive reader");
    if (archive_read_support_filter_bzip2(raw) != ARCHIVE_OK ||
        archive_read_support_filter_xz(raw) != ARCHIVE_OK ||
        archive_read_support_format_raw(raw) != ARCHIVE_OK)
      return Error(ErrorKind::kUnsupported, "libarchive lacks bzip2 or xz as a library");
    archive_entry* entry = nullptr;
    int code = archive_read_open2(raw, this, nullptr, &FilterReader::feed, nullptr, nullptr);
    if (code == ARCHIVE_OK) code = archive_read_next_header(raw, &entry);
    // Of an empty stream the raw format says this; its error number is not public.
    const char* text = archive_error_string(raw);
    empty_ = code == ARCHIVE_EOF ||
             (text != nullptr && std::string_view(text) == "Unrecognized archive format");
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN || empty_) return {};
    return broken();
  }

  Result<size_t> read(std::span<char> into) override {
    while (size_ == 0) {
      la_int64_t offset = 0;
      int code =
          empty_ ? ARCHIVE_EOF : archive_read_data_block(raw_.get(), &data_, &size_, &offset);
      if (code == ARCHIVE_EOF) {
        TRY_VOID(check_rest());
        return size_t{0};
      }
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return broken();
    }
    size_t size = std::min(size_, into.size());
    memcpy(into.data(), data_, size);
    data_ = static_cast<const char*>(data_) + size;
    size_ -= size;
    return size;
  }

 private:
  static la_ssize_t feed(::archive* raw, void* self, const void** buffer) {
    auto* reader = static_cast<FilterReader*>(self);
    Result<std::string_view> bytes = reader->input_.next();
    if (!bytes) {
      archive_set_error(raw, bytes.error().errnum(), "cannot read");
      reader->failure_ = std::move(bytes.error());
      return -1;
    }
    reader->remember(*bytes);
    *buffer = bytes->data();
    return static_cast<la_ssize_t>(bytes->size());
  }

  void remember(std::string_view bytes) {
    if (bytes.empty()) return;
    if (recent_.size() > kLookAhead) recent_.erase(0, recent_.size() - kLookAhead);
    recent_ += bytes;
    fed_ += bytes.size();
  }

  // What the filter has not taken.
  Result<void> check_rest() {
    auto taken = static_cast<uint64_t>(archive_filter_bytes(raw_.get(), -1));
    uint64_t left = fed_ > taken ? fed_ - taken : 0;
    size_t rest = std::min<uint64_t>(left, recent_.size());
    return expect_padding(input_, std::string_view(recent_).substr(recent_.size() - rest), kFormat);
  }

  Error broken() {
    if (failure_) return *failure_;
    if (archive_errno(raw_.get()) == ENOMEM)
      return Error::from_errno(ENOMEM, "cannot read the archive");
    const char* text = archive_error_string(raw_.get());
    return damaged(kFormat, text != nullptr ? text : "unknown error");
  }

  Input& input_;
  std::unique_ptr<::archive, int (*)(::archive*)> raw_;
  std::optional<Error> failure_;  // of the input
  std::string recent_;            // what was fed last: at least what the filter may look ahead
  uint64_t fed_ = 0;
  const void* data_ = nullptr;
  size_t size_ = 0;
  bool empty_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_filter_reader(Input& input) {
  auto reader = std::make_unique<FilterReader>(input);
  TRY_VOID(reader->begin());
  return std::unique_ptr<ByteStream>(std::move(reader));
}

}  // namespace wherry::archive
