// Any bytes as a layer: what the tree of its names becomes is a record that its reader takes.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "archive/layer_tree_sink.h"
#include "archive/unpack.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace {

using namespace wherry;
using namespace wherry::archive;

constexpr uint64_t kMaxEntriesHere = 500;
// A sparse file of a few bytes may be 16 GiB large.
constexpr uint64_t kMaxSize = 4u << 20;

std::string make_directory() {
  char pattern[] = "/dev/shm/wherry-fuzz-XXXXXX";
  if (mkdtemp(pattern) == nullptr) abort();
  return pattern;
}

// Through memory: files of another size than small are not made here.
class MemorySink : public LayerTreeSink {
 public:
  explicit MemorySink(LayerTree& tree) : LayerTreeSink(tree) {}
  Result<void> begin_file(const std::string& path, uint64_t size, bool) override {
    if (size > kMaxSize) return Error(ErrorKind::kResourceExhausted, "enough");
    path_ = path;
    content_.assign(size, '\0');
    return {};
  }
  Result<void> write(std::string_view bytes, uint64_t offset) override {
    if (offset > content_.size() || bytes.size() > content_.size() - offset) __builtin_trap();
    content_.replace(offset, bytes.size(), bytes);
    return {};
  }
  Result<void> end_file(const Metadata& metadata) override {
    sys::Sha256 hash;
    hash.update(content_);
    return tree().file(path_, metadata, content_.size(), hash.finish_bytes());
  }

 private:
  std::string path_, content_;
};

Result<void> unpack_and_check(const std::string& bytes, int directory) {
  TRY(std::unique_ptr<LayerTree> tree, LayerTree::open(directory, kMaxEntriesHere));
  MemorySink sink(*tree);
  std::string record;
  TRY_VOID(unpack_bytes(sink, bytes, {.owner = {}, .max_entries = kMaxEntriesHere}));
  tree::RecordWriter writer(tree::RecordKind::kLayer, [&](std::string_view part) -> Result<void> {
    record += part;
    return {};
  });
  Result<void> written = tree->write(writer);
  // What was taken can be recorded, or is beyond a limit.
  if (!written && written.error().kind() != ErrorKind::kResourceExhausted) __builtin_trap();
  TRY_VOID(std::move(written));
  TRY(tree::RecordWriter::Summary summary, writer.finish());
  auto reader = tree::RecordReader::open(record, tree::RecordKind::kLayer, 1 << 20);
  for (uint64_t left = summary.entries;; --left) {
    if (!reader) __builtin_trap();
    Result<const tree::Entry*> entry = reader->next();
    if (!entry) __builtin_trap();
    if (*entry == nullptr) {
      if (left != 0) __builtin_trap();
      return {};
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string directory = make_directory();
  static const sys::Fd fd = std::move(*sys::open_file(directory, O_RDONLY | O_DIRECTORY));
  (void)unpack_and_check({reinterpret_cast<const char*>(data), size}, fd.get());
  return 0;
}
