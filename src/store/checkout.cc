#include "store/checkout.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>

#include "base/failpoint.h"

namespace wherry::store {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
// Directories above the current one that stay open; others are opened again when they are come
// back to.
constexpr size_t kOpenLevels = 64;

Error failed(std::string_view action, std::string_view path) {
  return Error::from_errno(errno, "cannot " + std::string(action) + " " + shown_path(path));
}

Error impossible(std::string_view path, std::string_view what) {
  return Error(ErrorKind::kCorrupt, shown_path(path) + " " + std::string(what));
}

std::string name_of(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

}  // namespace

Checkout::Checkout(tree::RecordKind kind, FileWay way, const CheckoutPlaces& places)
    : kind_(kind), way_(way), places_(places) {
  if (way == FileWay::kFarm) farm_.emplace(places.farm, places.objects, *places.spans);
}

Checkout::Checkout(tree::RecordKind kind, MakeFile make_file, const CheckoutPlaces& places)
    : kind_(kind), make_file_(std::move(make_file)), places_(places) {}

Result<void> Checkout::begin() {
  begun_ = true;
  TRY_VOID(failpoint("store.checkout.begin"));
  Level root;
  TRY_CTX(root.fd, sys::open_at(places_.root, ".", kDirectory), "cannot open the root");
  levels_.push_back(std::move(root));
  tree::Entry plain;
  plain.type = tree::Type::kDirectory;
  plain.mode = 0755;
  return set_metadata(levels_[0].fd.get(), plain);
}

Result<void> Checkout::add(const tree::Entry& entry) {
  if (!begun_) TRY_VOID(begin());
  if (kind_ == tree::RecordKind::kTree && (entry.type == tree::Type::kWhiteout || entry.opaque))
    return impossible(entry.path, "is a mark of a layer, which no tree has");
  if (entry.path.empty()) {
    if (entry.type != tree::Type::kDirectory) return impossible(entry.path, "is not a directory");
    levels_[0].mtime = {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)};
    return set_metadata(levels_[0].fd.get(), entry);
  }
  TRY_VOID(leave_to(parent_of(entry.path)));
  if (entry.type == tree::Type::kDirectory) return enter(entry.path, entry);
  TRY(const int dir, current());
  const std::string name = name_of(entry.path);
  return entry.inode == 0 ? make(entry, dir, name) : add_shared(entry, dir, name);
}

// Makes `parent` the current directory; what the record leaves out above it is made.
Result<void> Checkout::leave_to(std::string_view parent) {
  while (levels_.size() > 1 && path_ != parent && !tree::is_below(parent, path_)) TRY_VOID(leave());
  while (path_.size() < parent.size()) {
    const size_t next = parent.find('/', path_.empty() ? 0 : path_.size() + 1);
    const std::string_view path = parent.substr(0, next);
    if (kind_ == tree::RecordKind::kTree) return impossible(path, "is not in the tree");
    tree::Entry left_out;
    left_out.path = path;
    left_out.type = tree::Type::kDirectory;
    left_out.mode = 0755;
    TRY_VOID(enter(path, left_out));
  }
  return {};
}

Result<void> Checkout::enter(std::string_view path, const tree::Entry& entry) {
  const std::string name = name_of(path);
  if (name.empty() || name == "." || name == "..") return impossible(path, "is no possible path");
  TRY(const int dir, current());
  if (mkdirat(dir, name.c_str(), 0700) != 0) return failed("make", path);
  Level level;
  level.length = path.size();
  level.mtime = {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)};
  TRY_CTX(level.fd, sys::open_at(dir, name, kDirectory), "cannot open " + shown_path(path));
  TRY_VOID(set_metadata(level.fd.get(), entry));
  if (entry.opaque && fsetxattr(level.fd.get(), kOpaque, "y", 1, 0) != 0)
    return failed("make opaque", path);
  if (levels_.size() >= kOpenLevels) levels_[levels_.size() - kOpenLevels].fd.reset();
  levels_.push_back(std::move(level));
  path_ = path;
  return {};
}

// The time comes last: whatever is made in a directory changes it.
Result<void> Checkout::leave() {
  TRY(const int dir, current());
  const timespec times[2] = {levels_.back().mtime, levels_.back().mtime};
  if (futimens(dir, times) != 0) return failed("set the time of", path_);
  levels_.pop_back();
  if (!levels_.empty()) path_.resize(levels_.back().length);
  return {};
}

Result<int> Checkout::current() {
  Level& level = levels_.back();
  if (level.fd) return level.fd.get();
  TRY_CTX(level.fd, sys::open_without_links(places_.root, path_.empty() ? "." : path_, kDirectory),
          "cannot open " + shown_path(path_));
  return level.fd.get();
}

// A second name of each in `work`, for those that are still to come: no path of the tree has to be
// kept for them.
Result<void> Checkout::add_shared(const tree::Entry& entry, int dir, const std::string& name) {
  const std::string number = std::to_string(entry.inode);
  if (entry.inode <= shared_) {
    if (linkat(places_.work, number.c_str(), dir, name.c_str(), 0) == 0) return {};
    return failed("link", entry.path);
  }
  if (entry.inode != shared_ + 1) return impossible(entry.path, "has an inode out of order");
  TRY_VOID(make(entry, dir, name));
  if (linkat(dir, name.c_str(), places_.work, number.c_str(), 0) != 0)
    return failed("link", entry.path);
  ++shared_;
  return {};
}

Result<void> Checkout::make(const tree::Entry& entry, int dir, const std::string& name) {
  if (entry.type != tree::Type::kFile) return make_node(entry, dir, name);
  if (make_file_) return make_file_(entry, dir, name);
  if (farm_) return farm_->link(entry, dir, name);
  const Filling filling = way_ == FileWay::kReflink ? Filling::kReflink : Filling::kCopy;
  return make_tree_file(places_.objects, entry, filling, dir, name);
}

Result<void> Checkout::make_node(const tree::Entry& entry, int dir, const std::string& name) {
  if (entry.type == tree::Type::kWhiteout) {
    if (mknodat(dir, name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
    return failed("make", entry.path);
  }
  if (entry.type == tree::Type::kSymlink) {
    if (symlinkat(std::string(entry.target).c_str(), dir, name.c_str()) != 0)
      return failed("make", entry.path);
    return set_metadata_at(dir, name, entry);
  }
  const bool device =
      entry.type == tree::Type::kCharDevice || entry.type == tree::Type::kBlockDevice;
  const dev_t number = device ? makedev(entry.device_major, entry.device_minor) : 0;
  if (entry.type == tree::Type::kCharDevice && number == 0)
    return impossible(entry.path,
                      "is the character device 0:0, which overlay takes for a whiteout");
  if (mknodat(dir, name.c_str(), type_bits(entry.type) | 0600, number) != 0)
    return failed("make", entry.path);
  return set_metadata_at(dir, name, entry);
}

Result<void> Checkout::finish() {
  if (!begun_) TRY_VOID(begin());
  for (uint32_t number = 1; number <= shared_; ++number)
    if (unlinkat(places_.work, std::to_string(number).c_str(), 0) != 0)
      return Error::from_errno(errno, "cannot finish a checkout");
  while (!levels_.empty()) TRY_VOID(leave());
  return failpoint("store.checkout.done");
}

Result<void> check_out(tree::RecordReader& record, tree::RecordKind kind, FileWay way,
                       const CheckoutPlaces& places) {
  Checkout checkout(kind, way, places);
  for (;;) {
    TRY(const tree::Entry* entry, record.next());
    if (entry == nullptr) return checkout.finish();
    TRY_VOID(checkout.add(*entry));
  }
}

}  // namespace wherry::store
