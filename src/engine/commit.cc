// commit and diff: what a container has changed. The upper is copied (its blocks shared where the
// file system can) and stays the container's; what is slow comes after the copy, when the container
// runs again.
#include <fcntl.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "oci/image.h"
#include "runtime/container.h"

namespace wherry::engine {
namespace {

// Where every container has mounts of the engine's own (spec_builder.cc).
constexpr std::string_view kMountPlaces[] = {"dev",  "etc/hostname", "etc/hosts", "etc/resolv.conf",
                                             "proc", "sys"};
// Monitors know ThawIfGone since then.
constexpr int kThawingProtocol = 2;

// What containers made from the new image inherit: what this one was made with. As in Docker SHELL
// and ONBUILD, which no container has, stay behind.
Result<oci::ImageRunConfig> run_config(const ContainerConfig& container,
                                       const oci::ImageRunConfig& image,
                                       const std::vector<std::string>& changes) {
  oci::ImageRunConfig config;
  config.user = container.user;
  config.exposed_ports = container.exposed_ports;
  config.env = container.env;
  config.entrypoint = container.entrypoint;
  config.cmd = container.cmd;
  config.volumes = container.volumes;
  config.working_dir = container.working_dir;
  config.labels = container.labels;
  config.stop_signal = container.stop_signal;
  config.healthcheck = image.healthcheck;
  for (const std::string& change : changes) TRY_VOID(oci::apply_change(config, change));
  return config;
}

Result<void> check_reference(const std::optional<oci::ImageRef>& reference) {
  if (!reference || !reference->digest()) return {};
  return Error(ErrorKind::kInvalidArgument, "refusing to create a tag with a digest reference");
}

}  // namespace

// A running container that stands still while this lives. The monitor thaws it when our connection
// ends, however that happens.
class LocalEngine::Stillness {
 public:
  // With the container's lock held. One that does not run or is paused is left as it is.
  static Result<Stillness> begin(LocalEngine& engine, const ContainerRecord& record) {
    Stillness still(engine, record.id);
    TRY(RunView view, observe_run(engine.fds_.run_containers.get(), record.id, Sight::kHolder));
    if (!view.running()) return still;
    TRY(bool paused, engine.is_paused(record.id));
    if (paused) return still;
    TRY(still.client_, engine.connect(record.id));
    if (!still.client_) return still;
    if (still.client_->welcome().protocol < kThawingProtocol)
      return Error(ErrorKind::kUnsupported,
                   "the container's monitor is of an older release, which cannot pause it safely")
          .set_hint("commit with --pause=false, or restart the container");
    TRY_VOID(still.client_->call(monitor::ThawIfGone{true}));
    TRY_VOID(failpoint("engine.commit.freezing"));
    TRY_VOID(runtime::freeze_cgroup(engine.paths_.cgroup(record.id), true));
    TRY_VOID(failpoint("engine.commit.frozen"));
    return still;
  }

  Stillness(Stillness&& other) noexcept
      : engine_(other.engine_), id_(std::move(other.id_)), client_(std::move(other.client_)) {
    other.client_.reset();
  }
  Stillness& operator=(Stillness&&) = delete;
  ~Stillness() { [[maybe_unused]] Result<void> left_to_the_monitor = end(); }

  // Before the container's lock is let go: the monitor must not undo somebody's pause later.
  Result<void> end() {
    if (!client_) return {};
    std::optional<monitor::Client> client = std::move(client_);
    client_.reset();
    TRY_VOID(runtime::freeze_cgroup(engine_.paths_.cgroup(id_), false));
    Result<void> told = client->call(monitor::ThawIfGone{false});
    // The container has ended meanwhile.
    if (!told && told.error().kind() == ErrorKind::kUnavailable) return {};
    return told;
  }

 private:
  Stillness(LocalEngine& engine, std::string id) : engine_(engine), id_(std::move(id)) {}

  LocalEngine& engine_;
  std::string id_;
  std::optional<monitor::Client> client_;
};

Result<std::optional<sys::Fd>> LocalEngine::open_upper(const std::string& id) {
  Result<sys::Fd> upper =
      sys::open_at(fds_.containers.get(), id + "/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!upper && upper.error().errnum() == ENOENT) return std::optional<sys::Fd>();
  if (!upper) return std::move(upper.error());
  return std::optional(std::move(*upper));
}

Result<std::optional<store::LayerDraft>> LocalEngine::copy_layer(const ContainerRecord& record,
                                                                 const store::Image& image,
                                                                 bool pause) {
  TRY(std::optional<sys::Fd> upper, open_upper(record.id));
  if (!upper) return std::optional<store::LayerDraft>();
  TRY(store::Store * images, store());
  TRY(store::Stubs stubs, images->stubs(image, kMountPlaces));
  if (!pause) {
    TRY(store::LayerDraft draft, images->copy_upper(upper->get(), stubs));
    return std::optional(std::move(draft));
  }
  TRY(Stillness still, Stillness::begin(*this, record));
  TRY(store::LayerDraft draft, images->copy_upper(upper->get(), stubs));
  TRY_VOID(still.end());
  TRY_VOID(failpoint("engine.commit.thawed"));
  return std::optional(std::move(draft));
}

Result<LocalEngine::CommitDraft> LocalEngine::draft_commit(const CommitRequest& request,
                                                           const std::string& id,
                                                           store::Lease& lease) {
  TRY(store::Store * images, store());
  TRY(sys::FileLock lock, lock_container(id));
  TRY_VOID(settle_locked(id));
  TRY(ContainerRecord record, find_record(id));
  TRY(store::Image image, images->find(record.image_id));
  CommitDraft draft;
  TRY(draft.config, oci::parse_image_config(image.config_json));
  TRY(draft.config.config, run_config(record.config, draft.config.config, request.changes));
  draft.command = join(record.config.cmd, " ");
  // The image may be removed as soon as the container is.
  TRY_VOID(lease.hold(draft.config.diff_ids));
  TRY(auto copy, copy_layer(record, image, request.pause));
  if (copy) draft.copy.emplace(std::move(*copy));
  return draft;
}

Result<store::Image> LocalEngine::commit(const CommitRequest& request) {
  TraceScope trace("engine.commit");
  TRY_VOID(check_reference(request.reference));
  TRY(ContainerRecord found, find_record(request.container));
  const std::string context = "cannot commit container '" + found.name + "'";
  TRY_CTX(store::Store * images, image_store(), context);
  TRY_VOID_CTX(images->sweep(), context);
  TRY_VOID_CTX(failpoint("engine.commit.begin"), context);
  TRY_CTX(store::Lease lease, images->new_lease(), context);
  TRY_CTX(CommitDraft draft, draft_commit(request, found.id, lease), context);
  std::vector<store::LayerDraft> layers;
  if (draft.copy) {
    TRY_CTX(auto packed, images->pack_copy(std::move(*draft.copy)), context);
    if (packed) layers.push_back(std::move(*packed));
  }
  TRY_VOID_CTX(failpoint("engine.commit.packed"), context);
  oci::ImageConfig& config = draft.config;
  config.created = format_rfc3339(wall_clock_ns());
  config.author = request.author;
  config.history.push_back(
      {config.created, draft.command, request.message, request.author, layers.empty()});
  for (const store::LayerDraft& layer : layers) config.diff_ids.push_back(layer.facts()->diff_id);
  store::NewImage image;
  image.config_json = oci::to_json(config);
  if (request.reference) image.references.push_back(*request.reference);
  TRY_CTX(std::optional<store::Image> made, images->commit(std::move(layers), image), context);
  return std::move(*made);
}

Result<void> LocalEngine::changes(
    const std::string& name, const std::function<Result<void>(const tree::Difference&)>& sink) {
  TraceScope trace("engine.changes");
  TRY(ContainerRecord record, find_record(name));
  const std::string context = "cannot compare container '" + record.name + "' with its image";
  TRY_CTX(std::optional<sys::Fd> upper, open_upper(record.id), context);
  if (!upper) return {};
  TRY(store::Store * images, store());
  TRY_CTX(store::Image image, images->find(record.image_id), context);
  TRY_CTX(store::Stubs stubs, images->stubs(image, kMountPlaces), context);
  TRY_VOID_CTX(images->changes(image, upper->get(), stubs, sink), context);
  return {};
}

}  // namespace wherry::engine
