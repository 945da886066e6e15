#include "build/roots.h"

#include <sys/stat.h>

#include <cerrno>

namespace wherry::build {

Result<const SourceTree*> Roots::open(const std::string& key, const std::string& name,
                                      const Chain& chain) {
  if (auto found = mounted_.find(key); found != mounted_.end()) return &found->second.tree;
  std::vector<std::string> lower = chain.lower();
  TRY_CTX(ReadableRoot root, mount_readable(lower, store_), "cannot read " + name);
  struct stat layer{};
  const std::string& any = lower.empty() ? root.scratch->tree_path() : lower[0];
  if (stat(any.c_str(), &layer) != 0) return Error::from_errno(errno, "cannot read " + name);
  auto [made, added] = mounted_.emplace(
      key,
      Mounted{std::move(root.scratch), SourceTree::root(std::move(root.root), name, layer.st_dev)});
  return &made->second.tree;
}

}  // namespace wherry::build
