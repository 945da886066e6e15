// WORKDIR: the directory is made when it is missing, as the stage's user.
#include "build/destination.h"
#include "build/resolve.h"
#include "build/stage_builder.h"
#include "build/tree_mount.h"
#include "runtime/users.h"

namespace wherry::build {
bool StageBuilder::makes_directory(const Workdir& workdir) {
  Result<std::string> path = expand_word(workdir.path, scope_.expander(state_.config.config.env));
  // An error is told when the instruction is applied.
  return path && working_directory(state_.config.config.working_dir, *path) != "/";
}

Result<StageBuilder::Prepared> StageBuilder::prepare_workdir(const Instruction& instruction,
                                                             const Workdir&) {
  TRY([[maybe_unused]] bool applied, apply_metadata(instruction, metadata_));
  std::string path = state_.config.config.working_dir;
  std::string user = state_.config.config.user;
  KeyParts parts("WORKDIR", instruction.original);
  parts.add("path", path).add("user", user);
  auto make = [this, path, user](store::LayerDraft& draft) -> Result<std::optional<Layers::Hit>> {
    TRY(sys::Fd root, mount_writable(state_.chain.mount_plan(), draft));
    Owner owner;
    if (!user.empty()) {
      TRY(runtime::ResolvedUser known, runtime::lookup_user(root.get(), user));
      owner = {known.uid, known.gid};
    }
    TRY_CTX(Resolved where, resolve_links(root.get(), path),
            "cannot make directory '" + escape_name(path) + "'");
    TRY_VOID(make_directories(root.get(), where.path, owner));
    return std::optional<Layers::Hit>();
  };
  return Prepared{std::move(parts), make};
}

}  // namespace wherry::build
