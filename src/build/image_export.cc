#include "build/image_export.h"

#include <algorithm>
#include <ranges>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "state/build_steps.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

constexpr const char* kEpoch = "SOURCE_DATE_EPOCH";

// What makes no layer has the time of the next layer above it, else the image's.
void fill_times(oci::ImageConfig& config, const std::string& created) {
  const std::string* next = &created;
  for (oci::History& entry : std::views::reverse(config.history)) {
    if (entry.created.empty()) entry.created = *next;
    next = &entry.created;
  }
}

// A step that changed nothing is none of the image's layers, but its history knows it.
void mark_empty_layers(oci::ImageConfig& config, const Chain& chain) {
  auto layer = chain.layers().begin();
  for (oci::History& entry : config.history) {
    if (entry.empty_layer || layer == chain.layers().end()) continue;
    entry.empty_layer = (*layer++)->empty;
  }
}

}  // namespace

Result<std::optional<int64_t>> fixed_time(const BuildState& build) {
  auto found = build.build_args.find(kEpoch);
  if (found == build.build_args.end()) return std::optional<int64_t>();
  auto value = parse_i64(found->second);
  constexpr int64_t kNanos = 1'000'000'000;
  if (!value || *value < 0 || *value > INT64_MAX / kNanos)
    return Error(ErrorKind::kInvalidArgument,
                 "invalid SOURCE_DATE_EPOCH '" + found->second + "': it must be whole seconds");
  return std::optional(*value * kNanos);
}

Result<Digest> export_image(BuildState& build, StageResult stage) {
  build.progress.begin(++build.parts, "exporting to image");
  oci::ImageConfig& config = stage.config;
  for (const auto& [name, value] : build.options.labels) config.config.labels[name] = value;
  TRY(config.diff_ids, stage.chain.diff_ids());
  mark_empty_layers(config, stage.chain);
  TRY(std::optional<int64_t> fixed, fixed_time(build));
  config.created.clear();
  if (fixed) {
    config.created = format_rfc3339(*fixed);
    for (oci::History& entry : config.history)
      if (entry.created.empty()) entry.created = config.created;
  }
  KeyParts parts("IMAGE", "image");
  parts.add("configuration", oci::to_json(config));
  Digest key = parts.key(sys::sha256(""));
  int64_t created_ns = fixed.value_or(wall_clock_ns());
  if (!build.options.no_cache && !fixed) {
    TRY(auto known, build.layers.find(key));
    if (known) created_ns = known->created_ns;
  }
  config.created = format_rfc3339(created_ns);
  fill_times(config, config.created);
  store::NewImage image{
      .manifest_json = {}, .config_json = oci::to_json(config), .references = build.options.tags};
  Digest id = sys::sha256(image.config_json);
  build.progress.detail("writing image " + id.str());
  for (const oci::ImageRef& tag : build.options.tags)
    build.progress.detail("naming to " + tag.repository() + ":" + tag.tag().value_or("latest"));
  build.layers.record_image({.key = key.str(),
                             .layer = {},
                             .parts = parts.json(sys::sha256("")),
                             .cost_ms = 0,
                             .created_ns = created_ns,
                             .used_ns = wall_clock_ns()});
  TRY_VOID(failpoint("build.image.before"));
  TRY([[maybe_unused]] auto made, build.layers.commit(image));
  TRY_VOID(failpoint("build.image.after"));
  build.progress.end(Progress::Outcome::kRan, "");
  return id;
}

void keep_finished_steps(BuildState& build) {
  [[maybe_unused]] auto kept = build.layers.commit({});
}

}  // namespace wherry::build
