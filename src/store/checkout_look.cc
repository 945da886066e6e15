#include "store/checkout_look.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "store/farm.h"
#include "store/tree_file.h"
#include "store/tree_file_look.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr size_t kMaxProblems = 20;
// A glance looks at so many names of each directory on its way.
constexpr size_t kAtOnce = 32;

std::string_view parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

// As the kernel takes it; no record has a path that is too long for that.
std::string name_of(std::string_view path) {
  return path.empty() ? "." : std::string(path);
}

Error failed(std::string_view path) {
  return Error::from_errno(errno, "cannot look at " + shown_path(path));
}

}  // namespace

Result<void> CheckoutLook::add(const tree::Entry& entry) {
  if (levels_.empty()) TRY_VOID(begin(entry));
  if (!entry.path.empty()) {
    TRY_VOID(leave_to(parent_of(entry.path)));
    ++levels_.back().names;
  }
  const bool directory = entry.type == tree::Type::kDirectory;
  struct stat info{};
  bool there = !levels_.back().missing;
  if (there && fstatat(root_, name_of(entry.path).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return failed(entry.path);
    wrong(entry, info, "is missing");
    levels_.back().whole = false;
    there = false;
  }
  if (directory && !entry.path.empty()) levels_.push_back({.path = std::string(entry.path)});
  if (directory) levels_.back().missing = !there || !S_ISDIR(info.st_mode);
  return there ? look(entry, info) : Result<void>();
}

// A record without a root means one that is as plain as Checkout makes it.
Result<void> CheckoutLook::begin(const tree::Entry& first) {
  levels_.push_back({});
  if (first.path.empty()) return {};
  tree::Entry root;
  root.type = tree::Type::kDirectory;
  root.mode = 0755;
  return add(root);
}

Result<void> CheckoutLook::look(const tree::Entry& entry, const struct stat& info) {
  const bool known = is_known(info);
  const bool directory = entry.type == tree::Type::kDirectory;
  if (const std::string_view what = metadata_difference(entry, info); !what.empty()) {
    wrong(entry, info, what);
    return {};
  }
  bool again = false;
  if (entry.inode != 0) {
    if (entry.inode > inodes_.size()) inodes_.resize(entry.inode);
    ino_t& first = inodes_[entry.inode - 1];
    again = first != 0;
    if (!again) first = info.st_ino;
    if (first != info.st_ino) {
      wrong(entry, info, "is not the same file as its other names");
      return {};
    }
  }
  if (again || (known && !options_.read_all)) return {};
  TRY(const std::string_view what, content_difference(entry, root_, name_of(entry.path), bytes_));
  if (!what.empty()) {
    wrong(entry, info, what);
    return {};
  }
  if (directory) {
    levels_.back().whole = has_time_of(entry, info);
    levels_.back().mtime = info.st_mtim;
    if (!levels_.back().whole) wrong(entry, info, "was changed");
    return {};
  }
  return known ? Result<void>() : touch(name_of(entry.path), info.st_mtim);
}

bool CheckoutLook::is_known(const struct stat& info) const {
  return spans_.knows(info.st_ctim);
}

Result<void> CheckoutLook::leave_to(std::string_view parent) {
  while (levels_.size() > 1 && levels_.back().path != parent) TRY_VOID(leave());
  if (levels_.back().path == parent) return {};
  return Error(ErrorKind::kCorrupt, shown_path(parent) + " is not in the record");
}

// All names that it is to have were looked at; what else may there be?
Result<void> CheckoutLook::leave() {
  const Level level = std::move(levels_.back());
  levels_.pop_back();
  if (!level.whole || level.missing) return {};
  const std::string path = name_of(level.path);
  TRY_CTX(sys::Fd dir, sys::open_at(root_, path, kDirectory | O_NOATIME),
          "cannot open " + shown_path(level.path));
  TRY(const std::vector<std::string> names, sys::list_dir(dir.get()));
  if (names.size() > level.names) {
    tree::Entry entry;
    entry.path = level.path;
    wrong(entry, {}, "has names that the image has not");
    return {};
  }
  struct stat info{};
  if (fstat(dir.get(), &info) != 0) return failed(level.path);
  return is_known(info) ? Result<void>() : touch(path, level.mtime);
}

Result<void> CheckoutLook::finish() {
  tree::Entry nothing;
  nothing.path = "-";
  if (levels_.empty()) TRY_VOID(begin(nothing));
  while (!levels_.empty()) TRY_VOID(leave());
  return {};
}

Result<void> CheckoutLook::touch(const std::string& path, const timespec& mtime) {
  spans_.begin();
  const timespec times[] = {{0, UTIME_OMIT}, mtime};
  if (utimensat(root_, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return failed(path);
  return {};
}

void CheckoutLook::wrong(const tree::Entry& entry, const struct stat& info, std::string_view what) {
  ++count_;
  if (problems_.size() < kMaxProblems)
    problems_.push_back(shown_path(entry.path) + " " + std::string(what));
  const bool linked = options_.farm >= 0 && entry.type == tree::Type::kFile;
  if (linked && S_ISREG(info.st_mode)) forget_farm_file(options_.farm, entry, info.st_ino);
}

bool glance_at_checkout(int root, const OwnSpans& spans) {
  Result<sys::Fd> dir = sys::open_at(root, ".", kDirectory);
  std::minstd_rand random(std::random_device{}());
  while (dir) {
    Result<std::vector<std::string>> names = sys::list_dir(dir->get());
    if (!names) return false;
    std::vector<std::string> directories;
    const size_t count = std::min(names->size(), kAtOnce);
    const size_t first = names->empty() ? 0 : random() % names->size();
    for (size_t i = 0; i < count; ++i) {
      std::string& name = (*names)[(first + i) % names->size()];
      struct stat info{};
      if (fstatat(dir->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
      if (!spans.knows(info.st_ctim)) return false;
      if (S_ISDIR(info.st_mode)) directories.push_back(std::move(name));
    }
    if (directories.empty()) return true;
    dir = sys::open_at(dir->get(), directories[random() % directories.size()], kDirectory);
  }
  return false;
}

}  // namespace wherry::store
