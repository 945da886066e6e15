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

#include "archive/tree_sink.h"
#include "sys/fd.h"

namespace wherry::archive {

class TreeWriter : public TreeSink {
 public:
  explicit TreeWriter(int root) : root_(root) {}  // borrowed

  // Times of directories are set by finish(), after their contents.
  Result<void> directory(const std::string& path, const Metadata& metadata) override;
  Result<void> begin_file(const std::string& path, uint64_t size, bool sparse) override;
  Result<void> write(std::string_view bytes, uint64_t offset) override;
  Result<void> end_file(const Metadata& metadata) override;
  Result<void> symlink(const std::string& path, const std::string& target,
                       const Metadata& metadata) override;
  Result<void> hard_link(const std::string& path, const std::string& target) override;
  Result<void> node(const std::string& path, mode_t type, dev_t device,
                    const Metadata& metadata) override;
  // Overlay's whiteout: a character device 0:0.
  Result<void> whiteout(const std::string& path) override;
  // Only remembered: the mark is an attribute that we may not write.
  Result<void> opaque(const std::string& path) override;
  const std::vector<std::string>& opaque_directories() const { return opaque_; }
  Result<void> finish() override;

  uint64_t xattrs_lost() const override { return xattrs_lost_; }
  uint64_t replaced() const override { return replaced_; }

 protected:
  int file() const { return file_.get(); }  // that is being written

 private:
  struct Place {
    int parent;
    std::string name;
  };
  // The parent's descriptor (valid until the next call) and the last name.
  Result<Place> place_of(const std::string& path);
  // The directory exists afterwards.
  Result<void> ensure_directory(const std::string& path);
  // As place_of, with nothing left at the name.
  Result<Place> vacate(const std::string& path);
  // The next entry looks again: what was removed may have been a link on the way. The descriptor
  // stays for this one. No parent's path has a slash at its front.
  void forget_parent() { cached_path_ = "/"; }
  Result<sys::Fd> make_parents(const std::string& parent);
  Result<void> set_xattrs(int fd, const std::string& path, const Metadata& metadata);
  void count_lost(const Metadata& metadata) { xattrs_lost_ += metadata.xattrs.size(); }

  int root_;
  // Archives list a directory's files in a row.
  std::string cached_path_;
  sys::Fd cached_parent_;
  std::string file_path_;  // of the file that is being written
  sys::Fd file_;
  uint64_t file_size_ = 0;
  std::vector<std::pair<std::string, timespec>> directory_times_;
  std::vector<std::string> opaque_;
  uint64_t xattrs_lost_ = 0;
  uint64_t replaced_ = 0;
};

}  // namespace wherry::archive
