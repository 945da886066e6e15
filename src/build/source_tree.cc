#include "build/source_tree.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/weaken.h"
#include "build/resolve.h"

namespace wherry::build {
namespace {

// Also in the middle, to come back: what the directory above is called is not the build's business.
bool leaves_root(std::string_view path) {
  int depth = 0;
  for (const std::string& part : path_parts(path)) {
    depth += part == ".." ? -1 : 1;
    if (depth < 0) return true;
  }
  return false;
}

Error not_found(const std::string& path, const std::string& tree) {
  return Error(ErrorKind::kNotFound, "'" + escape_name(path) + "' not found in " + tree)
      .set_errnum(ENOENT);
}

}  // namespace

SourceTree SourceTree::context(sys::Fd root, PathRules ignore) {
  SourceTree tree(Kind::kContext, "build context");
  tree.root_ = std::move(root);
  tree.ignore_ = std::move(ignore);
  return tree;
}

SourceTree SourceTree::root(sys::Fd root, std::string name, uint64_t device) {
  SourceTree tree(Kind::kRoot, std::move(name));
  tree.root_ = std::move(root);
  tree.device_ = device;
  return tree;
}

Result<SourceTree> SourceTree::files(const std::vector<MemoryFile>& files) {
  SourceTree tree(Kind::kFiles, "heredoc");
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  for (const MemoryFile& file : files) {
    sys::Fd content(memfd_create("heredoc", MFD_CLOEXEC));
    if (!content) return Error::from_errno(errno, "cannot hold '" + file.name + "' in memory");
    TRY_VOID_CTX(sys::write_all(content.get(), file.content),
                 "cannot hold '" + escape_name(file.name) + "' in memory");
    tree.files_.push_back({file.name, std::move(content), file.mode, now});
  }
  return tree;
}

Result<SourceTree> SourceTree::file(std::string name, sys::Fd content, uint32_t mode,
                                    timespec mtime, bool remote) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "'" + escape_name(name) + "' cannot name a file");
  SourceTree tree(Kind::kFiles, "download");
  tree.remote_ = remote;
  tree.files_.push_back({std::move(name), std::move(content), mode, mtime});
  return tree;
}

bool SourceTree::ignored(const std::string& path) const {
  return ignore_.excluded && !path.empty() && ignore_.excluded(path);
}

bool SourceTree::may_contain_included(const std::string& directory) const {
  return ignore_.may_contain_included && ignore_.may_contain_included(directory);
}

const SourceTree::NamedFile* SourceTree::find(const std::string& name) const {
  auto found = std::ranges::find(files_, name, &NamedFile::name);
  return found == files_.end() ? nullptr : &*found;
}

Result<std::string> SourceTree::resolve(const std::string& path) const {
  if (kind_ == Kind::kFiles) {
    if (find(path) == nullptr) return not_found(path, name_);
    return path;
  }
  if (weakened(Defence::kBuildSources)) return path;
  if (kind_ == Kind::kContext && leaves_root(path))
    return Error(ErrorKind::kInvalidArgument,
                 "forbidden path outside the build context: '" + escape_name(path) + "'")
        .set_hint(
            "a source is always below the build's directory: build from a directory above, "
            "or copy the file into it");
  Result<Resolved> resolved = resolve_links(root_.get(), path);
  if (!resolved && resolved.error().errnum() == ENOTDIR) return not_found(path, name_);
  if (!resolved) return fail(std::move(resolved), "cannot find '" + escape_name(path) + "'");
  if (!resolved->exists) return not_found(path, name_);
  return std::move(resolved->path);
}

Result<struct stat> SourceTree::status(const std::string& resolved) const {
  struct stat status{};
  if (kind_ == Kind::kFiles) {
    const NamedFile* file = find(resolved);
    if (file == nullptr) return not_found(resolved, name_);
    if (fstat(file->content.get(), &status) != 0)
      return Error::from_errno(errno, "cannot look at '" + escape_name(resolved) + "'");
    status.st_mode = S_IFREG | file->mode;
    status.st_mtim = file->mtime;
    return status;
  }
  TRY(sys::Fd fd, open(resolved, O_PATH));
  if (fstat(fd.get(), &status) != 0)
    return Error::from_errno(errno, "cannot look at '" + escape_name(resolved) + "'");
  return status;
}

Result<sys::Fd> SourceTree::open(const std::string& resolved, int flags) const {
  if (kind_ == Kind::kFiles) {
    const NamedFile* file = find(resolved);
    if (file == nullptr) return not_found(resolved, name_);
    return file->content.dup();
  }
  // Not to wait for the writer of a fifo.
  if ((flags & O_PATH) == 0) flags |= O_NONBLOCK | O_NOCTTY;
  Result<sys::Fd> fd =
      sys::open_without_links(root_.get(), resolved.empty() ? "." : resolved, flags | O_NOFOLLOW);
  if (fd || fd.error().errnum() == 0) return fd;
  return Error::from_errno(fd.error().errnum(), "cannot open '" + escape_name(resolved) + "'");
}

Result<sys::Fd> SourceTree::open_path(const std::string& path) const {
  TRY(std::string resolved, resolve(path));
  return open(resolved, O_PATH);
}

uint64_t SourceTree::device_of(const struct stat& status) const {
  return device_ != 0 && !S_ISDIR(status.st_mode) ? device_ : status.st_dev;
}

bool SourceTree::digests_last(const struct stat& status) const {
  if (kind_ == Kind::kContext) return true;
  return kind_ == Kind::kRoot && device_ != 0 && !S_ISDIR(status.st_mode);
}

}  // namespace wherry::build
