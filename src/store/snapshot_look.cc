#include "store/snapshot_look.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>

#include "base/trace.h"
#include "store/checkout_look.h"
#include "store/farm.h"
#include "store/look.h"
#include "store/snapshot.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr std::string_view kAside = ".aside.";
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// ".aside.<the first part of the boot's id>."
Result<std::string> aside_mark() {
  TRY(sys::Fd file, sys::open_file("/proc/sys/kernel/random/boot_id", O_RDONLY));
  TRY(std::string id, sys::read_all(file.get(), 64));
  return std::string(kAside) + id.substr(0, id.find('-')) + ".";
}

// -1: there is none yet, or this is another rung.
Result<sys::Fd> open_farm(const Places& places, Rung rung) {
  if (rung != Rung::kFarm) return sys::Fd();
  Result<sys::Fd> farm = sys::open_file(places.root + "/" + kFarm, O_RDONLY | O_DIRECTORY);
  if (!farm && farm.error().errnum() == ENOENT) return sys::Fd();
  return farm;
}

// At one of them.
bool is_glance_enough(const Store::State& state, const std::vector<std::string>& names) {
  if (!is_looked(state, names.front())) return false;
  const std::string& name = names[std::random_device{}() % names.size()];
  Result<sys::Fd> root = sys::open_at(state.places.trees.get(), name, kDirectory);
  return root && glance_at_checkout(root->get(), OwnSpans(state.places.root));
}

}  // namespace

Result<CheckoutState> check_checkout(Store::State& state, Rung rung, const state::TreeRow& row,
                                     size_t index, bool read_all) {
  TRY(const std::vector<Digest> ids, layers_of(row));
  TRY(auto folders, open_chain(state.places, ids));
  TRY(ChainRecords records, ChainRecords::open(folders));
  const std::string name = *(snapshot_names(rung, row).rbegin() + static_cast<ptrdiff_t>(index));
  Result<sys::Fd> root = sys::open_at(state.places.trees.get(), name, kDirectory);
  const int error = root ? 0 : root.error().errnum();
  if (error == ENOTDIR || error == ELOOP || error == ENOENT)
    return CheckoutState{.problems = {"it is not a directory"}, .count = 1};
  if (!root) return std::move(root.error());
  TRY(const sys::Fd farm, open_farm(state.places, rung));
  OwnSpans spans(state.places.root);
  CheckoutLook look(root->get(), spans, {.read_all = read_all, .farm = farm.get()});
  TRY_VOID(
      each_entry(records, rung, index, [&](const tree::Entry& entry) { return look.add(entry); }));
  TRY_VOID(look.finish());
  spans.keep();
  return CheckoutState{look.problems(), look.count(), look.bytes()};
}

Result<bool> look_at_checkouts(Store::State& state, Rung rung, const state::TreeRow& row) {
  const std::vector<std::string> names = snapshot_names(rung, row);
  if (is_glance_enough(state, names)) return true;
  TraceScope trace("store.look");
  bool whole = true;
  for (size_t i = 0; i < names.size(); ++i) {
    TRY_CTX(CheckoutState found, check_checkout(state, rung, row, i, /*read_all=*/false),
            "cannot look at what the image's containers stand on");
    if (found.count == 0) continue;
    TRY_VOID(set_aside(state, names[names.size() - 1 - i]));
    whole = false;
  }
  if (whole) note_looked(state, names.front());
  return whole;
}

Result<void> set_aside(Store::State& state, const std::string& name) {
  forget_looks(state);
  TRY(const std::string mark, aside_mark());
  const int trees = state.places.trees.get();
  for (int n = 0;; ++n) {
    const std::string to = name + mark + std::to_string(n);
    if (renameat2(trees, name.c_str(), trees, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno == ENOENT) return {};  // somebody else was faster
    if (errno != EEXIST)
      return Error::from_errno(errno, "cannot set snapshot '" + name + "' aside");
  }
}

Result<void> forget_set_aside(const Places& places, state::Database& database) {
  TRY(const std::string mark, aside_mark());
  TRY(const std::vector<std::string> names, sys::list_dir(places.trees.get()));
  for (const std::string& name : names) {
    if (!name.contains(kAside) || name.contains(mark)) continue;
    TRY(Incoming trash, Incoming::create(places, database));
    renameat(places.trees.get(), name.c_str(), trash.directory(), name.c_str());
  }
  return {};
}

}  // namespace wherry::store
