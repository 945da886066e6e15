#include "build/tree_mount.h"

#include "runtime/root.h"
#include "sys/overlay.h"

namespace wherry::build {
namespace {

Result<sys::Fd> overlay(const store::MountPlan& below, const store::LayerDraft& draft) {
  // Volatile: the end of the mount would otherwise sync the whole file system. What becomes a layer
  // is synced when it is committed.
  TRY(runtime::PreparedRoot root, runtime::PreparedRoot::prepare({.lower = below.lower,
                                                                  .metadata = below.metadata,
                                                                  .objects = below.objects,
                                                                  .upper = draft.tree_path(),
                                                                  .work = draft.work_path(),
                                                                  .volatile_upper = true,
                                                                  .directory = {}}));
  return root.detached();
}

}  // namespace

Result<void> inherit_root(const store::MountPlan& below, const store::LayerDraft& draft) {
  if (below.empty()) return {};
  return sys::inherit_lower_root(below.lower, below.metadata, draft.tree());
}

Result<sys::Fd> mount_writable(const store::MountPlan& below, const store::LayerDraft& draft) {
  TRY_VOID(inherit_root(below, draft));
  if (below.empty()) return sys::open_at(draft.tree(), ".", O_RDONLY | O_DIRECTORY);
  return overlay(below, draft);
}

Result<ReadableRoot> mount_readable(const store::MountPlan& below, store::Store& store) {
  ReadableRoot readable;
  if (below.lower.size() == 1 && below.metadata.empty()) {
    TRY(readable.root, sys::open_file(below.lower[0], O_RDONLY | O_DIRECTORY));
    return readable;
  }
  TRY(store::LayerDraft scratch, store.new_layer());
  TRY(readable.root, mount_writable(below, scratch));
  readable.scratch.emplace(std::move(scratch));
  return readable;
}

}  // namespace wherry::build
