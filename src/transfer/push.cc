// push(): what the registry has not is mounted or sent (fetched again first, if it is not kept),
// then the configuration, last the manifest.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/failpoint.h"
#include "base/trace.h"
#include "oci/media_type.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "transfer/attempts.h"
#include "transfer/image_transfer.h"
#include "transfer/refetch.h"

namespace wherry::transfer {
namespace {

using Phase = LayerProgress::Phase;

// Repositories whose layers one token is asked for; more would make it refuse or grow large.
constexpr size_t kMaxMountSources = 8;

struct OutgoingLayer {
  Digest diff_id;
  oci::Descriptor blob;
  std::vector<std::string> sources;  // repositories of this registry, without its domain
};

class Push {
 public:
  Push(store::Store& store, const store::Image& image, const oci::ImageRef& reference,
       const PushOptions& options)
      : store_(store), image_(image), reference_(reference), options_(options) {}

  // Before any registry is asked: the manifest and every blob that it names.
  Result<void> prepare() {
    TraceScope trace("transfer.push.prepare");
    TRY(config_, oci::parse_image_config(image_.config_json));
    for (const Digest& diff_id : config_.diff_ids) tell(diff_id, Phase::kPreparing);
    TRY(std::string manifest, store_.distributable_manifest(image_, packing()));
    TRY_VOID(plan(std::move(manifest)));
    return failpoint("transfer.push.prepared");
  }

  Result<Pushed> to(const Endpoint& endpoint, bool& plain_http) {
    TRY(Remote remote, Remote::open(endpoint, reference_.path(), "pull,push", mount_sources()));
    Result<Pushed> pushed = send(remote);
    if (!pushed) plain_http = remote.met_plain_http();
    return pushed;
  }

 private:
  // What travels when this manifest is pushed.
  Result<void> plan(std::string manifest_json) {
    TRY(manifest_, oci::parse_manifest(manifest_json));
    manifest_json_ = std::move(manifest_json);
    if (manifest_->layers.size() != config_.diff_ids.size())
      return Error(ErrorKind::kCorrupt, "its manifest does not belong to its configuration");
    layers_.clear();
    std::string domain = reference_.domain() + "/";
    for (size_t i = 0; i < config_.diff_ids.size(); ++i) {
      OutgoingLayer layer{config_.diff_ids[i], manifest_->layers[i], {}};
      bool twice = std::ranges::any_of(layers_, [&](const OutgoingLayer& other) {
        return other.blob.digest == layer.blob.digest;
      });
      if (twice || oci::is_foreign_layer(layer.blob.media_type)) continue;
      TRY(std::vector<std::string> places, blob_places(store_, image_, layer.blob.digest));
      for (const std::string& place : places)
        if (place.starts_with(domain) && place != reference_.repository() &&
            std::ranges::find(layer.sources, place.substr(domain.size())) == layer.sources.end())
          layer.sources.push_back(place.substr(domain.size()));
      layers_.push_back(std::move(layer));
    }
    return {};
  }

  Result<Pushed> send(Remote& remote) {
    TRY(std::vector<const OutgoingLayer*> missing, check_layers(remote));
    Result<void> ready = fetch_lost(missing);
    if (!ready && !options_.recompress)
      return std::move(ready.error())
          .set_hint("'wherry push --recompress' sends it in another form, under a new digest");
    bool recompressed = !ready;
    if (recompressed) {
      TRY(std::string own, store_.own_manifest(image_, packing()));
      TRY_VOID(plan(std::move(own)));
      TRY(missing, check_layers(remote));
    }
    TRY_VOID(failpoint("transfer.push.checked"));
    TRY_VOID(upload(remote, missing));
    TRY_VOID(failpoint("transfer.push.layers"));
    TRY_VOID(push_config(remote));
    TRY_VOID(failpoint("transfer.push.config"));
    Digest digest = sys::sha256(manifest_json_);
    TRY(Digest accepted, remote.put_manifest(reference_.tag().value_or("latest"),
                                             manifest_->media_type, manifest_json_));
    if (accepted != digest)
      return Error(ErrorKind::kCorrupt, "the registry took the manifest as '" + accepted.str() +
                                            "', it is '" + digest.str() + "'");
    TRY_VOID(failpoint("transfer.push.manifest"));
    for (const OutgoingLayer& layer : layers_)
      TRY_VOID(store_.note_blob_source(layer.blob.digest, reference_.repository()));
    TRY_VOID(store_.note_image_source(image_.id, {reference_.repository(), digest}));
    return Pushed{std::move(digest), manifest_json_.size(), recompressed};
  }

  // Those of the missing that are not kept here.
  Result<void> fetch_lost(const std::vector<const OutgoingLayer*>& missing) {
    if (image_.made_here) return {};
    TRY(std::vector<WantedLayer> lost, lost_layers(store_, image_));
    std::erase_if(lost, [&](const WantedLayer& layer) {
      return std::ranges::none_of(missing, [&](const OutgoingLayer* other) {
        return other->blob.digest == layer.blob.digest;
      });
    });
    return refetch(store_, image_, lost, options_.endpoints_of, [&](const LayerProgress& progress) {
      auto layer = std::ranges::find_if(
          lost, [&](const WantedLayer& one) { return one.blob.digest.short_hex() == progress.id; });
      if (layer != lost.end() && progress.phase == Phase::kDownloading)
        tell(layer->diff_id, Phase::kDownloading, progress.bytes, {}, progress.total);
    });
  }

  std::function<void(const Digest&)> packing() const {
    return [this](const Digest& diff_id) { tell(diff_id, Phase::kPacking); };
  }

  std::vector<std::string> mount_sources() const {
    std::vector<std::string> all;
    for (const OutgoingLayer& layer : layers_)
      for (const std::string& source : layer.sources)
        if (all.size() < kMaxMountSources && std::ranges::find(all, source) == all.end())
          all.push_back(source);
    return all;
  }

  Result<std::vector<const OutgoingLayer*>> check_layers(Remote& remote) {
    TraceScope trace("transfer.push.check");
    std::vector<const OutgoingLayer*> missing;
    for (const OutgoingLayer& layer : layers_) {
      TRY(bool there, remote.has_blob(layer.blob.digest));
      if (there) {
        tell(layer.diff_id, Phase::kExists);
        continue;
      }
      TRY(bool mounted, mount(remote, layer));
      if (mounted) continue;
      tell(layer.diff_id, Phase::kWaiting);
      missing.push_back(&layer);
    }
    return missing;
  }

  Result<bool> mount(Remote& remote, const OutgoingLayer& layer) {
    for (size_t i = 0; i < std::min(layer.sources.size(), kMaxMountSources); ++i) {
      const std::string& source = layer.sources[i];
      TRY(bool mounted, remote.mount_blob(layer.blob.digest, source));
      if (!mounted) continue;
      tell(layer.diff_id, Phase::kMounted, 0, source);
      return true;
    }
    return false;
  }

  Result<void> upload(Remote& remote, const std::vector<const OutgoingLayer*>& missing) {
    TraceScope trace("transfer.push.upload");
    struct Running {
      const OutgoingLayer* layer;
      sys::Fd blob;
    };
    std::map<int, Running> running;
    auto most = static_cast<size_t>(std::max(1, options_.parallel));
    for (size_t next = 0; next < missing.size() || !running.empty();) {
      if (next < missing.size() && running.size() < most) {
        const OutgoingLayer& layer = *missing[next++];
        TRY_CTX(sys::Fd blob, store_.open_blob(layer.blob.digest), in_layer(layer));
        auto size = static_cast<uint64_t>(layer.blob.size);
        TRY(int id, remote.start_upload({layer.blob.digest, size, blob.get()}));
        running.emplace(id, Running{&layer, std::move(blob)});
        tell(layer.diff_id, Phase::kPushing, 0, {}, size);
        continue;
      }
      TRY(Remote::Event event, remote.next());
      auto found = running.find(event.id);
      if (found == running.end()) continue;
      const OutgoingLayer& layer = *found->second.layer;
      auto size = static_cast<uint64_t>(layer.blob.size);
      if (event.kind == Remote::Event::Kind::kFailed) return std::move(*event.error);
      if (event.kind == Remote::Event::Kind::kProgress) {
        tell(layer.diff_id, Phase::kPushing, event.bytes, {}, size);
        continue;
      }
      tell(layer.diff_id, Phase::kPushed, size, {}, size);
      running.erase(found);
      TRY_VOID(failpoint("transfer.push.layer"));
    }
    return {};
  }

  Result<void> push_config(Remote& remote) {
    const oci::Descriptor& config = manifest_->config;
    std::string context = "configuration";
    TRY_CTX(bool there, remote.has_blob(config.digest), context);
    if (there) return {};
    sys::Fd memory(memfd_create("config", MFD_CLOEXEC));
    if (!memory) return Error::from_errno(errno, context);
    TRY_VOID_CTX(sys::write_all(memory.get(), image_.config_json), context);
    TRY_CTX(int id, remote.start_upload({config.digest, image_.config_json.size(), memory.get()}),
            context);
    for (;;) {
      TRY_CTX(Remote::Event event, remote.next(), context);
      if (event.id != id || event.kind == Remote::Event::Kind::kProgress) continue;
      if (event.kind == Remote::Event::Kind::kDone) return {};
      return std::move(*event.error).wrap(context);
    }
  }

  static std::string in_layer(const OutgoingLayer& layer) {
    return "layer '" + layer.blob.digest.str() + "'";
  }

  // Docker names layers of a push by their tar, not by what is sent.
  void tell(const Digest& diff_id, Phase phase, uint64_t bytes = 0, std::string detail = {},
            uint64_t total = 0) const {
    if (!options_.progress) return;
    options_.progress({std::string(diff_id.short_hex()), phase, bytes, total, std::move(detail)});
  }

  store::Store& store_;
  const store::Image& image_;
  const oci::ImageRef& reference_;
  const PushOptions& options_;
  oci::ImageConfig config_;
  std::string manifest_json_;
  std::optional<oci::Manifest> manifest_;
  std::vector<OutgoingLayer> layers_;
};

}  // namespace

Result<Pushed> push(store::Store& store, const store::Image& image, const oci::ImageRef& reference,
                    const std::vector<Endpoint>& endpoints, const PushOptions& options) {
  TraceScope trace("transfer.push");
  Push one(store, image, reference, options);
  TRY_VOID_CTX(one.prepare(), "cannot push '" + reference.familiar() + "'");
  Result<Pushed> pushed = first_endpoint(
      endpoints,
      [&](const Endpoint& endpoint, bool& plain_http) { return one.to(endpoint, plain_http); });
  if (!pushed) return explain_push(std::move(pushed.error()), reference);
  return pushed;
}

}  // namespace wherry::transfer
