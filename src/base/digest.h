// Digest: an OCI content digest, "sha256:" and 64 lower-case hex digits. A value type; only valid
// ones exist. Computing one is sys/sha256's job. Source: OCI image spec 1.1, descriptor.md,
// "Digests".
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry {

class Digest {
 public:
  // "sha256:<64 hex>"; anything else is kInvalidArgument. Other algorithms are kUnsupported.
  static Result<Digest> parse(std::string_view text);
  // From 64 hex digits without the algorithm.
  static Result<Digest> from_hex(std::string_view hex);

  std::string str() const { return "sha256:" + hex_; }
  const std::string& hex() const { return hex_; }
  // The first 12 hex digits, as users see them.
  std::string_view short_hex() const { return std::string_view(hex_).substr(0, 12); }

  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace wherry
