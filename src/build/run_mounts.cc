#include "build/run_mounts.h"

#include <fmt/format.h>

#include <algorithm>

#include "build/builder.h"
#include "build/caches.h"
#include "build/metadata.h"
#include "build/mount.h"

namespace wherry::build {
namespace {

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

std::string number(const std::optional<uint32_t>& value) {
  return value ? std::to_string(*value) : "";
}

// Secrets have a place of their own when none is given; with a variable alone they have none.
std::string target_of(const Mount& mount, const std::string& working_dir) {
  if (!mount.target.empty()) return working_directory(working_dir, mount.target);
  if (mount.type == MountType::kSecret && !mount.env)
    return "/run/secrets/" + mount.id.substr(mount.id.rfind('/') + 1);
  return "";
}

std::string cache_id(const Mount& mount, const std::string& target) {
  return mount.id.empty() ? target : mount.id;
}

}  // namespace

CopySpec RunMounts::bind_spec(const Planned& planned) {
  CopySpec spec;
  spec.sources.push_back({planned.tree, planned.mount.source.empty() ? "/" : planned.mount.source});
  spec.destination = "/mounted/";
  return spec;
}

Result<RunMounts> RunMounts::describe(const std::vector<Mount>& mounts,
                                      const std::string& working_dir, const FindTree& find_tree,
                                      const std::vector<Secret>& secrets,
                                      state::Database* database) {
  RunMounts described;
  for (const Mount& mount : mounts) {
    if (mount.type == MountType::kSsh)
      return Error(ErrorKind::kUnsupported, "ssh mounts are not supported")
          .set_hint("give a key with --mount=type=secret, or fetch before the build");
    Planned planned{mount, target_of(mount, working_dir), nullptr, {}, nullptr};
    if (planned.target == "/") return invalid("invalid mount target \"/\"");
    if (planned.target.empty() && mount.type != MountType::kSecret)
      return invalid(fmt::format("a {} mount has no target", mount_type_name(mount.type)));
    std::string content;
    bool seeded = mount.type == MountType::kCache && !mount.from.empty();
    if (mount.type == MountType::kBind || seeded) {
      TRY(planned.tree, find_tree(mount.from));
      TRY(planned.selection, select(bind_spec(planned), database));
      if (!seeded) content = planned.selection.key().str();
    }
    if (mount.type == MountType::kSecret) {
      auto found = std::ranges::find(secrets, mount.id, &Secret::id);
      if (found != secrets.end()) planned.secret = &*found;
      if (planned.secret == nullptr && mount.required)
        return Error(ErrorKind::kNotFound, fmt::format("secret {}: not found", mount.id))
            .set_hint(fmt::format("give it with --secret id={},src=FILE", mount.id));
    }
    // The contents of caches and secrets are not part of what the step is.
    described.definitions_.push_back(fmt::format(
        "type={},target={},ro={},content={},size={},mode={},uid={},gid={},env={},from={}",
        mount_type_name(mount.type), planned.target, mount.read_only ? 1 : 0, content,
        mount.size ? std::to_string(*mount.size) : "", number(mount.mode), number(mount.uid),
        number(mount.gid), mount.env.value_or(""), seeded ? mount.from : ""));
    described.planned_.push_back(std::move(planned));
  }
  return described;
}

Result<void> RunMounts::materialize_bind(const Planned& planned, store::Store& store,
                                         engine::StepRequest& request) {
  TRY(store::LayerDraft draft, store.new_layer());
  TRY([[maybe_unused]] CopyReport report,
      copy(planned.selection, bind_spec(planned), draft.tree(), draft.lock_fd()));
  std::string source = draft.tree_path() + "/mounted";
  const std::vector<SelectedSource>& chosen = planned.selection.sources;
  if (chosen.size() == 1 && !chosen[0].directory) source += "/" + chosen[0].name;
  request.mounts.push_back({planned.target,
                            "bind",
                            source,
                            {"rbind", "rprivate", planned.mount.read_only ? "ro" : "rw"}});
  scratch_.push_back(std::move(draft));
  return {};
}

Result<void> RunMounts::materialize_cache(const Planned& planned, const std::string& root,
                                          engine::StepRequest& request) {
  const Mount& mount = planned.mount;
  CacheRequest wanted{.id = cache_id(mount, planned.target), .sharing = mount.sharing};
  wanted.mode = mount.mode.value_or(wanted.mode);
  wanted.uid = mount.uid.value_or(wanted.uid);
  wanted.gid = mount.gid.value_or(wanted.gid);
  auto fill = [&](int directory, int lock) -> Result<void> {
    if (planned.tree == nullptr) return {};
    CopySpec spec = bind_spec(planned);
    spec.destination = "/";
    TRY([[maybe_unused]] CopyReport report, copy(planned.selection, spec, directory, lock));
    return {};
  };
  TRY(Cache cache, open_cache(root, wanted, fill));
  request.mounts.push_back(
      {planned.target, "bind", cache.path, {"rbind", "rprivate", mount.read_only ? "ro" : "rw"}});
  locks_.push_back(std::move(cache.lock));
  return {};
}

Result<void> RunMounts::materialize(store::Store& store, const std::string& root,
                                    engine::StepRequest& request) {
  for (const Planned& planned : planned_) {
    const Mount& mount = planned.mount;
    switch (mount.type) {
      case MountType::kBind:
        TRY_VOID_CTX(materialize_bind(planned, store, request),
                     "cannot mount '" + planned.target + "'");
        break;
      case MountType::kCache:
        TRY_VOID_CTX(materialize_cache(planned, root, request),
                     "cannot mount '" + planned.target + "'");
        break;
      case MountType::kTmpfs: {
        oci::Mount tmpfs{planned.target, "tmpfs", "tmpfs", {"nosuid", "nodev", "mode=1777"}};
        if (mount.size) tmpfs.options.push_back("size=" + std::to_string(*mount.size));
        request.mounts.push_back(std::move(tmpfs));
        break;
      }
      case MountType::kSecret:
        if (planned.secret == nullptr) break;
        if (mount.env) request.env.push_back(*mount.env + "=" + planned.secret->content);
        if (!planned.target.empty())
          request.files.push_back({planned.target, planned.secret->content,
                                   mount.mode.value_or(0400), mount.uid.value_or(0),
                                   mount.gid.value_or(0)});
        break;
      case MountType::kSsh:
        break;  // refused by describe()
    }
  }
  return {};
}

}  // namespace wherry::build
