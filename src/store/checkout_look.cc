#include "store/checkout_look.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "store/farm.h"
#include "store/tree_file.h"
#include "store/tree_file_look.h"

namespace wherry::store {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr size_t kMaxProblems = 20;
// A glance looks at so many names of each directory on its way.
constexpr size_t kAtOnce = 32;
// So many are touched in one span, which ends the sooner.
constexpr size_t kTouchedAtOnce = 4096;

// As the kernel takes it; no record has a path that is too long for that.
std::string name_of(std::string_view path) {
  return path.empty() ? "." : std::string(path);
}

Error failed(std::string_view path) {
  return Error::from_errno(errno, "cannot look at " + shown_path(path));
}

// The next block of a directory's names; the number of its bytes.
template <typename Name>
Result<ssize_t> read_names(int dir, Name name) {
  alignas(dirent64) char buffer[32768];
  const ssize_t size = getdents64(dir, buffer, sizeof buffer);
  if (size < 0) return Error::from_errno(errno, "cannot list a directory");
  for (ssize_t at = 0; at < size;) {
    const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
    const std::string_view text = entry->d_name;
    if (text != "." && text != "..") name(text);
    at += entry->d_reclen;
  }
  return size;
}

Result<uint64_t> count_names(int dir) {
  for (uint64_t count = 0;;) {
    TRY(const ssize_t size, read_names(dir, [&](std::string_view) { ++count; }));
    if (size == 0) return count;
  }
}

// A thousand or so.
Result<std::vector<std::string>> first_names(int dir) {
  std::vector<std::string> names;
  TRY_VOID(read_names(dir, [&](std::string_view name) { names.emplace_back(name); }));
  return names;
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
    wrong(entry, "is missing");
    levels_.back().compare_names = false;
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
  if (const std::string_view what = metadata_difference(entry, info); !what.empty()) {
    wrong(entry, what);
    return {};
  }
  bool again = false;
  if (entry.inode != 0) {
    if (entry.inode > inodes_.size()) inodes_.resize(entry.inode);
    ino_t& first = inodes_[entry.inode - 1];
    again = first != 0;
    if (!again) first = info.st_ino;
    if (first != info.st_ino) {
      wrong(entry, "is not the same file as its other names");
      return {};
    }
  }
  const bool known = spans_.knows(info.st_ctim);
  if (again || (known && !options_.read_all)) return {};
  TRY(const std::string_view what, content_difference(entry, root_, name_of(entry.path), bytes_));
  if (!what.empty()) {
    wrong_inside(entry, info, what);
    return {};
  }
  if (entry.type == tree::Type::kDirectory) {
    levels_.back().compare_names = true;
    levels_.back().change = info.st_ctim;
  } else if (!known) {
    note_right(name_of(entry.path), info.st_ctim);
  }
  return {};
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
  if (!level.compare_names || level.missing) return {};
  const std::string path = name_of(level.path);
  TRY_CTX(sys::Fd dir, sys::open_at(root_, path, kDirectory | O_NOATIME),
          "cannot open " + shown_path(level.path));
  TRY(const uint64_t names, count_names(dir.get()));
  if (names > level.names) {
    tree::Entry entry;
    entry.path = level.path;
    entry.type = tree::Type::kDirectory;
    wrong_inside(entry, {}, "has names that the image has not");
  } else if (!spans_.knows(level.change)) {
    note_right(path, level.change);
  }
  return {};
}

Result<void> CheckoutLook::finish() {
  tree::Entry nothing;
  nothing.path = "-";
  if (levels_.empty()) TRY_VOID(begin(nothing));
  while (!levels_.empty()) TRY_VOID(leave());
  touch_right();
  return {};
}

void CheckoutLook::note_right(std::string path, const timespec& change) {
  right_.push_back({std::move(path), change});
  if (right_.size() >= kTouchedAtOnce) touch_right();
}

// But for what was touched since it was looked at. What cannot be touched is read again.
void CheckoutLook::touch_right() {
  if (right_.empty()) return;
  spans_.begin();
  for (const Right& right : right_) {
    struct stat info{};
    if (fstatat(root_, right.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        info.st_ctim.tv_sec != right.change.tv_sec || info.st_ctim.tv_nsec != right.change.tv_nsec)
      continue;
    const timespec times[] = {{0, UTIME_OMIT}, info.st_mtim};
    utimensat(root_, right.path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
  spans_.keep();
  right_.clear();
}

void CheckoutLook::wrong(const tree::Entry& entry, std::string_view what) {
  ++count_;
  if (problems_.size() < kMaxProblems)
    problems_.push_back(shown_path(entry.path) + " " + std::string(what));
}

// Metadata does not show it.
void CheckoutLook::wrong_inside(const tree::Entry& entry, const struct stat& info,
                                std::string_view what) {
  wrong(entry, what);
  mark_damaged(root_, name_of(entry.path), entry);
  if (options_.farm >= 0 && entry.type == tree::Type::kFile)
    forget_farm_file(options_.farm, entry, info);
}

bool glance_at_checkout(int root, const OwnSpans& spans) {
  Result<sys::Fd> dir = sys::open_at(root, ".", kDirectory);
  std::minstd_rand random(std::random_device{}());
  while (dir) {
    Result<std::vector<std::string>> names = first_names(dir->get());
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
