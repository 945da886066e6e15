#include <filesystem>

#include "runtime/cgroup.h"

namespace wherry::runtime {

std::vector<Cgroup::Directory> Cgroup::directories() const {
  std::vector<Directory> list;
  auto add = [&](const std::string& directory) {
    // "/sys/fs/cgroup/cpu" + "/wherry/id" -> "cpu"
    std::string mount = directory.substr(0, directory.size() - path_.size());
    std::string name = std::filesystem::path(mount).filename();
    list.push_back({v1_.empty() ? std::string() : name, directory});
  };
  for (const Group& group : v1_) add(group.directory);
  if (!v2_.directory.empty()) add(v2_.directory);
  return list;
}

}  // namespace wherry::runtime
