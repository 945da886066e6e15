#include "build/tree_mount.h"

#include <sys/stat.h>

#include <cerrno>

#include "runtime/root.h"
#include "sys/file.h"

namespace wherry::build {
namespace {

Result<sys::Fd> overlay(const std::vector<std::string>& lower, const store::LayerDraft& draft) {
  // Volatile: the end of the mount would otherwise sync the whole file system. What becomes a layer
  // is synced when it is committed.
  TRY(runtime::PreparedRoot root, runtime::PreparedRoot::prepare({.lower = lower,
                                                                  .upper = draft.tree_path(),
                                                                  .work = draft.work_path(),
                                                                  .volatile_upper = true,
                                                                  .directory = {}}));
  return root.detached();
}

}  // namespace

Result<void> inherit_root(const std::vector<std::string>& lower, const store::LayerDraft& draft) {
  if (lower.empty()) return {};
  struct stat root{};
  if (stat(lower[0].c_str(), &root) != 0)
    return Error::from_errno(errno, "cannot read the root directory '" + lower[0] + "'");
  if (fchmod(draft.tree(), root.st_mode & 07777) != 0 ||
      fchown(draft.tree(), root.st_uid, root.st_gid) != 0)
    return Error::from_errno(errno, "cannot set the owner of a layer's root");
  return {};
}

Result<sys::Fd> mount_writable(const std::vector<std::string>& lower,
                               const store::LayerDraft& draft) {
  TRY_VOID(inherit_root(lower, draft));
  if (lower.empty()) return sys::open_at(draft.tree(), ".", O_RDONLY | O_DIRECTORY);
  return overlay(lower, draft);
}

Result<ReadableRoot> mount_readable(const std::vector<std::string>& lower, store::Store& store) {
  ReadableRoot readable;
  if (lower.size() == 1) {
    TRY(readable.root, sys::open_file(lower[0], O_RDONLY | O_DIRECTORY));
    return readable;
  }
  TRY(store::LayerDraft scratch, store.new_layer());
  TRY(readable.root, mount_writable(lower, scratch));
  readable.scratch.emplace(std::move(scratch));
  return readable;
}

}  // namespace wherry::build
