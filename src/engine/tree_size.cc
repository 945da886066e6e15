#include "engine/tree_size.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace wherry::engine {

uint64_t tree_size(const std::string& path) {
  namespace fs = std::filesystem;
  uint64_t size = 0;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(path, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    struct stat info{};
    if (lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      size += static_cast<uint64_t>(info.st_size) / std::max<uint64_t>(1, info.st_nlink);
  }
  return size;
}

}  // namespace wherry::engine
