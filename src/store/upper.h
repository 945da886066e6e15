// UpperReader: what an overlay's upper directory says, as the entries of a layer in order.
//
// For containers that are there: a running one changes it meanwhile unless it is frozen. What
// vanishes while it is read is left out, what changes is told as it is at the moment. Digests are
// not known; the file is open instead. Memory grows with names in the directories at hand and with
// inodes of several names. An upper that stands for other places or for contents elsewhere
// (redirect_dir, metacopy) is kUnsupported: no overlay of ours makes one. Not thread-safe.
#pragma once

#include <sys/stat.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"
#include "tree/entry.h"

namespace wherry::store {

// The mount points that the engine itself needs in a container's root: where the image has none the
// runtime has made directories and empty files in the upper, which are no changes of the container.
struct Stubs {
  struct Directory {
    uint16_t mode = 0755;
    uint32_t uid = 0, gid = 0;
    std::vector<std::pair<std::string, std::string>> xattrs;
  };
  std::set<std::string> places;              // that the image has not
  std::map<std::string, Directory> parents;  // above them, as the image has them or they are made
};

class UpperReader {
 public:
  // Both borrowed.
  UpperReader(int upper, const Stubs& stubs) : upper_(upper), stubs_(stubs) {}

  // The next entry, valid until the next call; null at the end. The root is never told.
  Result<const tree::Entry*> next();
  // Of a file that was told, for reading.
  int file() const { return file_.get(); }

 private:
  struct Level {
    std::string path;
    std::vector<std::string> names;
    size_t next = 0;
    sys::Fd fd;  // empty: closed because it is far up
  };

  Result<void> enter(std::string path, sys::Fd fd);
  Result<int> current();
  Result<bool> look_at(const std::string& name);
  Result<bool> look_at_directory(int dir, const std::string& name);
  Result<bool> look_at_file(int dir, const std::string& name);
  Result<bool> look_at_link(int dir, const std::string& name, const struct stat& info);
  Result<void> read_xattrs(int fd);
  Result<bool> is_stub(int dir, const std::string& name, const std::string& path);
  bool is_as_before() const;
  void take(const struct stat& info);
  void number(const struct stat& info);

  int upper_;
  const Stubs& stubs_;
  bool begun_ = false;
  std::vector<Level> levels_;
  sys::Fd file_;
  tree::Entry entry_;
  std::string path_, target_;
  std::vector<std::pair<std::string, std::string>> xattrs_;
  std::map<std::pair<dev_t, ino_t>, uint32_t> inodes_;  // with several names
};

}  // namespace wherry::store
