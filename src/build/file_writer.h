// Writing copied things below a root: one entry at a time, nothing written through.
//
// Names are resolved without links (the destination was resolved before), a new file is made with
// O_EXCL after what had the name is removed, so neither a link nor a hard link to another file of
// the image is ever written through. A directory is never replaced by something else. Data is
// cloned where the file system can, else copied in the kernel; holes stay holes.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "build/copy.h"
#include "build/destination.h"
#include "build/file_content.h"
#include "sys/fd.h"

namespace wherry::build {

class FileWriter {
 public:
  FileWriter(int root, std::vector<std::string>& warnings) : root_(root), warnings_(warnings) {}

  // Paths are below the root and resolved; parents are there. `fd`: the source, opened for reading.
  Result<void> file(const std::string& path, const Entry& entry, Owner owner, int fd);
  // One that is there is kept and gets the metadata; an implied one that is there stays as it is.
  // Times are set by finish(): what is put into it later changes them.
  Result<void> directory(const std::string& path, const Entry& entry, Owner owner,
                         const std::vector<Attribute>& attributes);
  Result<void> link(const std::string& path, const Entry& entry, Owner owner);
  Result<void> node(const std::string& path, const Entry& entry, Owner owner);
  Result<void> hard_link(const std::string& path, const std::string& existing);
  // After something else wrote below the root.
  void forget_places() { cached_ = false; }
  Result<void> finish();

 private:
  struct Place {
    int parent;
    std::string name;
  };
  Result<Place> place_of(const std::string& path);
  // Removes a file that has the name; a directory is an error.
  Result<void> make_room(const Place& place, const std::string& path);
  Result<void> set_metadata(int fd, const std::string& path, const Entry& entry, Owner owner,
                            const std::vector<Attribute>& attributes);
  Result<void> copy_data(int from, int to, const struct stat& status);

  int root_;
  std::vector<std::string>& warnings_;
  // Entries of a directory come in a row.
  bool cached_ = false;
  std::string parent_path_;
  sys::Fd parent_;
  bool clones_ = true;  // until the file system says no
  std::vector<std::pair<std::string, int64_t>> directory_times_;
};

}  // namespace wherry::build
