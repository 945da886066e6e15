#include "store/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "store/checkout.h"
#include "store/farm.h"
#include "store/look.h"
#include "store/snapshot_look.h"
#include "sys/file.h"
#include "sys/sha256.h"
#include "tree/complete.h"
#include "tree/erofs_writer.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

constexpr const char* kNewWork = "tree-work";
constexpr const char* kImageSuffix = ".erofs";
constexpr int kRounds = 3;

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

// Its digest.
Result<std::string> write_image(int dir, SnapshotWriter& writer) {
  TRY(sys::Fd file, sys::open_at(dir, kNewSnapshot, O_RDWR | O_CREAT | O_EXCL, 0400));
  // Whatever the order in which it is written, a hole is none by accident.
  if (ftruncate(file.get(), static_cast<off_t>(writer.size())) != 0)
    return Error::from_errno(errno, "cannot make a snapshot");
  TRY_VOID(writer.write([&](uint64_t offset, std::string_view bytes) {
    return write_at(file.get(), offset, bytes);
  }));
  TRY(std::string digest, file_digest(file.get()));
  // As objects have it: whoever writes to it by mistake leaves a trace.
  const timespec times[] = {{0, UTIME_OMIT}, {kObjectTime, 0}};
  if (futimens(file.get(), times) != 0)
    return Error::from_errno(errno, "cannot set a snapshot's time");
  return "sha256:" + digest;
}

FileWay way_of(Rung rung) {
  if (rung == Rung::kFarm) return FileWay::kFarm;
  return rung == Rung::kReflink ? FileWay::kReflink : FileWay::kCopy;
}

// The checkout `index` of a chain, in the entry's directory.
Result<void> write_checkout(const Places& places, int dir, const ChainRecords& records, Rung rung,
                            size_t index, const OwnSpans& spans) {
  TRY(sys::Fd root, sys::make_dir_at(dir, kNewSnapshot, 0755));
  // A host may give all that is made below a directory an access list.
  for (const char* list : {"system.posix_acl_default", "system.posix_acl_access"})
    fremovexattr(root.get(), list);
  TRY(sys::Fd work, sys::make_dir_at(dir, kNewWork, 0700));
  TRY(sys::Fd top, sys::open_file(places.root, O_RDONLY | O_DIRECTORY));
  sys::Fd farm;
  if (rung == Rung::kFarm) {
    TRY(farm, sys::make_dir_at(top.get(), kFarm, 0700));
  }
  const auto kind = rung == Rung::kLayers ? tree::RecordKind::kLayer : tree::RecordKind::kTree;
  Checkout checkout(kind, way_of(rung),
                    {root.get(), work.get(), places.objects.get(), farm.get(), &spans});
  TRY_VOID(each_entry(records, rung, index,
                      [&](const tree::Entry& entry) { return checkout.add(entry); }));
  TRY_VOID(checkout.finish());
  return sys::remove_tree_at(dir, kNewWork);
}

template <typename Next>
Result<void> each_of(Next next, const std::function<Result<void>(const tree::Entry&)>& work) {
  for (;;) {
    TRY(const tree::Entry* entry, next());
    if (entry == nullptr) return {};
    TRY_VOID(work(*entry));
  }
}

// Deletes the rows that `goes` names; what only they needed.
template <typename Goes>
Result<std::vector<std::string>> forget_rows(state::Database& database, Goes goes) {
  std::set<std::string> kept, dropped;
  TRY(std::vector<state::TreeRow> rows, state::list_trees(database));
  for (const state::TreeRow& row : rows) {
    const bool going = goes(row);
    for (std::string& base : snapshot_bases(row)) (going ? dropped : kept).insert(std::move(base));
    if (going) TRY_VOID(state::delete_tree(database, row.chain));
  }
  std::vector<std::string> unused;
  std::ranges::set_difference(dropped, kept, std::back_inserter(unused));
  return unused;
}

bool all_there(const Places& places, Rung rung, const state::TreeRow& row) {
  if (rung == Rung::kErofs && row.image.empty()) return false;
  return std::ranges::all_of(snapshot_names(rung, row), [&](const std::string& name) {
    return sys::exists_at(places.trees.get(), name);
  });
}

}  // namespace

// Directories that a layer's record leaves out are as the layers below have them: of what overlay
// stacks the highest counts.
Result<void> each_entry(const ChainRecords& records, Rung rung, size_t index,
                        const std::function<Result<void>(const tree::Entry&)>& work) {
  if (rung != Rung::kLayers) {
    TRY(tree::Merger tree, records.merge());
    return each_of([&] { return tree.next(); }, work);
  }
  TRY(tree::RecordReader layer, records.layer(index));
  TRY(tree::Merger tree, records.merge(index + 1));
  tree::Completer completer(tree::entries_of(layer), tree::entries_of(tree));
  return each_of([&] { return completer.next(); }, work);
}

Result<std::vector<Digest>> layers_of(const state::TreeRow& row) {
  std::vector<Digest> ids;
  for (const std::string& layer : row.layers) {
    TRY_CTX(Digest id, Digest::parse(layer), "damaged state");
    ids.push_back(std::move(id));
  }
  return ids;
}

std::vector<std::string> snapshot_names(Rung rung, const state::TreeRow& row) {
  if (rung != Rung::kLayers) return {hex_of(row.tree) + "." + std::string(rung_name(rung))};
  std::vector<std::string> names;
  for (const std::string& chain : chain_ids(row.layers)) names.push_back(hex_of(chain) + ".layer");
  std::ranges::reverse(names);
  return names;
}

std::string snapshot_base(const std::string& name) {
  return name.substr(0, name.find('.'));
}

std::vector<std::string> snapshot_bases(const state::TreeRow& row) {
  std::vector<std::string> bases{hex_of(row.tree)};
  for (const std::string& chain : chain_ids(row.layers)) bases.push_back(hex_of(chain));
  return bases;
}

Result<bool> is_snapshot_needed(state::Database& database, const Digest& base) {
  TRY(bool tree, state::has_tree(database, base.str()));
  if (tree) return true;
  TRY(std::vector<state::TreeRow> rows, state::list_trees(database));
  return std::ranges::any_of(rows, [&](const state::TreeRow& row) {
    const std::vector<std::string> bases = snapshot_bases(row);
    return std::ranges::find(bases, base.hex()) != bases.end();
  });
}

Result<NewTree> NewTree::make(Store::State& state, std::span<const LayerFolder> layers) {
  NewTree made;
  if (layers.empty()) return made;
  TraceScope trace("store.snapshot");
  TRY(Rung rung, state.rung());
  const std::vector<Digest> ids = ids_of(layers);
  made.row_.chain = chain_id(ids).str();
  for (const Digest& id : ids) made.row_.layers.push_back(id.str());
  TRY(auto known, state::get_tree(state.database, made.row_.chain));
  if (known && all_there(state.places, rung, *known)) {
    made.row_ = std::move(*known);
    return made;
  }
  TRY_VOID(made.make_missing(state, rung, layers));
  return made;
}

Result<void> NewTree::make_missing(Store::State& state, Rung rung,
                                   std::span<const LayerFolder> layers) {
  const Places& places = state.places;
  TRY(ChainRecords records, ChainRecords::open(layers));
  TRY(tree::Merger merger, records.merge());
  SnapshotWriter writer(std::move(merger));
  TRY_VOID(writer.describe(row_));
  std::vector<std::string> names = snapshot_names(rung, row_);
  std::ranges::reverse(names);  // the lowest first
  rung_ = rung;
  OwnSpans spans(places.root);
  if (rung != Rung::kErofs) {
    // What is copied is not looked at again.
    TRY_VOID(look_at_layers(places, layers));
    spans.begin();
  }
  for (size_t i = 0; i < names.size(); ++i) {
    TRY_VOID(add(state, names[i], [&](int dir) -> Result<void> {
      if (rung != Rung::kErofs) return write_checkout(places, dir, records, rung, i, spans);
      TRY(row_.image, write_image(dir, writer));
      return {};
    }));
  }
  spans.keep();
  return {};
}

// Unless it is there, and of a file also known what it has to be.
Result<void> NewTree::add(Store::State& state, const std::string& name,
                          const std::function<Result<void>(int)>& write) {
  if (sys::exists_at(state.places.trees.get(), name)) {
    if (!name.ends_with(kImageSuffix)) return {};
    TRY(row_.image, state::image_of_tree(state.database, row_.tree));
    if (!row_.image.empty()) return {};
  }
  TRY(Incoming incoming, Incoming::create(state.places, state.database));
  TRY_VOID(write(incoming.directory()));
  TRY_VOID(failpoint("store.snapshot.made"));
  TRY_CTX(Digest base, Digest::from_hex(snapshot_base(name)), "a snapshot's name");
  TRY_VOID(incoming.list({.trees = {std::move(base)}}, /*sync=*/false));
  made_.push_back({name, std::move(incoming)});
  return {};
}

Result<void> NewTree::place(Store::State& state) {
  if (row_.chain.empty()) return {};
  bool all_ours = true;
  for (Made& made : made_) {
    // A file of which no row knows the digest is replaced, a directory is as good as ours.
    const unsigned flags = made.name.ends_with(kImageSuffix) ? 0 : RENAME_NOREPLACE;
    const bool renamed = renameat2(made.incoming.directory(), kNewSnapshot,
                                   state.places.trees.get(), made.name.c_str(), flags) == 0;
    if (!renamed && errno != EEXIST)
      return Error::from_errno(errno, "cannot put snapshot '" + made.name + "' in its place");
    all_ours = all_ours && renamed;
  }
  if (rung_ != Rung::kErofs) {
    const std::vector<std::string> names = snapshot_names(rung_, row_);
    if (all_ours && made_.size() == names.size()) note_looked(state, names.front());
  }
  if (is_new()) {
    TRY_VOID(sys::sync_dir(state.places.trees.get()));
    TRY_VOID(failpoint("store.snapshot.renamed"));
  }
  return state::insert_tree(state.database, row_);
}

Result<bool> is_whole_snapshot(Store::State& state, const state::TreeRow& row) {
  TRY(const std::vector<Digest> ids, layers_of(row));
  TRY(auto folders, open_chain(state.places, ids));
  TRY(ChainRecords records, ChainRecords::open(folders));
  TRY(tree::Merger merger, records.merge());
  SnapshotWriter writer(std::move(merger));
  state::TreeRow made;
  TRY_VOID(writer.describe(made));
  const std::string name = snapshot_names(Rung::kErofs, row).front();
  TRY(MappedFile file, MappedFile::open(state.places.trees.get(), name.c_str()));
  bool same = made.tree == row.tree && file.bytes().size() == writer.size();
  if (!same) return false;
  TRY_VOID(writer.write([&](uint64_t offset, std::string_view bytes) -> Result<void> {
    same = same && file.bytes().substr(offset, bytes.size()) == bytes;
    return {};
  }));
  return same;
}

Result<std::vector<std::string>> forget_trees(state::Database& database,
                                              const std::vector<Digest>& layers) {
  if (layers.empty()) return std::vector<std::string>();
  std::set<std::string> going;
  for (const Digest& layer : layers) going.insert(layer.str());
  return forget_rows(database, [&](const state::TreeRow& row) {
    return std::ranges::any_of(row.layers, [&](auto& each) { return going.contains(each); });
  });
}

Result<std::vector<std::string>> forget_tree_of(state::Database& database,
                                                const std::vector<state::LayerRow>& layers) {
  std::vector<std::string> names;
  for (const state::LayerRow& layer : layers) names.push_back(layer.diff_id);
  if (names.empty()) return std::vector<std::string>();
  TRY(bool shared, state::has_chain(database, names));
  if (shared) return std::vector<std::string>();
  const std::string chain = chain_ids(names).back();
  return forget_rows(database, [&](const state::TreeRow& row) { return row.chain == chain; });
}

void take_snapshots(const Places& places, int trash, const std::vector<std::string>& bases) {
  if (bases.empty()) return;
  const std::set<std::string> going(bases.begin(), bases.end());
  Result<std::vector<std::string>> names = sys::list_dir(places.trees.get());
  if (!names) return;
  for (const std::string& name : *names)
    if (going.contains(snapshot_base(name)))
      renameat(places.trees.get(), name.c_str(), trash, name.c_str());
}

namespace {

Result<state::TreeRow> make_tree(Store::State& state, const std::vector<Digest>& diff_ids) {
  TRY(auto objects, state.hold_objects());
  TRY(auto folders, open_chain(state.places, diff_ids));
  TRY(NewTree made, NewTree::make(state, folders));
  if (made.is_new()) TRY_VOID(sys::sync_filesystem(state.places.incoming.get()));
  TRY(auto transaction, state.database.begin(state::Durability::kRelaxed));
  TRY_VOID(made.place(state));
  TRY_VOID(transaction.commit());
  return made.row();
}

Result<void> take_away(Store::State& state, const std::string& name) {
  TRY(Incoming trash, Incoming::create(state.places, state.database));
  renameat(state.places.trees.get(), name.c_str(), trash.directory(), name.c_str());
  return {};
}

// False: it was damaged and is gone.
Result<bool> look_at_snapshot(Store::State& state, Rung rung, const state::TreeRow& row) {
  if (rung != Rung::kErofs) return look_at_checkouts(state, rung, row);
  const std::string name = snapshot_names(rung, row).front();
  TRY(bool right, look_before_start(state, row, name));
  if (!right) TRY_VOID(take_away(state, name));
  return right;
}

}  // namespace

Result<void> remake_snapshot(Store::State& state, const state::TreeRow& row) {
  TRY_VOID(take_away(state, snapshot_names(Rung::kErofs, row).front()));
  return make_missing_snapshot(state, row);
}

Result<void> make_missing_snapshot(Store::State& state, const state::TreeRow& row) {
  TRY(const std::vector<Digest> chain, layers_of(row));
  TRY([[maybe_unused]] state::TreeRow made, make_tree(state, chain));
  return {};
}

Result<MountPlan> Store::mount_plan(const std::vector<Digest>& diff_ids) {
  MountPlan plan;
  if (diff_ids.empty()) return plan;
  State& state = *state_;
  TRY(Rung rung, state.rung());
  TRY(auto row, state::get_tree(state.database, chain_id(diff_ids).str()));
  // What was there may be damaged, and what is made beside it may find more that is.
  for (int rounds = 0;; ++rounds) {
    if (row && all_there(state.places, rung, *row)) {
      TRY(const bool right, look_at_snapshot(state, rung, *row));
      if (right) break;
    }
    if (rounds == kRounds)
      return Error(ErrorKind::kCorrupt, "a snapshot was changed while it was made");
    TRY(row, make_tree(state, diff_ids));
  }
  const std::string trees = state.places.root + "/" + kTrees + "/";
  std::vector<std::string> names = snapshot_names(rung, *row);
  if (rung != Rung::kErofs) {
    for (const std::string& name : names) plan.lower.push_back(trees + name);
    return plan;
  }
  plan.metadata = trees + names.front();
  plan.objects = state.places.root + "/" + kObjects;
  return plan;
}

Result<MountPlan> Store::mount_plan(const Image& image) {
  TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
  Result<MountPlan> plan = mount_plan(chain);
  if (plan) return plan;
  // A full disk is no damage.
  const bool damage =
      plan.error().kind() == ErrorKind::kCorrupt || plan.error().kind() == ErrorKind::kNotFound;
  if (!damage) return plan;
  return Error(ErrorKind::kCorrupt, "image '" + std::string(image.id.short_hex()) +
                                        "' is damaged: " + plan.error().message())
      .set_hint("load, pull or import it again");
}

}  // namespace wherry::store
