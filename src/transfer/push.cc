// push(): what the registry has not is mounted or sent, then the configuration, last the manifest.
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
    TRY(oci::ImageConfig config, oci::parse_image_config(image_.config_json));
    for (const Digest& diff_id : config.diff_ids) tell(diff_id, Phase::kPreparing);
    TRY(manifest_json_, store_.distributable_manifest(image_, [&](const Digest& diff_id) {
      tell(diff_id, Phase::kPacking);
    }));
    TRY(manifest_, oci::parse_manifest(manifest_json_));
    if (manifest_->layers.size() != config.diff_ids.size())
      return Error(ErrorKind::kCorrupt, "its manifest does not belong to its configuration");
    std::string domain = reference_.domain() + "/";
    for (size_t i = 0; i < config.diff_ids.size(); ++i) {
      OutgoingLayer layer{config.diff_ids[i], manifest_->layers[i], {}};
      bool twice = std::ranges::any_of(layers_, [&](const OutgoingLayer& other) {
        return other.blob.digest == layer.blob.digest;
      });
      if (twice || oci::is_foreign_layer(layer.blob.media_type)) continue;
      TRY(std::vector<std::string> places, store_.blob_sources(layer.blob.digest));
      // Where the image came from whole, each of its blobs is, kept here or not.
      if (!image_.made_here)
        for (const std::string& known : image_.repo_digests)
          places.push_back(known.substr(0, known.find('@')));
      for (const std::string& place : places)
        if (place.starts_with(domain) && place != reference_.repository() &&
            std::ranges::find(layer.sources, place.substr(domain.size())) == layer.sources.end())
          layer.sources.push_back(place.substr(domain.size()));
      layers_.push_back(std::move(layer));
    }
    return failpoint("transfer.push.prepared");
  }

  Result<Pushed> to(const Endpoint& endpoint, bool& plain_http) {
    TRY(Remote remote, Remote::open(endpoint, reference_.path(), "pull,push", mount_sources()));
    Result<Pushed> pushed = send(remote);
    if (!pushed) plain_http = remote.met_plain_http();
    return pushed;
  }

 private:
  Result<Pushed> send(Remote& remote) {
    TRY(std::vector<const OutgoingLayer*> missing, check_layers(remote));
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
    return Pushed{std::move(digest), manifest_json_.size()};
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
        Result<sys::Fd> kept = store_.open_blob(layer.blob.digest);
        if (!kept) return not_kept(std::move(kept.error()), layer);
        sys::Fd blob = std::move(*kept);
        auto size = static_cast<uint64_t>(layer.blob.size);
        TRY_CTX(int id, remote.start_upload({layer.blob.digest, size, blob.get()}),
                in_layer(layer));
        running.emplace(id, Running{&layer, std::move(blob)});
        tell(layer.diff_id, Phase::kPushing, 0, {}, size);
        continue;
      }
      TRY(Remote::Event event, remote.next());
      auto found = running.find(event.id);
      if (found == running.end()) continue;
      const OutgoingLayer& layer = *found->second.layer;
      auto size = static_cast<uint64_t>(layer.blob.size);
      if (event.kind == Remote::Event::Kind::kFailed)
        return std::move(*event.error).wrap(in_layer(layer));
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
    std::string context = "configuration '" + config.digest.str() + "'";
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

  // A layer that was here before its image was pulled: its files are, the compressed form is not.
  static Error not_kept(Error error, const OutgoingLayer& layer) {
    bool missing = error.kind() == ErrorKind::kNotFound;
    Error told = std::move(error).wrap(in_layer(layer));
    if (missing)
      told.set_hint(
          "its compressed form is not kept here: push to the registry that it came from, "
          "or remove the images that share the layer and pull again");
    return told;
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
