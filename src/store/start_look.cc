// Looking before a use: at everything once in a boot, then at a few objects each time.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/trace.h"
#include "store/look.h"
#include "store/snapshot.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

// <run root>/looked: a record for each tree and layer that was looked at whole since the boot.
constexpr const char* kLooked = "looked";
// What a use looks at of what is known: a tenth of a millisecond.
constexpr size_t kAtOnce = 64;

struct Look {
  tree::ObjectId key{};   // of the root and the tree or layer
  uint32_t layer = 0;     // where the next use goes on
  uint32_t position = 0;  // in its index
};
static_assert(sizeof(Look) == 40);

tree::ObjectId key_of(const Store::State& state, const std::string& digest) {
  sys::Sha256 hash;
  hash.update(state.places.root);
  hash.update("\n" + digest);
  return hash.finish_bytes();
}

// The file of looks, one record at a time; what goes wrong with it only means more looking.
class Looks {
 public:
  explicit Looks(int run_root) {
    if (run_root < 0) return;
    Result<sys::Fd> file = sys::open_at(run_root, kLooked, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (file) file_ = std::move(*file);
  }
  // Where it is; -1: never looked at.
  off_t find(const tree::ObjectId& key, Look& look) const {
    Look block[64];
    for (off_t at = 0; file_;) {
      ssize_t got = pread(file_.get(), block, sizeof block, at);
      const size_t count = got > 0 ? static_cast<size_t>(got) / sizeof(Look) : 0;
      if (count == 0) break;
      Look* end = block + count;
      Look* found = std::find_if(block, end, [&](const Look& each) { return each.key == key; });
      if (found != end) {
        look = *found;
        return at + (found - block) * static_cast<off_t>(sizeof(Look));
      }
      at += static_cast<off_t>(count * sizeof(Look));
    }
    return -1;
  }
  // Two that add at once may lose one of them: it is looked at again.
  void add(const Look& look) const {
    if (!file_) return;
    off_t end = lseek(file_.get(), 0, SEEK_END);
    if (end >= 0) put(look, end - end % static_cast<off_t>(sizeof(Look)));
  }
  void put(const Look& look, off_t at) const {
    [[maybe_unused]] ssize_t done = pwrite(file_.get(), &look, sizeof look, at);
  }
  void forget() const {
    if (file_) [[maybe_unused]]
      int done = ftruncate(file_.get(), 0);
  }

 private:
  sys::Fd file_;
};

Result<bool> is_right_snapshot(const Places& places, const std::string& name,
                               const std::string& digest) {
  TRY(sys::Fd file, sys::open_at(places.trees.get(), name, O_RDONLY | O_NOFOLLOW));
  TRY(std::string found, file_digest(file.get()));
  return "sha256:" + found == digest;
}

// False: something was touched, so that all of it is to be looked at.
Result<bool> look_at_next(const Places& places, std::span<const std::string> layers, Look& look) {
  size_t left = kAtOnce;
  for (size_t visited = 0; visited < layers.size() && left > 0; ++visited) {
    if (look.layer >= layers.size()) look.layer = look.position = 0;
    TRY_CTX(Digest diff_id, Digest::parse(layers[look.layer]), "damaged state");
    Result<sys::Fd> folder = open_layer(places, diff_id);
    if (!folder) return false;
    Result<ObjectIndex> index = ObjectIndex::open(folder->get());
    if (!index) return false;
    std::span<const ObjectRef> rest = index->refs();
    rest = rest.subspan(std::min<size_t>(look.position, rest.size()));
    for (const ObjectRef& ref : rest.first(std::min(rest.size(), left)))
      if (!is_untouched(places.objects.get(), ref, index->known_until())) return false;
    if (rest.size() > left) {
      look.position += static_cast<uint32_t>(left);
      break;
    }
    left -= rest.size();
    ++look.layer;
    look.position = 0;
  }
  return true;
}

}  // namespace

Result<void> look_at_layers(const Places& places, std::span<const LayerFolder> layers) {
  for (const LayerFolder& layer : layers)
    TRY_VOID_CTX(look_at_objects(places, layer.folder.get()),
                 "layer '" + layer.diff_id.str() + "'");
  return {};
}

bool is_sealed_snapshot(const Places& places, const std::string& name) {
  struct stat info{};
  return fstatat(places.trees.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISREG(info.st_mode) && info.st_uid == 0 && info.st_mtim.tv_sec == kObjectTime &&
         info.st_mtim.tv_nsec == 0;
}

Result<bool> look_before_start(Store::State& state, const state::TreeRow& row,
                               const std::string& snapshot) {
  const Places& places = state.places;
  Looks looks(state.options.run_root);
  Look look;
  const tree::ObjectId key = key_of(state, row.tree);
  const bool sealed = is_sealed_snapshot(places, snapshot);
  if (const off_t at = looks.find(key, look); at >= 0 && sealed) {
    TRY(bool untouched, look_at_next(places, row.layers, look));
    if (untouched) {
      looks.put(look, at);
      return true;
    }
  }
  TraceScope trace("store.look");
  looks.forget();
  TRY(const std::vector<Digest> layers, layers_of(row));
  TRY(const std::vector<LayerFolder> folders, open_chain(places, layers));
  TRY_VOID(look_at_layers(places, folders));
  TRY(bool right, is_right_snapshot(places, snapshot, row.image));
  if (!sealed || !right) return false;
  looks.add({key, 0, 0});
  return true;
}

Result<void> look_at_layer(Store::State& state, const Digest& diff_id, int layer) {
  Looks looks(state.options.run_root);
  Look look;
  const std::string name = diff_id.str();
  const tree::ObjectId key = key_of(state, name);
  const off_t at = looks.find(key, look);
  if (at >= 0 && are_files_untouched(layer)) {
    TRY(bool untouched, look_at_next(state.places, {&name, 1}, look));
    if (untouched) {
      looks.put(look, at);
      return {};
    }
  }
  TraceScope trace("store.look");
  TRY_VOID(prove_layer(state.places, diff_id, layer));
  if (at < 0) looks.add({key, 0, 0});
  return {};
}

void note_looked(const Store::State& state, const std::string& name) {
  Looks looks(state.options.run_root);
  Look look;
  const tree::ObjectId key = key_of(state, name);
  if (looks.find(key, look) < 0) looks.add({key, 0, 0});
}

bool is_looked(const Store::State& state, const std::string& name) {
  Look look;
  return Looks(state.options.run_root).find(key_of(state, name), look) >= 0;
}

void forget_looks(const Store::State& state) {
  Looks(state.options.run_root).forget();
}

}  // namespace wherry::store
