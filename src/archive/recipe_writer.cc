#include <zstd.h>

#include <algorithm>

#include "archive/recipe.h"
#include "archive/recipe_layout.h"
#include "tree/coding.h"

namespace wherry::archive {
namespace {

// Headers compress to a twentieth at any level.
constexpr int kLevel = 1;
constexpr size_t kPending = 64u << 10;

std::string bytes_of(const Digest& digest) {
  auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i < digest.hex().size(); i += 2)
    bytes += static_cast<char>(value(digest.hex()[i]) << 4 | value(digest.hex()[i + 1]));
  return bytes;
}

}  // namespace

struct RecipeWriter::State {
  explicit State(Sink to)
      : sink(std::move(to)),
        stream(ZSTD_createCCtx(), &ZSTD_freeCCtx),
        output(ZSTD_CStreamOutSize(), '\0') {}

  bool begin() {
    return stream != nullptr &&
           ZSTD_isError(ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_compressionLevel, kLevel)) ==
               0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_checksumFlag, 1)) == 0;
  }

  Result<void> compress(ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{pending.data(), pending.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{output.data(), output.size(), 0};
      size_t left = ZSTD_compressStream2(stream.get(), &out, &in, directive);
      if (ZSTD_isError(left) != 0)
        return Error(ErrorKind::kInternal,
                     std::string("cannot compress the recipe: ") + ZSTD_getErrorName(left));
      if (out.pos > 0) TRY_VOID(sink(std::string_view(output.data(), out.pos)));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) break;
    }
    pending.clear();
    return {};
  }

  // Neighbouring bytes become one step.
  Result<void> end_run() {
    if (run.empty()) return {};
    pending.push_back(static_cast<char>(kStepRaw));
    tree::append_varint(pending, run.size());
    pending += run;
    run.clear();
    return pending.size() < kPending ? Result<void>() : compress(ZSTD_e_continue);
  }

  Sink sink;
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> stream;
  std::string output;
  std::string run;      // bytes that are not a step yet
  std::string pending;  // steps that are not compressed yet
  tree::ObjectId last{};
  bool has_last = false;
  uint64_t size = 0;
};

RecipeWriter::RecipeWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecipeWriter::~RecipeWriter() = default;

Result<std::unique_ptr<RecipeWriter>> RecipeWriter::open(Sink sink) {
  auto state = std::make_unique<State>(std::move(sink));
  if (!state->begin())
    return Error(ErrorKind::kResourceExhausted, "cannot compress the recipe: no memory");
  std::string header(kRecipeMagic);
  header.push_back(static_cast<char>(kRecipeVersion));
  header.resize(kRecipeHeader);
  TRY_VOID(state->sink(header));
  return std::unique_ptr<RecipeWriter>(new RecipeWriter(std::move(state)));
}

Result<void> RecipeWriter::raw(std::string_view bytes) {
  state_->size += bytes.size();
  while (!bytes.empty()) {
    size_t part = std::min(bytes.size(), kMaxRaw - state_->run.size());
    state_->run += bytes.substr(0, part);
    bytes.remove_prefix(part);
    if (state_->run.size() == kMaxRaw) TRY_VOID(state_->end_run());
  }
  return {};
}

Result<void> RecipeWriter::object(const tree::ObjectId& id, std::span<const SparseRun> parts) {
  State& s = *state_;
  TRY_VOID(s.end_run());
  for (const SparseRun& part : parts) {
    if (part.size == 0) continue;
    bool same = s.has_last && s.last == id;
    s.pending.push_back(static_cast<char>(same ? kStepSameObject : kStepObject));
    if (!same) s.pending.append(reinterpret_cast<const char*>(id.data()), id.size());
    tree::append_varint(s.pending, part.offset);
    tree::append_varint(s.pending, part.size);
    s.last = id;
    s.has_last = true;
    s.size += part.size;
    if (s.pending.size() >= kPending) TRY_VOID(s.compress(ZSTD_e_continue));
  }
  return {};
}

Result<void> RecipeWriter::finish(const Digest& diff_id) {
  State& s = *state_;
  TRY_VOID(s.end_run());
  s.pending.push_back(static_cast<char>(kStepEnd));
  tree::append_varint(s.pending, s.size);
  s.pending += bytes_of(diff_id);
  return s.compress(ZSTD_e_end);
}

}  // namespace wherry::archive
