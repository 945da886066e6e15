// What a container's upper becomes: a layer of a new image, or the differences from its own.
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "archive/pack_client.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "store/chain.h"
#include "store/checkout.h"
#include "store/objects.h"
#include "store/store_state.h"
#include "store/tree_file.h"
#include "sys/file.h"
#include "tree/lookup.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

Error failed(const tree::Entry& entry) {
  return Error::from_errno(errno, "cannot copy " + shown_path(entry.path));
}

Result<ChainRecords> records_of(Store::State& state, const Image& image) {
  TRY(std::vector<Digest> chain, layers_of_image(state.database, image.id));
  TRY(auto folders, open_chain(state.places, chain));
  return ChainRecords::open(folders);
}

// Up to where the file ends by now.
Result<void> copy_range(const tree::Entry& entry, int from, int to, off64_t at, off64_t end) {
  while (at < end) {
    off64_t out = at;
    const ssize_t got = copy_file_range(from, &at, to, &out, static_cast<size_t>(end - at), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(entry);
    if (got == 0) return {};
  }
  return {};
}

// Holes stay holes.
Result<void> copy_content(const tree::Entry& entry, int from, int to) {
  if (entry.size == 0 || ioctl(to, FICLONE, from) == 0) return {};
  const auto size = static_cast<off64_t>(entry.size);
  for (off64_t at = 0; at < size;) {
    const off64_t data = lseek64(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return failed(entry);
    const off64_t hole = lseek64(from, data, SEEK_HOLE);
    if (hole < 0 && errno == ENXIO) break;
    if (hole < 0) return failed(entry);
    TRY_VOID(copy_range(entry, from, to, data, std::min(hole, size)));
    at = hole;
  }
  struct stat info{};
  if (fstat(from, &info) != 0 || ftruncate64(to, std::min(size, off64_t{info.st_size})) != 0)
    return failed(entry);
  return {};
}

Result<void> copy_file(const tree::Entry& entry, int from, int dir, const std::string& name) {
  TRY_CTX(sys::Fd file, sys::open_at(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
          "cannot copy " + shown_path(entry.path));
  TRY_VOID(copy_content(entry, from, file.get()));
  TRY_VOID(failpoint("store.upper.file"));
  return set_metadata(file.get(), entry);
}

// What stands for the content of a file: that of the image's if it is the same, else something that
// no content has.
Result<tree::ObjectId> content_of(const tree::Entry& entry, int file, tree::Lookup& image) {
  tree::ObjectId other;
  other.fill(0xff);
  TRY(const tree::Entry* before, image.find(entry.path));
  if (before == nullptr || before->type != tree::Type::kFile || before->size != entry.size)
    return other;
  TRY_CTX(std::string hex, file_digest(file), "cannot read " + shown_path(entry.path));
  return parse_object_hex(hex);
}

// The record of an upper, without what it costs to know contents.
Result<std::string> describe(UpperReader& upper, tree::Lookup image) {
  std::string bytes;
  tree::RecordWriter writer(tree::RecordKind::kLayer, [&](std::string_view part) -> Result<void> {
    bytes += part;
    return {};
  });
  for (;;) {
    TRY(const tree::Entry* next, upper.next());
    if (next == nullptr) break;
    tree::Entry entry = *next;
    entry.inode = 0;
    if (entry.type == tree::Type::kFile && entry.size > 0) {
      TRY(entry.object, content_of(entry, upper.file(), image));
    }
    TRY_VOID(writer.add(entry));
  }
  TRY(tree::RecordWriter::Summary summary, writer.finish());
  return summary.entries == 0 ? std::string() : bytes;
}

// Differences as `diff` of a container tells them.
class ChangeTeller {
 public:
  explicit ChangeTeller(const std::function<Result<void>(const tree::Difference&)>& sink)
      : sink_(sink) {}

  Result<void> tell(tree::Difference difference) {
    const std::string_view path = difference.path();
    difference.what &= static_cast<uint16_t>(~tree::kLinks);
    const bool both = difference.before != nullptr && difference.after != nullptr;
    if (path.empty() || (both && difference.what == 0)) return {};
    const bool removed = difference.after == nullptr;
    if (removed && gone_ && tree::is_below(path, *gone_)) return {};
    if (removed || (difference.what & tree::kType) != 0) gone_ = path;
    TRY_VOID(tell_parents(parent_of(path)));
    if ((removed ? difference.before : difference.after)->type == tree::Type::kDirectory)
      directory_ = path;
    return sink_(difference);
  }

 private:
  // Those that were not told: they are in both, and as they were.
  Result<void> tell_parents(std::string_view parent) {
    while (directory_ != parent && !tree::is_below(parent, directory_))
      directory_.resize(parent_of(directory_).size());
    while (directory_.size() < parent.size()) {
      const size_t slash = parent.find('/', directory_.empty() ? 0 : directory_.size() + 1);
      directory_ = parent.substr(0, slash);
      const tree::Entry entry{.path = directory_, .type = tree::Type::kDirectory};
      TRY_VOID(sink_({&entry, &entry, 0}));
    }
    return {};
  }

  const std::function<Result<void>(const tree::Difference&)>& sink_;
  std::string directory_;            // it and all above it were told
  std::optional<std::string> gone_;  // what it contained is not told
};

}  // namespace

Result<Stubs> Store::stubs(const Image& image, std::span<const std::string_view> places) {
  TRY(ChainRecords records, records_of(*state_, image));
  TRY(tree::Merger merger, records.merge());
  tree::Lookup tree(tree::entries_of(merger));
  std::set<std::string, decltype([](const std::string& a, const std::string& b) {
             return tree::compare_paths(a, b) < 0;
           })>
      paths;
  for (std::string_view place : places)
    for (std::string_view path = place; !path.empty(); path = parent_of(path)) paths.emplace(path);
  Stubs stubs;
  for (const std::string& path : paths) {
    TRY(const tree::Entry* found, tree.find(path));
    if (std::ranges::find(places, path) != places.end()) {
      if (found == nullptr) stubs.places.insert(path);
      continue;
    }
    Stubs::Directory& directory = stubs.parents[path];
    if (found == nullptr || found->type != tree::Type::kDirectory) continue;
    directory = {.mode = found->mode, .uid = found->uid, .gid = found->gid, .xattrs = {}};
    for (const tree::Xattr& xattr : found->xattrs)
      directory.xattrs.emplace_back(xattr.name, xattr.value);
  }
  return stubs;
}

Result<LayerDraft> Store::copy_upper(int upper, const Stubs& stubs) {
  TraceScope trace("store.upper.copy");
  TRY(LayerDraft draft, new_layer());
  TRY(sys::Fd work, sys::open_at(draft.folder(), kWork, O_RDONLY | O_DIRECTORY));
  UpperReader reader(upper, stubs);
  Checkout checkout(tree::RecordKind::kLayer,
                    [&](const tree::Entry& entry, int dir, const std::string& name) {
                      return copy_file(entry, reader.file(), dir, name);
                    },
                    {.root = draft.tree(), .work = work.get()});
  for (;;) {
    TRY(const tree::Entry* entry, reader.next());
    if (entry == nullptr) break;
    TRY_VOID(checkout.add(*entry));
  }
  TRY_VOID(checkout.finish());
  TRY_VOID(failpoint("store.upper.copied"));
  return draft;
}

Result<std::optional<LayerDraft>> Store::pack_copy(LayerDraft draft) {
  TraceScope trace("store.upper.pack");
  TRY(int record, draft.record_fd());
  TRY(int recipe, draft.recipe_fd());
  TRY_CTX(archive::Packed packed,
          archive::run_pack({.directory = draft.tree(),
                             .lock = draft.lock_fd(),
                             .blob = -1,
                             .record = record,
                             .recipe = recipe,
                             .max_entries = draft.max_entries()}),
          "cannot pack the layer");
  if (packed.entries == 0) return std::optional<LayerDraft>();
  TRY_VOID(draft.finish({.diff_id = packed.diff_id, .tar_size = packed.tar_size, .blob = {}}));
  return std::optional<LayerDraft>(std::move(draft));
}

Result<void> Store::changes(const Image& image, int upper, const Stubs& stubs,
                            const std::function<Result<void>(const tree::Difference&)>& sink) {
  TraceScope trace("store.changes");
  TRY(ChainRecords records, records_of(*state_, image));
  TRY(tree::Merger before, records.merge());
  UpperReader reader(upper, stubs);
  TRY(std::string record, describe(reader, tree::Lookup(tree::entries_of(before))));
  if (record.empty()) return {};
  TRY(tree::RecordReader top,
      tree::RecordReader::open(record, tree::RecordKind::kLayer, kMaxLayerEntries));
  TRY(tree::Merger after, records.merge_below(std::move(top)));
  TRY_VOID(before.rewind());
  ChangeTeller teller(sink);
  return tree::differences(
      tree::entries_of(before), tree::entries_of(after),
      [&](const tree::Difference& difference) { return teller.tell(difference); });
}

}  // namespace wherry::store
