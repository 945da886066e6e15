#include "store/snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "sys/file.h"
#include "sys/sha256.h"
#include "tree/erofs_writer.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

constexpr const char* kNewSnapshot = "erofs";

std::vector<Digest> ids_of(std::span<const LayerFolder> layers) {
  std::vector<Digest> ids;
  for (const LayerFolder& layer : layers) ids.push_back(layer.diff_id);
  return ids;
}

// Both passes over a merged tree: what it is called and how it is laid out, then its image.
class SnapshotWriter {
 public:
  explicit SnapshotWriter(tree::Merger merger) : merger_(std::move(merger)) {}

  Result<void> describe(state::TreeRow& row) {
    tree::RecordWriter record(tree::RecordKind::kTree,
                              [](std::string_view) { return Result<void>(); });
    TRY_VOID(each([&](const tree::Entry& entry) -> Result<void> {
      TRY_VOID(record.add(entry));
      return layout_.add(entry);
    }));
    TRY_VOID(layout_.finish());
    TRY(tree::RecordWriter::Summary summary, record.finish());
    row.tree = summary.digest.str();
    row.entries = static_cast<int64_t>(summary.entries);
    row.size = static_cast<int64_t>(summary.files_size);
    return {};
  }
  uint64_t size() const { return layout_.image_size(); }
  Result<void> write(const tree::ErofsSink& sink) {
    TRY_VOID(merger_.rewind());
    tree::ErofsWriter writer(layout_, sink);
    TRY_VOID(each([&](const tree::Entry& entry) { return writer.add(entry); }));
    return writer.finish();
  }

 private:
  template <typename Do>
  Result<void> each(Do work) {
    for (;;) {
      TRY(const tree::Entry* entry, merger_.next());
      if (entry == nullptr) return {};
      TRY_VOID(work(*entry));
    }
  }
  tree::Merger merger_;
  tree::ErofsLayout layout_;
};

Result<void> write_at(int fd, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t done = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return Error::from_errno(errno, "cannot write a snapshot");
    bytes.remove_prefix(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return {};
}

std::string hex_of(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

}  // namespace

std::string snapshot_name(const std::string& tree) {
  return hex_of(tree) + ".erofs";
}

Result<NewTree> NewTree::make(Store::State& state, std::span<const LayerFolder> layers) {
  NewTree made;
  if (layers.empty()) return made;
  TraceScope trace("store.snapshot");
  const std::vector<Digest> ids = ids_of(layers);
  made.row_.chain = chain_id(ids).str();
  TRY(auto known, state::get_tree(state.database, made.row_.chain));
  if (known && sys::exists_at(state.places.trees.get(), snapshot_name(known->tree))) {
    made.row_ = std::move(*known);
    return made;
  }
  for (const Digest& id : ids) made.row_.layers.push_back(id.str());
  TRY(ChainRecords records, ChainRecords::open(layers));
  TRY(tree::Merger merger, records.merge());
  SnapshotWriter writer(std::move(merger));
  TRY_VOID(writer.describe(made.row_));
  if (sys::exists_at(state.places.trees.get(), snapshot_name(made.row_.tree))) return made;
  TRY(Incoming incoming, Incoming::create(state.places, state.database));
  made.incoming_.emplace(std::move(incoming));
  TRY(made.file_,
      sys::open_at(made.incoming_->directory(), kNewSnapshot, O_RDWR | O_CREAT | O_EXCL, 0400));
  // Whatever the order in which it is written, a hole is none by accident.
  if (ftruncate(made.file_.get(), static_cast<off_t>(writer.size())) != 0)
    return Error::from_errno(errno, "cannot make a snapshot");
  TRY_VOID(writer.write([&](uint64_t offset, std::string_view bytes) {
    return write_at(made.file_.get(), offset, bytes);
  }));
  return made;
}

Result<bool> is_whole_snapshot(Store::State& state, const state::TreeRow& row) {
  std::vector<Digest> ids;
  for (const std::string& layer : row.layers) {
    TRY_CTX(Digest id, Digest::parse(layer), "damaged state");
    ids.push_back(std::move(id));
  }
  TRY(auto folders, open_chain(state.places, ids));
  TRY(ChainRecords records, ChainRecords::open(folders));
  TRY(tree::Merger merger, records.merge());
  SnapshotWriter writer(std::move(merger));
  state::TreeRow made;
  TRY_VOID(writer.describe(made));
  const std::string name = snapshot_name(row.tree);
  TRY(MappedFile file, MappedFile::open(state.places.trees.get(), name.c_str()));
  bool same = made.tree == row.tree && file.bytes().size() == writer.size();
  if (!same) return false;
  TRY_VOID(writer.write([&](uint64_t offset, std::string_view bytes) -> Result<void> {
    same = same && file.bytes().substr(offset, bytes.size()) == bytes;
    return {};
  }));
  return same;
}

Result<void> NewTree::place(Store::State& state) {
  if (row_.chain.empty()) return {};
  if (file_) {
    const std::string name = snapshot_name(row_.tree);
    if (renameat(incoming_->directory(), kNewSnapshot, state.places.trees.get(), name.c_str()) != 0)
      return Error::from_errno(errno, "cannot put a snapshot in its place");
    TRY_VOID(sys::sync_dir(state.places.trees.get()));
    TRY_VOID(failpoint("store.snapshot.renamed"));
  }
  return state::insert_tree(state.database, row_);
}

Result<std::vector<std::string>> forget_trees(state::Database& database,
                                              const std::vector<Digest>& layers) {
  std::vector<std::string> unused;
  if (layers.empty()) return unused;
  std::set<std::string> going;
  for (const Digest& layer : layers) going.insert(layer.str());
  TRY(std::vector<state::TreeRow> rows, state::list_trees(database));
  std::set<std::string> kept, dropped;
  for (const state::TreeRow& row : rows) {
    bool needs = std::ranges::any_of(row.layers, [&](auto& each) { return going.contains(each); });
    (needs ? dropped : kept).insert(row.tree);
    if (needs) TRY_VOID(state::delete_tree(database, row.chain));
  }
  for (const std::string& tree : dropped)
    if (!kept.contains(tree)) unused.push_back(snapshot_name(tree));
  return unused;
}

Result<std::vector<std::string>> forget_tree_of(state::Database& database,
                                                const std::vector<state::LayerRow>& layers) {
  std::vector<std::string> unused, names;
  std::vector<Digest> ids;
  for (const state::LayerRow& layer : layers) {
    TRY_CTX(Digest id, Digest::parse(layer.diff_id), "damaged state");
    ids.push_back(std::move(id));
    names.push_back(layer.diff_id);
  }
  if (ids.empty()) return unused;
  TRY(bool shared, state::has_chain(database, names));
  if (shared) return unused;
  const std::string chain = chain_id(ids).str();
  TRY(auto row, state::get_tree(database, chain));
  if (!row) return unused;
  TRY_VOID(state::delete_tree(database, chain));
  TRY(std::vector<state::TreeRow> rows, state::list_trees(database));
  if (std::ranges::find(rows, row->tree, &state::TreeRow::tree) == rows.end())
    unused.push_back(snapshot_name(row->tree));
  return unused;
}

void remove_snapshots(const Places& places, const std::vector<std::string>& names) {
  for (const std::string& name : names) unlinkat(places.trees.get(), name.c_str(), 0);
}

Result<MountPlan> Store::mount_plan(const std::vector<Digest>& diff_ids) {
  MountPlan plan;
  if (diff_ids.empty()) return plan;
  State& state = *state_;
  TRY(auto row, state::get_tree(state.database, chain_id(diff_ids).str()));
  if (!row || !sys::exists_at(state.places.trees.get(), snapshot_name(row->tree))) {
    TRY(auto folders, open_chain(state.places, diff_ids));
    TRY(NewTree made, NewTree::make(state, folders));
    if (made.file() >= 0 && fdatasync(made.file()) != 0)
      return Error::from_errno(errno, "cannot sync a snapshot");
    TRY(auto transaction, state.database.begin(state::Durability::kRelaxed));
    TRY_VOID(made.place(state));
    TRY_VOID(transaction.commit());
    row = made.row();
  }
  plan.metadata = state.places.root + "/" + kTrees + "/" + snapshot_name(row->tree);
  plan.objects = state.places.root + "/" + kObjects;
  return plan;
}

Result<MountPlan> Store::mount_plan(const Image& image) {
  TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
  Result<MountPlan> plan = mount_plan(chain);
  if (plan) return plan;
  return fail(std::move(plan), "image '" + std::string(image.id.short_hex()) + "' is damaged")
      .set_hint("load, pull or import it again");
}

}  // namespace wherry::store
