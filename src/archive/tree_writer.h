// TreeWriter: foreign entries become files below one directory, and nowhere else.
//
// Every parent is resolved with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) on the root's
// descriptor, the last name is never followed: an entry below a symlink lands inside the root. New
// files are made with O_EXCL after what had the name is removed, so nothing that exists is ever
// written through. The caller has umask 0 and may chown and mknod. Errors name the entry.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"

namespace wherry::archive {

struct Metadata {
  mode_t mode = 0;  // permission bits with setuid, setgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// A name from an archive as text for messages: control characters escaped, at most 256 bytes.
std::string shown(std::string_view name);

class TreeWriter {
 public:
  explicit TreeWriter(int root) : root_(root) {}  // borrowed

  // Paths are relative, without empty, "." and ".." parts. Parents that are missing are made, 0755.
  // A directory that is there is kept and gets the metadata; "" is the root itself. Times of
  // directories are set by finish(), after their contents.
  Result<void> directory(const std::string& path, const Metadata& metadata);
  // An empty file to write to; close_file() with it sets the metadata.
  Result<sys::Fd> open_file(const std::string& path);
  Result<void> close_file(const std::string& path, sys::Fd file, const Metadata& metadata);
  Result<void> symlink(const std::string& path, const std::string& target,
                       const Metadata& metadata);
  Result<void> hard_link(const std::string& path, const std::string& target);
  // S_IFCHR, S_IFBLK or S_IFIFO in `type`.
  Result<void> node(const std::string& path, mode_t type, dev_t device, const Metadata& metadata);
  // Overlay's whiteout: a character device 0:0.
  Result<void> whiteout(const std::string& path);
  // The directory exists afterwards.
  Result<void> ensure_directory(const std::string& path);
  Result<void> finish();

  // Extended attributes that could not be kept on this file system or this type of file.
  uint64_t xattrs_lost() const { return xattrs_lost_; }
  // Files that a later entry of the same name has taken the place of.
  uint64_t replaced() const { return replaced_; }

 private:
  struct Place {
    int parent;
    std::string name;
  };
  // The parent's descriptor (valid until the next call) and the last name.
  Result<Place> place_of(const std::string& path);
  // As place_of, with nothing left at the name.
  Result<Place> vacate(const std::string& path);
  Result<sys::Fd> make_parents(const std::string& parent);
  Result<void> set_xattrs(int fd, const std::string& path, const Metadata& metadata);
  void count_lost(const Metadata& metadata) { xattrs_lost_ += metadata.xattrs.size(); }

  int root_;
  // Archives list a directory's files in a row.
  std::string cached_path_;
  sys::Fd cached_parent_;
  std::vector<std::pair<std::string, timespec>> directory_times_;
  uint64_t xattrs_lost_ = 0;
  uint64_t replaced_ = 0;
};

}  // namespace wherry::archive
