// Which image a name or an id means, and for which platform.
#include <algorithm>

#include "base/text.h"
#include "oci/image.h"
#include "oci/platform.h"
#include "state/images.h"
#include "store/store_state.h"

namespace wherry::store {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

Result<oci::Platform> platform_of(const state::ImageRow& row) {
  TRY_CTX(oci::ImageConfig config, oci::parse_image_config(row.config),
          "cannot read the configuration of image '" + row.id + "'");
  return oci::normalised({config.os, config.architecture, config.variant, {}});
}

// By what looks like an id: 64 hex digits, or a unique beginning of them.
Result<std::vector<state::ImageRow>> find_by_id(state::Database& database, std::string_view text) {
  std::string_view hex = text;
  if (hex.starts_with(kDigestPrefix)) hex.remove_prefix(kDigestPrefix.size());
  if (!is_hex(hex) || hex.size() > 64) return std::vector<state::ImageRow>();
  TRY(auto rows, state::images_by_prefix(database, std::string(kDigestPrefix) + std::string(hex)));
  if (rows.size() > 1)
    return Error(ErrorKind::kInvalidArgument,
                 "multiple IDs found with provided prefix: " + std::string(text));
  return rows;
}

Result<std::vector<state::ImageRow>> find_by_digest(state::Database& database,
                                                    const oci::ImageRef& reference) {
  TRY(auto known,
      state::images_by_source(database, {reference.repository(), reference.digest()->str()}));
  if (!known.empty()) return known;
  TRY(std::vector<state::ImageRow> rows, state::list_images(database));
  for (state::ImageRow& row : rows) {
    if (row.manifest_digest != reference.digest()->str()) continue;
    TRY(std::vector<std::string> tags, state::tags_of(database, row.id));
    std::string prefix = reference.repository() + ":";
    if (std::ranges::any_of(tags, [&](const std::string& tag) { return tag.starts_with(prefix); }))
      known.push_back(std::move(row));
  }
  return known;
}

Result<std::vector<state::ImageRow>> find_by_reference(state::Database& database,
                                                       std::string_view text) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(text);
  if (!reference) return std::vector<state::ImageRow>();
  if (reference->digest()) return find_by_digest(database, *reference);
  return state::tagged_images(database, tag_key(*reference));
}

// Of one name's images that which runs best on the platform, or on this machine; there is one at
// least.
Result<state::ImageRow> choose(std::vector<state::ImageRow> rows, std::string_view name,
                               std::string_view platform) {
  if (rows.size() == 1 && platform.empty()) return std::move(rows.front());
  oci::Platform wanted = oci::host_platform();
  if (!platform.empty()) {
    TRY(wanted, oci::parse_platform(platform));
  }
  state::ImageRow* best = platform.empty() ? &rows.front() : nullptr;
  std::optional<int> least;
  std::string offers;
  for (state::ImageRow& row : rows) {
    TRY(oci::Platform offered, platform_of(row));
    offers += (offers.empty() ? "" : ", ") + oci::to_text(offered);
    std::optional<int> distance = oci::platform_distance(wanted, offered);
    if (!distance || (least && *least <= *distance)) continue;
    least = distance;
    best = &row;
  }
  if (best == nullptr)
    return Error(ErrorKind::kNotFound, "no such image: " + std::string(name) + " for '" +
                                           oci::to_text(wanted) + "': it is here for " + offers);
  return std::move(*best);
}

}  // namespace

Result<FoundImage> find_image(state::Database& database, std::string_view name_or_id,
                              std::string_view platform) {
  std::vector<state::ImageRow> rows;
  if (!name_or_id.starts_with(kDigestPrefix)) {
    TRY(rows, find_by_reference(database, name_or_id));
  }
  bool by_id = rows.empty();
  if (by_id) {
    TRY(rows, find_by_id(database, name_or_id));
  }
  if (rows.empty()) return Error(ErrorKind::kNotFound, "no such image: " + std::string(name_or_id));
  TRY(state::ImageRow row, choose(std::move(rows), name_or_id, platform));
  return FoundImage{std::move(row), by_id};
}

Result<void> set_tag(state::Database& database, const std::string& key,
                     const state::ImageRow& image) {
  TRY(std::vector<state::ImageRow> others, state::tagged_images(database, key));
  if (!others.empty()) {
    TRY(oci::Platform platform, platform_of(image));
    for (const state::ImageRow& other : others) {
      TRY(oci::Platform theirs, platform_of(other));
      if (theirs == platform) TRY_VOID(state::delete_tag(database, key, other.id));
    }
  }
  return state::put_tag(database, key, image.id);
}

}  // namespace wherry::store
