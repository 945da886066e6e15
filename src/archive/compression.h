// How the tar of a layer travels: the three media types of the image specification.
#pragma once

#include <optional>
#include <string_view>

namespace wherry::archive {

enum class Compression { kNone, kGzip, kZstd };

// "none", "gzip", "zstd": in reports and arguments of wherry-unpack.
constexpr std::string_view compression_name(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
    case Compression::kNone:
      break;
  }
  return "none";
}

constexpr std::optional<Compression> compression_from_name(std::string_view name) {
  for (Compression one : {Compression::kNone, Compression::kGzip, Compression::kZstd})
    if (name == compression_name(one)) return one;
  return std::nullopt;
}

}  // namespace wherry::archive
