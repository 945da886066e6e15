// Recipes: how the exact tar of a layer is made again from the objects of its record;
// docs/formats/recipe.md.
//
// Runs of bytes that are no file's content (headers, padding, the end) and references to parts of
// objects, compressed. The reader believes nothing: lengths and sums are bounded, a checksum covers
// all. It does not look at objects. Only inside wherry-unpack, after it has given up its rights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "archive/sparse.h"
#include "base/digest.h"
#include "tree/entry.h"

namespace wherry::archive {

class RecipeWriter {
 public:
  using Sink = std::function<Result<void>(std::string_view)>;
  static Result<std::unique_ptr<RecipeWriter>> open(Sink sink);
  ~RecipeWriter();
  RecipeWriter(const RecipeWriter&) = delete;
  RecipeWriter& operator=(const RecipeWriter&) = delete;

  // The next bytes of the tar.
  Result<void> raw(std::string_view bytes);
  // The next bytes of the tar are these parts of an object, one behind the other.
  Result<void> object(const tree::ObjectId& id, std::span<const SparseRun> parts);
  // Once, at the end. `diff_id`: of all bytes.
  Result<void> finish(const Digest& diff_id);

 private:
  struct State;
  explicit RecipeWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class RecipeReader {
 public:
  struct Raw {
    std::string_view bytes;  // valid until the next call
  };
  struct Part {
    tree::ObjectId object;
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  struct End {
    Digest diff_id;
    uint64_t tar_size = 0;
  };
  using Step = std::variant<Raw, Part, End>;

  // `fd`: borrowed, read from where it stands. kCorrupt: it is no recipe; kUnsupported: one of a
  // newer format.
  static Result<std::unique_ptr<RecipeReader>> open(int fd);
  ~RecipeReader();
  RecipeReader(const RecipeReader&) = delete;
  RecipeReader& operator=(const RecipeReader&) = delete;

  // End comes last and once, after the checksum was compared.
  Result<Step> next();

 private:
  struct State;
  explicit RecipeReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry::archive
