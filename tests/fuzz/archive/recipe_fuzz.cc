// Recipes from anywhere: read to the end or refused, within bounds, and written again the same.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "archive/recipe.h"
#include "sys/fd.h"

namespace {

using namespace wherry;
using namespace wherry::archive;

// A few bytes of zstd may be gigabytes of steps.
constexpr int kMaxSteps = 100'000;

sys::Fd file_of(std::string_view bytes) {
  sys::Fd fd(memfd_create("recipe", MFD_CLOEXEC));
  if (!fd || !sys::write_all(fd.get(), bytes)) __builtin_trap();
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

// All steps as text; what they say is compared, not how it was compressed.
Result<std::string> steps_of(int fd, RecipeWriter* copy) {
  TRY(std::unique_ptr<RecipeReader> reader, RecipeReader::open(fd));
  std::string all;
  uint64_t size = 0;
  for (int i = 0; i < kMaxSteps; ++i) {
    TRY(RecipeReader::Step step, reader->next());
    if (const auto* raw = std::get_if<RecipeReader::Raw>(&step)) {
      all += raw->bytes;
      size += raw->bytes.size();
      if (copy != nullptr) TRY_VOID(copy->raw(raw->bytes));
    } else if (const auto* part = std::get_if<RecipeReader::Part>(&step)) {
      SparseRun run{part->offset, part->size};
      all += "|" + std::to_string(part->offset) + "+" + std::to_string(part->size) + "|";
      size += part->size;
      if (copy != nullptr) TRY_VOID(copy->object(part->object, std::span(&run, 1)));
    } else {
      const auto& end = std::get<RecipeReader::End>(step);
      if (end.tar_size != size) __builtin_trap();
      if (copy != nullptr) TRY_VOID(copy->finish(end.diff_id));
      return all + end.diff_id.str();
    }
  }
  return Error(ErrorKind::kResourceExhausted, "enough");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sys::Fd fd = file_of({reinterpret_cast<const char*>(data), size});
  std::string again;
  auto copy = RecipeWriter::open([&](std::string_view bytes) -> Result<void> {
    again += bytes;
    return {};
  });
  if (!copy) __builtin_trap();
  Result<std::string> steps = steps_of(fd.get(), copy->get());
  if (!steps) return 0;
  sys::Fd second = file_of(again);
  Result<std::string> same = steps_of(second.get(), nullptr);
  if (!same || *same != *steps) __builtin_trap();
  return 0;
}
