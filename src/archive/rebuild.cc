#include "archive/rebuild.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "archive/recipe.h"
#include "archive/tar_sink.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "sys/fd.h"

namespace wherry::archive {
namespace {

constexpr size_t kReadSize = 256u << 10;
constexpr const char* kHint =
    "'wherry fsck' finds what is damaged; pulling or loading the image heals it";

class Rebuilder {
 public:
  Rebuilder(int objects, TarSink& sink) : objects_(objects), sink_(sink), buffer_(kReadSize) {}

  Result<void> take(const RecipeReader::Part& part) {
    TRY_VOID(failpoint("archive.rebuild.part"));
    if (!file_ || part.object != id_) TRY_VOID(open(part.object));
    for (uint64_t done = 0; done < part.size;) {
      size_t wanted = std::min<uint64_t>(buffer_.size(), part.size - done);
      ssize_t got =
          pread(file_.get(), buffer_.data(), wanted, static_cast<off_t>(part.offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error::from_errno(errno, "cannot read object '" + to_hex(id_) + "'");
      if (got == 0)
        return Error(ErrorKind::kCorrupt, "object '" + to_hex(id_) + "' is cut short")
            .set_hint(kHint);
      TRY_VOID(sink_.write(std::string_view(buffer_.data(), static_cast<size_t>(got))));
      done += static_cast<uint64_t>(got);
    }
    return {};
  }

 private:
  Result<void> open(const tree::ObjectId& id) {
    std::string hex = to_hex(id);
    Result<sys::Fd> file =
        sys::open_at(objects_, hex.substr(0, 2) + "/" + hex.substr(2), O_RDONLY | O_NOFOLLOW);
    if (!file) {
      Error error = fail(std::move(file), "cannot read object '" + hex + "'");
      return std::move(error).set_hint(kHint);
    }
    file_ = std::move(*file);
    id_ = id;
    return {};
  }

  int objects_;
  TarSink& sink_;
  std::vector<char> buffer_;
  sys::Fd file_;
  tree::ObjectId id_{};
};

}  // namespace

Result<Rebuilt> rebuild(int recipe, int objects, Compression compression, int blob, Worker worker) {
  TRY(std::unique_ptr<RecipeReader> reader, RecipeReader::open(recipe));
  TarSink sink(compression, blob, std::move(worker));
  Rebuilder rebuilder(objects, sink);
  for (;;) {
    TRY(RecipeReader::Step step, reader->next());
    if (const auto* raw = std::get_if<RecipeReader::Raw>(&step)) {
      TRY_VOID(sink.write(raw->bytes));
    } else if (const auto* part = std::get_if<RecipeReader::Part>(&step)) {
      TRY_VOID(rebuilder.take(*part));
    } else {
      TRY(TarSink::Summary summary, sink.finish());
      const Digest& wanted = std::get<RecipeReader::End>(step).diff_id;
      if (summary.tar.digest != wanted)
        return Error(ErrorKind::kCorrupt, "the layer comes out as '" + summary.tar.digest.str() +
                                              "', not as '" + wanted.str() + "'")
            .set_hint(kHint);
      return Rebuilt{.diff_id = summary.tar.digest,
                     .tar_size = summary.tar.size,
                     .blob = summary.blob.digest,
                     .blob_size = summary.blob.size};
    }
  }
}

}  // namespace wherry::archive
