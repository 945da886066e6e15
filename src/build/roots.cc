#include "build/roots.h"

#include <sys/stat.h>

#include <cerrno>

namespace wherry::build {

Result<const SourceTree*> Roots::open(const std::string& key, const std::string& name,
                                      const Chain& chain) {
  if (auto found = mounted_.find(key); found != mounted_.end()) return &found->second.tree;
  store::MountPlan below = chain.mount_plan();
  TRY_CTX(ReadableRoot root, mount_readable(below, store_), "cannot read " + name);
  struct stat layer{};
  // The inode numbers of an image of metadata mean nothing beyond it: no digest is kept under them.
  if (below.metadata.empty()) {
    const std::string& any = below.empty() ? root.scratch->tree_path() : below.lower[0];
    if (stat(any.c_str(), &layer) != 0) return Error::from_errno(errno, "cannot read " + name);
  }
  auto [made, added] = mounted_.emplace(
      key,
      Mounted{std::move(root.scratch), SourceTree::root(std::move(root.root), name, layer.st_dev)});
  return &made->second.tree;
}

}  // namespace wherry::build
