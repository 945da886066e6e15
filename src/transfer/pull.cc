// pull(): resolve, see what is here, fetch the rest, commit once.
#include <algorithm>

#include "base/failpoint.h"
#include "base/trace.h"
#include "oci/platform.h"
#include "transfer/attempts.h"
#include "transfer/image_transfer.h"
#include "transfer/layer_fetch.h"
#include "transfer/resolve.h"

namespace wherry::transfer {
namespace {

// How often a pull begins anew because a layer that it had seen was removed meanwhile.
constexpr int kMaxRounds = 5;

class Pull {
 public:
  Pull(store::Store& store, const oci::ImageRef& reference, const PullOptions& options)
      : store_(store),
        reference_(reference),
        options_(options),
        platform_(options.platform.empty() ? oci::to_text(oci::host_platform())
                                           : options.platform) {}

  Result<Pulled> from(const Endpoint& endpoint, bool& plain_http) {
    TRY(Remote remote, Remote::open(endpoint, reference_.path(), "pull"));
    Result<Resolved> resolved = resolve_here(remote);
    if (!resolved) {
      plain_http = remote.met_plain_http();
      return explain_pull(std::move(resolved.error()), reference_);
    }
    for (int round = 1;; ++round) {
      Result<Pulled> pulled = fetch(remote, *resolved);
      if (pulled) return pulled;
      if (!lost_layer_ || round == kMaxRounds)
        return fail(std::move(pulled), "cannot pull '" + reference_.familiar() + "'");
    }
  }

 private:
  Result<Resolved> resolve_here(Remote& remote) {
    TraceScope trace("transfer.resolve");
    std::string name =
        reference_.digest() ? reference_.digest()->str() : reference_.tag().value_or("latest");
    TRY(Resolved resolved, resolve(remote, name, platform_));
    if (reference_.digest() && resolved.digest != *reference_.digest())
      return Error(ErrorKind::kCorrupt, "the registry sent '" + resolved.digest.str() + "'");
    return resolved;
  }

  Result<Pulled> fetch(Remote& remote, const Resolved& resolved) {
    lost_layer_ = false;
    const oci::Descriptor& config_blob = resolved.manifest.config;
    TRY(std::optional<store::Image> known, find(config_blob.digest));
    std::string config_json;
    if (known) {
      config_json = known->config_json;
    } else {
      TRY(config_json, fetch_blob(remote, config_blob));
    }
    TRY(oci::ImageConfig config, read_config(config_json, resolved.manifest));
    TRY_VOID(check_platform(config));
    TRY(std::vector<WantedLayer> missing, missing_layers(config, resolved.manifest));
    bool named = known && missing.empty() && is_named(*known, resolved);
    if (named && is_known_by(*known, resolved.digest))
      return Pulled{std::move(*known), resolved.digest, false};
    TRY(std::vector<store::LayerDraft> drafts,
        fetch_layers(remote, store_, missing, options_.parallel, options_.progress));
    TRY_VOID(failpoint("transfer.pull.layers"));
    Result<store::Image> image = commit(resolved, std::move(config_json), std::move(drafts));
    if (image) return Pulled{std::move(*image), resolved.digest, !named};
    // Somebody may have removed a layer that was here when we looked.
    for (const Digest& diff_id : config.diff_ids) {
      bool fetched = std::ranges::any_of(
          missing, [&](const WantedLayer& layer) { return layer.diff_id == diff_id; });
      if (fetched) continue;
      TRY(bool here, store_.has_layer(diff_id));
      lost_layer_ = lost_layer_ || !here;
    }
    return std::move(image.error());
  }

  Result<std::optional<store::Image>> find(const Digest& id) {
    Result<store::Image> image = store_.find(id.str());
    if (image) return std::optional<store::Image>(std::move(*image));
    if (image.error().kind() == ErrorKind::kNotFound) return std::optional<store::Image>();
    return std::move(image.error());
  }

  // A manifest without an index says nothing about its platform: the configuration does.
  Result<void> check_platform(const oci::ImageConfig& config) const {
    if (options_.platform.empty()) return {};
    TRY(oci::Platform wanted, oci::parse_platform(options_.platform));
    oci::Platform offered = oci::normalised({config.os, config.architecture, config.variant, {}});
    if (oci::platform_distance(wanted, offered)) return {};
    return Error(ErrorKind::kNotFound, "it was found but is for '" + oci::to_text(offered) +
                                           "', not for the specified platform '" +
                                           oci::to_text(wanted) + "'");
  }

  Result<std::vector<WantedLayer>> missing_layers(const oci::ImageConfig& config,
                                                  const oci::Manifest& manifest) {
    std::vector<WantedLayer> missing;
    for (size_t i = 0; i < config.diff_ids.size(); ++i) {
      const Digest& diff_id = config.diff_ids[i];
      const oci::Descriptor& blob = manifest.layers[i];
      bool asked = std::ranges::any_of(
          missing, [&](const WantedLayer& layer) { return layer.diff_id == diff_id; });
      if (asked) continue;
      TRY(bool here, store_.has_layer(diff_id));
      tell(blob, here ? LayerProgress::Phase::kExists : LayerProgress::Phase::kWaiting);
      if (!here) missing.push_back({diff_id, blob});
    }
    return missing;
  }

  std::string source() const { return reference_.repository(); }

  bool is_known_by(const store::Image& image, const Digest& digest) const {
    std::string known_by = source() + "@" + digest.str();
    return std::ranges::find(image.repo_digests, known_by) != image.repo_digests.end();
  }

  // Whether the name that was asked for stands for this image already.
  bool is_named(const store::Image& image, const Resolved& resolved) const {
    if (reference_.digest()) return is_known_by(image, resolved.digest);
    std::string tag = source() + ":" + reference_.tag().value_or("latest");
    return std::ranges::find(image.tags, tag) != image.tags.end();
  }

  Result<store::Image> commit(const Resolved& resolved, std::string config_json,
                              std::vector<store::LayerDraft> drafts) {
    store::NewImage image;
    image.manifest_json = resolved.manifest_json;
    image.config_json = std::move(config_json);
    if (!reference_.digest()) image.references.push_back(reference_);
    image.sources.push_back({source(), resolved.digest});
    TRY(std::optional<store::Image> committed, store_.commit(std::move(drafts), image));
    TRY_VOID(failpoint("transfer.pull.recorded"));
    for (const oci::Descriptor& layer : resolved.manifest.layers)
      TRY_VOID(store_.note_blob_source(layer.digest, source()));
    return std::move(*committed);
  }

  void tell(const oci::Descriptor& blob, LayerProgress::Phase phase) const {
    if (!options_.progress) return;
    options_.progress(
        {std::string(blob.digest.short_hex()), phase, 0, static_cast<uint64_t>(blob.size), {}});
  }

  store::Store& store_;
  const oci::ImageRef& reference_;
  const PullOptions& options_;
  std::string platform_;
  bool lost_layer_ = false;
};

}  // namespace

Result<Pulled> pull(store::Store& store, const oci::ImageRef& reference,
                    const std::vector<Endpoint>& endpoints, const PullOptions& options) {
  TraceScope trace("transfer.pull");
  Pull one(store, reference, options);
  return first_endpoint(endpoints, [&](const Endpoint& endpoint, bool& plain_http) {
    return one.from(endpoint, plain_http);
  });
}

Result<std::vector<std::string>> list_tags(const oci::ImageRef& reference,
                                           const std::vector<Endpoint>& endpoints) {
  using Tags = Result<std::vector<std::string>>;
  return first_endpoint(endpoints, [&](const Endpoint& endpoint, bool& plain_http) -> Tags {
    TRY(Remote remote, Remote::open(endpoint, reference.path(), "pull"));
    Tags tags = remote.list_tags();
    if (tags) return tags;
    plain_http = remote.met_plain_http();
    return explain_pull(std::move(tags.error()), reference);
  });
}

Result<std::string> check_login(const std::vector<Endpoint>& endpoints) {
  return first_endpoint(endpoints,
                        [](const Endpoint& endpoint, bool& plain_http) -> Result<std::string> {
                          TRY(Remote remote, Remote::open(endpoint, "", ""));
                          Result<std::string> token = remote.check_login();
                          if (!token) plain_http = remote.met_plain_http();
                          return token;
                        });
}

}  // namespace wherry::transfer
