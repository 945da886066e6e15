#include "build/walk.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include "build/file_content.h"
#include "build/resolve.h"

namespace wherry::build {
namespace {

std::optional<EntryType> type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return EntryType::kFile;
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kLink;
    case S_IFIFO:
      return EntryType::kFifo;
    case S_IFCHR:
      return EntryType::kCharDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    default:
      return std::nullopt;
  }
}

Error failed(int errnum, const std::string& action, const std::string& path) {
  return Error::from_errno(errnum, "cannot " + action + " '" + escape_name(path) + "'");
}

Result<std::string> link_target(int parent, const std::string& name, const std::string& path) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(parent, name.c_str(), target, sizeof target);
  if (size < 0) return failed(errno, "read link", path);
  return std::string(target, static_cast<size_t>(size));
}

class Walk {
 public:
  Walk(const WalkRules& rules, const std::string& base, std::vector<Entry>& entries)
      : rules_(rules), base_(base), entries_(entries) {}

  Result<void> directory(const std::string& path, bool excluded) {
    if (excluded) pending_.push_back(path);
    TRY(std::vector<Entry> children, list(path));
    for (Entry& child : children) TRY_VOID(take(std::move(child)));
    if (excluded && !pending_.empty()) pending_.pop_back();
    return {};
  }

  Result<void> take(Entry entry) {
    std::string full = join_path(base_, entry.path);
    bool out = rules_.tree->ignored(full) ||
               (rules_.exclude.excluded && rules_.exclude.excluded(entry.path));
    if (out && !(entry.type == EntryType::kDirectory && may_hold(full, entry.path))) return {};
    bool is_directory = entry.type == EntryType::kDirectory;
    std::string path = is_directory ? entry.path : std::string();
    if (!out) {
      TRY_VOID(add_pending());
      if (entries_.size() >= kMaxEntries)
        return Error(ErrorKind::kResourceExhausted,
                     "more than " + std::to_string(kMaxEntries) + " files to copy")
            .set_hint("exclude what the image does not need in .dockerignore");
      entries_.push_back(std::move(entry));
    }
    return is_directory ? directory(path, out) : Result<void>();
  }

  Result<std::optional<Entry>> look(int parent, const std::string& name, const std::string& path) {
    struct stat status{};
    if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      // Gone since the directory was read: it is not part of what is copied.
      if (errno == ENOENT) return std::optional<Entry>();
      return failed(errno, "look at", join_path(base_, path));
    }
    Entry entry;
    entry.path = path;
    if (!describe(status, rules_, entry)) {
      if (rules_.notes != nullptr)
        rules_.notes->push_back("skipped '" + escape_name(join_path(base_, path)) +
                                "': sockets are not copied");
      return std::optional<Entry>();
    }
    if (entry.type == EntryType::kLink) {
      TRY(entry.target, link_target(parent, name, join_path(base_, path)));
    }
    return std::optional<Entry>(std::move(entry));
  }

 private:
  bool may_hold(const std::string& full, const std::string& path) const {
    bool by_ignore = !rules_.tree->ignored(full) || rules_.tree->may_contain_included(full);
    bool by_exclude =
        !rules_.exclude.excluded || !rules_.exclude.excluded(path) ||
        (rules_.exclude.may_contain_included && rules_.exclude.may_contain_included(path));
    return by_ignore && by_exclude;
  }

  // What a directory holds, its descriptor closed again.
  Result<std::vector<Entry>> list(const std::string& path) {
    std::string full = join_path(base_, path);
    if (full.size() > kMaxSourcePath)
      return Error(ErrorKind::kResourceExhausted, "cannot read '" +
                                                      escape_name(full).substr(0, 128) +
                                                      "...': the path is longer than 4095 bytes");
    TRY(sys::Fd directory, rules_.tree->open(full, O_RDONLY | O_DIRECTORY));
    TRY(sys::Fd for_names, directory.dup());
    TRY_CTX(std::vector<std::string> names, names_in(std::move(for_names)),
            "cannot read directory '" + escape_name(full) + "'");
    std::vector<Entry> children;
    children.reserve(names.size());
    for (const std::string& name : names) {
      TRY(std::optional<Entry> child, look(directory.get(), name, join_path(path, name)));
      if (child) children.push_back(std::move(*child));
    }
    return children;
  }

  // Excluded directories on the way to something that is not: they are needed now.
  Result<void> add_pending() {
    for (const std::string& path : pending_) {
      if (path.empty()) continue;
      TRY(struct stat status, rules_.tree->status(join_path(base_, path)));
      Entry entry;
      entry.path = path;
      entry.implied = true;
      if (!S_ISDIR(status.st_mode) || !describe(status, rules_, entry))
        return Error(ErrorKind::kConflict,
                     "'" + escape_name(join_path(base_, path)) + "' changed while it was read");
      entries_.push_back(std::move(entry));
    }
    pending_.clear();
    return {};
  }

  const WalkRules& rules_;
  const std::string& base_;
  std::vector<Entry>& entries_;
  std::vector<std::string> pending_;
};

}  // namespace

bool describe(const struct stat& status, const WalkRules& rules, Entry& entry) {
  std::optional<EntryType> type = type_of(status.st_mode);
  if (!type) return false;
  entry.type = *type;
  entry.mode = status.st_mode & 07777;
  bool directory = entry.type == EntryType::kDirectory;
  if (rules.chmod && entry.type != EntryType::kLink)
    entry.mode = rules.chmod->apply(entry.mode, directory);
  if (rules.tree->keeps_owners()) {
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
  }
  entry.size = entry.type == EntryType::kFile ? static_cast<uint64_t>(status.st_size) : 0;
  entry.device = rules.tree->device_of(status);
  entry.inode = status.st_ino;
  entry.links = directory ? 1 : status.st_nlink;
  entry.mtime_ns = nanoseconds(status.st_mtim);
  entry.ctime_ns = nanoseconds(status.st_ctim);
  bool device = entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice;
  entry.rdev = device ? status.st_rdev : 0;
  return true;
}

Result<std::vector<std::string>> names_in(sys::Fd directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(directory.get()), &closedir);
  if (!stream) return Error::from_errno(errno, "cannot list");
  directory.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno != 0) return Error::from_errno(errno, "cannot list");
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Result<void> walk_directory(const WalkRules& rules, const std::string& base,
                            const std::string& path, bool excluded, std::vector<Entry>& entries) {
  return Walk(rules, base, entries).directory(path, excluded);
}

Result<void> walk_entry(const WalkRules& rules, const std::string& base, const std::string& path,
                        std::vector<Entry>& entries) {
  auto [parent_path, name] = split_path(join_path(base, path));
  TRY(sys::Fd parent, rules.tree->open(parent_path, O_PATH | O_DIRECTORY));
  Walk walk(rules, base, entries);
  TRY(std::optional<Entry> entry, walk.look(parent.get(), name, path));
  if (!entry) return {};
  return walk.take(std::move(*entry));
}

}  // namespace wherry::build
