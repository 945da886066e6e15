// WORKDIR: the directory is made when it is missing, as the stage's user.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "build/stage_builder.h"
#include "build/tree_mount.h"
#include "runtime/users.h"

namespace wherry::build {
namespace {

// Each prefix is resolved from the root again: a link of the image may lead anywhere inside it.
Result<void> make_directories(int root, const std::string& path, uint32_t uid, uint32_t gid) {
  std::string prefix;
  TRY(sys::Fd parent, sys::open_in_root(root, "/", O_PATH | O_DIRECTORY));
  for (std::string_view part : split(std::string_view(path).substr(1), '/')) {
    prefix.append("/").append(part);
    Result<sys::Fd> next = sys::open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    if (!next && next.error().errnum() == ENOENT) {
      std::string name(part);
      if (mkdirat(parent.get(), name.c_str(), 0755) != 0 ||
          fchownat(parent.get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return Error::from_errno(errno, "cannot make the directory '" + prefix + "'");
      next = sys::open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    }
    if (!next) return fail(std::move(next), "cannot make the directory '" + path + "'");
    parent = std::move(*next);
  }
  return {};
}

}  // namespace

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
    TRY(sys::Fd root, mount_writable(state_.chain.lower(), draft));
    runtime::ResolvedUser owner;
    if (!user.empty()) {
      TRY(owner, runtime::lookup_user(root.get(), user));
    }
    TRY_VOID(make_directories(root.get(), path, owner.uid, owner.gid));
    return std::optional<Layers::Hit>();
  };
  return Prepared{std::move(parts), make};
}

}  // namespace wherry::build
