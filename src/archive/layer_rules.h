// What layer tars say by names alone, and which extended attributes travel. Both ways use it.
//
// Source: image-spec 1.1, layer.md, "Whiteouts"; docs/formats/layer-tar.md.
#pragma once

#include <string_view>

namespace wherry::archive {

inline constexpr std::string_view kWhiteout = ".wh.";
inline constexpr std::string_view kOpaque = ".wh..wh..opq";
// AUFS's own files: not part of the tree.
inline constexpr std::string_view kWhiteoutMeta = ".wh..wh.";

// Attributes that a layer may bring. trusted.* and user.overlay.* steer overlay itself: with them a
// layer could redirect or hide what it does not own. Access lists and labels are of one machine.
inline bool is_layer_xattr(std::string_view name) {
  if (name.starts_with("user.")) return !name.starts_with("user.overlay.");
  return name == "security.capability";
}

}  // namespace wherry::archive
