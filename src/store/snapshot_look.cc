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
std::string aside_mark() {
  Result<sys::Fd> file = sys::open_file("/proc/sys/kernel/random/boot_id", O_RDONLY);
  Result<std::string> id = file ? sys::read_all(file->get(), 64) : Result<std::string>("unknown");
  return std::string(kAside) + id.value_or("unknown").substr(0, 8) + ".";
}

// 0: there is none.
ino_t inode_of(const Places& places, const std::string& name) {
  struct stat info{};
  const bool there = fstatat(places.trees.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  return there ? info.st_ino : 0;
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
  const std::string& name = names[std::random_device{}() % names.size()];
  Result<sys::Fd> root = sys::open_at(state.places.trees.get(), name, kDirectory);
  return root && glance_at_checkout(root->get(), OwnSpans(state.places.root));
}

}  // namespace

Result<CheckoutState> check_checkout(Store::State& state, Rung rung, const state::TreeRow& row,
                                     size_t index, bool read_all) {
  TRY(std::vector<Digest> ids, layers_of(row));
  // A layer's checkout has nothing to do with those above it.
  if (rung == Rung::kLayers) ids.erase(ids.begin() + static_cast<ptrdiff_t>(index) + 1, ids.end());
  TRY(auto folders, open_chain(state.places, ids));
  TRY(ChainRecords records, ChainRecords::open(folders));
  const std::string name = *(snapshot_names(rung, row).rbegin() + static_cast<ptrdiff_t>(index));
  CheckoutState found{.inode = inode_of(state.places, name)};
  Result<sys::Fd> root = sys::open_at(state.places.trees.get(), name, kDirectory);
  const int error = root ? 0 : root.error().errnum();
  if (error == ENOENT) return Error(ErrorKind::kNotFound, "no snapshot '" + name + "'");
  if (error == ENOTDIR || error == ELOOP) {
    found.count = 1;
    found.problems = {"it is not a directory"};
    return found;
  }
  if (!root) return std::move(root.error());
  TRY(const sys::Fd farm, open_farm(state.places, rung));
  CheckoutLook look(root->get(), OwnSpans(state.places.root),
                    {.read_all = read_all, .farm = farm.get()});
  TRY_VOID(
      each_entry(records, rung, index, [&](const tree::Entry& entry) { return look.add(entry); }));
  TRY_VOID(look.finish());
  // Who removes it, or makes it again, may have begun before this.
  struct stat info{};
  if (fstat(root->get(), &info) != 0 || info.st_ino != inode_of(state.places, name))
    return Error(ErrorKind::kNotFound, "snapshot '" + name + "' is gone");
  found = {look.problems(), look.count(), look.bytes(), info.st_ino};
  return found;
}

Result<bool> look_at_checkouts(Store::State& state, Rung rung, const state::TreeRow& row) {
  const std::vector<std::string> names = snapshot_names(rung, row);
  if (is_looked(state, names.front())) {
    if (is_glance_enough(state, names)) return true;
    forget_looks(state);
  }
  TraceScope trace("store.look");
  bool whole = true;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[names.size() - 1 - i];
    Result<CheckoutState> found = check_checkout(state, rung, row, i, /*read_all=*/false);
    const bool gone = !found && inode_of(state.places, name) == 0;
    if (!found && !gone)
      return fail(std::move(found), "cannot look at what the image's containers stand on");
    if (!gone && found->count == 0) continue;
    if (!gone) TRY_VOID(set_aside(state, name, found->inode));
    whole = false;
  }
  if (whole) note_looked(state, names.front());
  return whole;
}

Result<void> set_aside(Store::State& state, const std::string& name, ino_t inode) {
  forget_looks(state);
  const int trees = state.places.trees.get();
  for (int n = 0; inode_of(state.places, name) == inode; ++n) {
    const std::string to = name + aside_mark() + std::to_string(n);
    if (renameat2(trees, name.c_str(), trees, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno == ENOENT) return {};  // somebody else was faster
    if (errno != EEXIST)
      return Error::from_errno(errno, "cannot set snapshot '" + name + "' aside");
  }
  return {};
}

void forget_set_aside(const Places& places, state::Database& database) {
  const std::string mark = aside_mark();
  Result<std::vector<std::string>> names = sys::list_dir(places.trees.get());
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.contains(kAside) || name.contains(mark)) continue;
    Result<Incoming> trash = Incoming::create(places, database);
    if (trash) renameat(places.trees.get(), name.c_str(), trash->directory(), name.c_str());
  }
}

}  // namespace wherry::store
