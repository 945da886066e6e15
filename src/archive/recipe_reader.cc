#include <algorithm>
#include <cerrno>
#include <cstring>

#include "archive/decompressor.h"
#include "archive/recipe.h"
#include "archive/recipe_layout.h"
#include "base/text.h"
#include "sys/fd.h"

namespace wherry::archive {
namespace {

constexpr size_t kBuffer = 256u << 10;

Error bad_recipe(std::string_view why) {
  return Error(ErrorKind::kCorrupt, "the layer's recipe is damaged: " + std::string(why));
}

Result<void> read_header(int fd) {
  char header[kRecipeHeader];
  size_t size = 0;
  while (size < sizeof header) {
    ssize_t got = read(fd, header + size, sizeof header - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read the layer's recipe");
    if (got == 0) return bad_recipe("it is cut short");
    size += static_cast<size_t>(got);
  }
  std::string_view bytes(header, sizeof header);
  if (!bytes.starts_with(kRecipeMagic)) return bad_recipe("it is none");
  bytes.remove_prefix(kRecipeMagic.size());
  if (static_cast<uint8_t>(bytes[0]) != kRecipeVersion)
    return Error(ErrorKind::kUnsupported, "the layer's recipe has format " +
                                              std::to_string(static_cast<uint8_t>(bytes[0])) +
                                              ", newer than this program's")
        .set_hint("use the version of wherry that made it, or a later one");
  if (bytes.find_first_not_of('\0', 1) != bytes.npos) return bad_recipe("its header");
  return {};
}

}  // namespace

struct RecipeReader::State {
  explicit State(int fd) : input(fd), buffer(kBuffer, '\0') {}

  // At least `size` bytes in rest, unless the stream ends.
  Result<void> need(size_t size) {
    while (rest.size() < size && !ended) {
      if (!rest.empty()) memmove(buffer.data(), rest.data(), rest.size());
      size_t kept = rest.size();
      TRY(size_t got, stream->read(std::span(buffer).subspan(kept)));
      ended = got == 0;
      rest = {buffer.data(), kept + got};
    }
    return {};
  }
  Result<std::string_view> take(size_t size) {
    TRY_VOID(need(size));
    if (rest.size() < size) return bad_recipe("it is cut short");
    std::string_view bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    return bytes;
  }
  Result<uint64_t> number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      TRY(std::string_view byte, take(1));
      auto bits = static_cast<uint8_t>(byte[0]);
      value |= uint64_t{bits & 0x7fU} << shift;
      if ((bits & 0x80) != 0) continue;
      if (bits == 0 && shift > 0) return bad_recipe("a number");
      return value;
    }
    return bad_recipe("a number");
  }
  Result<void> add(uint64_t bytes) {
    size += bytes;
    if (bytes > kMaxTarSize || size > kMaxTarSize) return bad_recipe("its size");
    return {};
  }
  Result<Step> raw();
  Result<Step> part(bool same);
  Result<Step> end();

  Input input;
  std::unique_ptr<ByteStream> stream;
  std::string buffer;
  std::string_view rest;
  bool ended = false;
  std::optional<tree::ObjectId> object;
  uint64_t size = 0;
};

Result<RecipeReader::Step> RecipeReader::State::raw() {
  TRY(uint64_t length, number());
  if (length == 0 || length > kMaxRaw) return bad_recipe("a length");
  TRY_VOID(add(length));
  TRY(std::string_view bytes, take(length));
  return Step(Raw{bytes});
}

Result<RecipeReader::Step> RecipeReader::State::part(bool same) {
  if (!same) {
    tree::ObjectId id;
    TRY(std::string_view bytes, take(id.size()));
    memcpy(id.data(), bytes.data(), id.size());
    object = id;
  }
  if (!object) return bad_recipe("a part of nothing");
  Part part{.object = *object};
  TRY(part.offset, number());
  TRY(part.size, number());
  if (part.size == 0 || part.offset > tree::kMaxFileSize || part.size > tree::kMaxFileSize)
    return bad_recipe("a part");
  TRY_VOID(add(part.size));
  return Step(part);
}

Result<RecipeReader::Step> RecipeReader::State::end() {
  TRY(uint64_t tar_size, number());
  TRY(std::string_view bytes, take(32));
  std::span<const unsigned char> digest(reinterpret_cast<const unsigned char*>(bytes.data()), 32);
  TRY(Digest diff_id, Digest::from_hex(to_hex(digest)));
  if (tar_size != size) return bad_recipe("its size");
  // The checksum is behind the last byte.
  TRY_VOID(need(1));
  if (!rest.empty()) return bad_recipe("bytes behind its end");
  return Step(End{diff_id, tar_size});
}

RecipeReader::RecipeReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecipeReader::~RecipeReader() = default;

Result<std::unique_ptr<RecipeReader>> RecipeReader::open(int fd) {
  TRY_VOID(read_header(fd));
  auto state = std::make_unique<State>(fd);
  TRY(state->stream, open_zstd_reader(state->input));
  return std::unique_ptr<RecipeReader>(new RecipeReader(std::move(state)));
}

Result<RecipeReader::Step> RecipeReader::next() {
  TRY(std::string_view tag, state_->take(1));
  switch (static_cast<uint8_t>(tag[0])) {
    case kStepRaw:
      return state_->raw();
    case kStepObject:
      return state_->part(false);
    case kStepSameObject:
      return state_->part(true);
    case kStepEnd:
      return state_->end();
    default:
      return bad_recipe("an unknown step");
  }
}

}  // namespace wherry::archive
