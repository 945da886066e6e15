#include "archive/objects.h"

#include <algorithm>
#include <cerrno>

#include "archive/layer_tree_sink.h"
#include "archive/object_files.h"
#include "archive/output_file.h"
#include "archive/recipe.h"
#include "archive/worker.h"
#include "base/failpoint.h"

namespace wherry::archive {
namespace {

constexpr const char* kNewRecipe = "recipe.new";
constexpr size_t kReadSize = 64u << 10;

class ObjectSink : public LayerTreeSink {
 public:
  ObjectSink(LayerTree& tree, ObjectFiles& objects, RecipeWriter& recipe)
      : LayerTreeSink(tree), objects_(objects), recipe_(recipe) {}

  Result<void> begin_file(const std::string& path, uint64_t size, bool sparse) override {
    path_ = path;
    size_ = size;
    parts_.clear();
    return size > 0 ? objects_.begin(size, sparse) : Result<void>();
  }
  Result<void> write(std::string_view bytes, uint64_t offset) override {
    if (!parts_.empty() && parts_.back().offset + parts_.back().size == offset) {
      parts_.back().size += bytes.size();
    } else {
      parts_.push_back({offset, bytes.size()});
    }
    return objects_.write(bytes, offset);
  }
  Result<void> end_file(const Metadata& metadata) override {
    tree::ObjectId id{};
    if (size_ > 0) {
      TRY(id, objects_.end());
      TRY_VOID(recipe_.object(id, parts_));
    }
    return tree().file(path_, metadata, size_, id);
  }

 private:
  ObjectFiles& objects_;
  RecipeWriter& recipe_;
  std::string path_;
  uint64_t size_ = 0;
  std::vector<SparseRun> parts_;
};

Result<tree::RecordWriter::Summary> write_record(LayerTree& tree, int directory) {
  TRY(OutputFile file, OutputFile::open(directory, kRecordName));
  tree::RecordWriter writer(tree::RecordKind::kLayer,
                            [&](std::string_view bytes) { return file.write(bytes); });
  TRY_VOID_CTX(tree.write(writer), "cannot record the layer");
  TRY_VOID(failpoint("archive.objects.record"));
  TRY(tree::RecordWriter::Summary summary, writer.finish());
  TRY_VOID(file.flush());
  return summary;
}

// The bytes of an object that no record names stand in the recipe itself.
Result<void> copy_part(ObjectFiles& objects, const RecipeReader::Part& part, RecipeWriter& to) {
  TRY_CTX(sys::Fd file, objects.open(part.object), "cannot read an object");
  std::string buffer(kReadSize, '\0');
  for (uint64_t done = 0; done < part.size;) {
    ssize_t got = pread(file.get(), buffer.data(), std::min<uint64_t>(kReadSize, part.size - done),
                        static_cast<off_t>(part.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read an object");
    if (got == 0) return Error(ErrorKind::kCorrupt, "an object of the store is cut short");
    TRY_VOID(to.raw(std::string_view(buffer.data(), static_cast<size_t>(got))));
    done += static_cast<uint64_t>(got);
  }
  return {};
}

// Files that a later entry has replaced leave contents that nothing names: a recipe refers to
// objects of its record only, so that who keeps the record's objects can make the tar again.
Result<void> take_in_lost(int directory, ObjectFiles& objects,
                          const std::vector<tree::ObjectId>& lost) {
  TRY(OutputFile file, OutputFile::open(directory, kNewRecipe));
  TRY(std::unique_ptr<RecipeWriter> to,
      RecipeWriter::open([&](std::string_view bytes) { return file.write(bytes); }));
  TRY(sys::Fd old, sys::open_at(directory, kRecipeName, O_RDONLY | O_NOFOLLOW));
  TRY(std::unique_ptr<RecipeReader> from, RecipeReader::open(old.get()));
  for (;;) {
    TRY(RecipeReader::Step step, from->next());
    if (const auto* raw = std::get_if<RecipeReader::Raw>(&step)) {
      TRY_VOID(to->raw(raw->bytes));
    } else if (const auto* part = std::get_if<RecipeReader::Part>(&step)) {
      if (std::ranges::binary_search(lost, part->object)) {
        TRY_VOID(copy_part(objects, *part, *to));
      } else {
        SparseRun run{part->offset, part->size};
        TRY_VOID(to->object(part->object, std::span(&run, 1)));
      }
    } else {
      TRY_VOID(to->finish(std::get<RecipeReader::End>(step).diff_id));
      break;
    }
  }
  TRY_VOID(file.flush());
  if (renameat(directory, kNewRecipe, directory, kRecipeName) != 0)
    return Error::from_errno(errno, "cannot name the recipe");
  for (const tree::ObjectId& id : lost) TRY_VOID(objects.remove(id));
  return {};
}

}  // namespace

Result<UnpackedObjects> unpack_objects(int tar, int directory, int store, int blob, Worker worker,
                                       const UnpackRules& rules) {
  TRY(std::unique_ptr<LayerTree> tree, LayerTree::open(directory, rules.max_entries));
  TRY(ObjectFiles objects, ObjectFiles::make(directory, store));
  TRY(OutputFile file, OutputFile::open(directory, kRecipeName));
  TRY(std::unique_ptr<RecipeWriter> recipe,
      RecipeWriter::open([&](std::string_view bytes) { return file.write(bytes); }));
  ObjectSink sink(*tree, objects, *recipe);
  TRY(Unpacked layer, unpack_into(
                          sink, [&](std::string_view bytes) { return recipe->raw(bytes); }, tar,
                          blob, std::move(worker), rules));
  TRY_VOID(recipe->finish(layer.diff_id));
  TRY_VOID(file.flush());
  TRY(tree::RecordWriter::Summary record, write_record(*tree, directory));
  if (std::vector<tree::ObjectId> lost = tree->lost_objects(); !lost.empty())
    TRY_VOID(take_in_lost(directory, objects, lost));
  layer.files_size = record.files_size;
  return UnpackedObjects{.layer = std::move(layer),
                         .new_objects = objects.made(),
                         .new_bytes = objects.made_bytes(),
                         .record = record.digest,
                         .record_entries = record.entries};
}

}  // namespace wherry::archive
