// SourceTree: a place that COPY, ADD and bind mounts take files from.
//
//   context    the build's directory, seen through .dockerignore; owners do not count
//   root       a stage's or an image's root, e.g. a detached read-only overlay; owners are kept
//   files      a few files without a directory: heredocs, a download
//
// Every path is resolved beneath the root as if it were "/", so neither ".." nor an absolute link
// leaves it. A resolved path has no links left and is opened with RESOLVE_NO_SYMLINKS: a name that
// becomes a link meanwhile is an error, never a way out. Paths given and returned are relative,
// clean and without a leading "/"; the root itself is "".
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"

namespace wherry::build {

// What .dockerignore or --exclude says of paths below a root; empty functions exclude nothing.
struct PathRules {
  std::function<bool(const std::string& path)> excluded;
  // Of an excluded directory: whether a "!" rule may let something in it back in.
  std::function<bool(const std::string& directory)> may_contain_included;
};

// A file that is no file yet.
struct MemoryFile {
  std::string name;  // one path component
  std::string content;
  uint32_t mode = 0644;
};

class SourceTree {
 public:
  enum class Kind { kContext, kRoot, kFiles };

  // `root` is opened for reading or O_PATH.
  static SourceTree context(sys::Fd root, PathRules ignore);
  // `name`: of the stage or image, for messages. `device`: see device_of; 0: what the kernel says.
  static SourceTree root(sys::Fd root, std::string name, uint64_t device = 0);
  // The contents are held in memory until the tree is gone.
  static Result<SourceTree> files(const std::vector<MemoryFile>& files);
  // One file by its descriptor, which needs no name in any directory.
  static Result<SourceTree> file(std::string name, sys::Fd content, uint32_t mode, timespec mtime,
                                 bool remote);

  Kind kind() const { return kind_; }
  // Its content came over the network: an archive is not unpacked unless --unpack asks for it.
  bool remote() const { return remote_; }
  bool keeps_owners() const { return kind_ == Kind::kRoot; }
  // "build context", "stage 'x'": for messages.
  const std::string& name() const { return name_; }
  bool ignored(const std::string& path) const;
  bool may_contain_included(const std::string& directory) const;

  // Follows every link in `path`, the last one too, inside the root. kNotFound names what is
  // missing. A `..` above the root of a context is refused, in a stage it stays at the root, as in
  // a container.
  Result<std::string> resolve(const std::string& path) const;
  // The status of what a resolved path names; links are not followed.
  Result<struct stat> status(const std::string& resolved) const;
  // Opens a resolved path; the last name is not followed either.
  Result<sys::Fd> open(const std::string& resolved, int flags) const;
  // A descriptor (O_PATH) of `path` after resolve(), e.g. for a bind mount.
  Result<sys::Fd> open_path(const std::string& path) const;
  // The device number under which a file's digest is remembered. Overlays have a new number with
  // each mount but show the inode numbers of the layers beneath: there it is the layers' own.
  uint64_t device_of(const struct stat& status) const;
  // Whether a digest may be remembered under that number.
  bool digests_last(const struct stat& status) const;

 private:
  struct NamedFile {
    std::string name;
    sys::Fd content;
    uint32_t mode = 0;
    timespec mtime{};
  };

  SourceTree(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  const NamedFile* find(const std::string& name) const;

  Kind kind_;
  std::string name_;
  sys::Fd root_;
  PathRules ignore_;
  uint64_t device_ = 0;
  bool remote_ = false;
  std::vector<NamedFile> files_;
};

}  // namespace wherry::build
