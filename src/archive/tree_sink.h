// TreeSink: where the entries of an archive go. Files in a directory (TreeWriter) or objects and a
// record (ObjectSink).
//
// Paths are relative, without empty, "." and ".." parts; "" is the root. An entry takes the place
// of what has its name, a directory keeps what is in one. Parents that are missing are made, 0755.
// A symlink among the parents is followed inside the root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry::archive {

struct Metadata {
  mode_t mode = 0;  // permission bits with setuid, setgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  std::vector<std::pair<std::string, std::string>> xattrs;
};

class TreeSink {
 public:
  virtual ~TreeSink() = default;

  virtual Result<void> directory(const std::string& path, const Metadata& metadata) = 0;
  // A file in three steps; what is between the blocks, which come in order, is zero.
  virtual Result<void> begin_file(const std::string& path, uint64_t size, bool sparse) = 0;
  // Whether the content, which is in one piece at this offset of the tar, can stay there: write()
  // is not called then.
  virtual bool leave([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t size) {
    return false;
  }
  virtual Result<void> write(std::string_view bytes, uint64_t offset) = 0;
  virtual Result<void> end_file(const Metadata& metadata) = 0;
  virtual Result<void> symlink(const std::string& path, const std::string& target,
                               const Metadata& metadata) = 0;
  virtual Result<void> hard_link(const std::string& path, const std::string& target) = 0;
  // S_IFCHR, S_IFBLK or S_IFIFO in `type`.
  virtual Result<void> node(const std::string& path, mode_t type, dev_t device,
                            const Metadata& metadata) = 0;
  // The name is gone from lower layers.
  virtual Result<void> whiteout(const std::string& path) = 0;
  // What lower layers have in this directory is gone; it exists afterwards.
  virtual Result<void> opaque(const std::string& path) = 0;
  // Once, after the last entry.
  virtual Result<void> finish() = 0;

  // Extended attributes that could not be kept on this file system or this type of file.
  virtual uint64_t xattrs_lost() const = 0;
  // Names that a later entry has taken the place of.
  virtual uint64_t replaced() const = 0;
};

// A name from an archive as text for messages: control characters escaped, at most 256 bytes.
std::string shown(std::string_view name);

}  // namespace wherry::archive
