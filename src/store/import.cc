// Store::import_tar: one tar through a draft into an image of one layer.
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "store/store_state.h"

namespace wherry::store {
namespace {

// Go's name of this machine's architecture, as images have it.
std::string architecture() {
  utsname name{};
  uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine == "i686" || machine == "i386") return "386";
  if (machine.starts_with("arm")) return "arm";
  return machine;
}

Result<std::string> describe(const ImportOptions& options, const Digest& diff_id) {
  oci::ImageConfig config;
  config.created = format_rfc3339(wall_clock_ns());
  config.architecture = architecture();
  config.config = options.config;
  for (const std::string& change : options.changes)
    TRY_VOID(oci::apply_change(config.config, change));
  config.diff_ids.push_back(diff_id);
  config.history.push_back({config.created, options.created_by, options.message, "", false});
  return oci::to_json(config);
}

// Bad changes are found before gigabytes are read.
Result<void> check_options(const ImportOptions& options) {
  if (options.reference && options.reference->digest())
    return Error(ErrorKind::kInvalidArgument,
                 "cannot import to digest reference '" + options.reference->familiar() + "'");
  oci::ImageRunConfig scratch = options.config;
  for (const std::string& change : options.changes) TRY_VOID(oci::apply_change(scratch, change));
  return {};
}

Result<LayerFacts> unpack_into(LayerDraft& draft, int tar_fd, uint64_t& dropped_xattrs) {
  TRY(archive::Unpacked layer, unpack_draft(draft, tar_fd));
  dropped_xattrs = layer.dropped_xattrs;
  return facts_of(layer);
}

}  // namespace

Result<Image> Store::import_tar(int tar_fd, const ImportOptions& options) {
  TraceScope trace("store.import");
  const std::string context =
      options.source.empty() ? "cannot import" : "cannot import '" + options.source + "'";
  TRY_VOID_CTX(check_options(options), context);
  TRY_VOID_CTX(failpoint("store.import.begin"), context);
  TRY_CTX(LayerDraft draft, new_archive_layer(), context);
  uint64_t dropped_xattrs = 0;
  TRY_CTX(LayerFacts facts, unpack_into(draft, tar_fd, dropped_xattrs), context);
  NewImage image;
  TRY_CTX(image.config_json, describe(options, facts.diff_id), context);
  if (options.reference) image.references.push_back(*options.reference);
  TRY_VOID_CTX(draft.finish(std::move(facts)), context);
  TRY_VOID_CTX(failpoint("store.layer.unpacked"), context);
  std::vector<LayerDraft> layers;
  layers.push_back(std::move(draft));
  TRY_CTX(std::optional<Image> made, commit(std::move(layers), image), context);
  made->dropped_xattrs = dropped_xattrs;
  return std::move(*made);
}

}  // namespace wherry::store
