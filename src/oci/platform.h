// Platforms: operating system, architecture and variant, as users write and indexes list them.
// Source: OCI image-spec 1.1, image-index.md; Go's GOOS and GOARCH names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::oci {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  std::string os_version;  // as an index says; nothing is chosen by it
  bool operator==(const Platform&) const = default;
};

// "linux/arm/v7", "linux/amd64"; one word alone is an operating system when it is a known one, else
// an architecture of linux. The result is normalised. kInvalidArgument names what is wrong.
Result<Platform> parse_platform(std::string_view text);
// One name for each: x86_64 -> amd64, aarch64 -> arm64, armhf -> arm/v7; the variants that go
// without saying (amd64/v1, arm64/v8) are dropped, arm alone is arm/v7.
Platform normalised(Platform platform);
// "os/arch[/variant]".
std::string to_text(const Platform& platform);
// This machine's, by uname(2).
Platform host_platform();

// How well `wanted` runs `offered` (both normalised): 0 is the same, larger is an older variant of
// the same architecture, nullopt not at all.
std::optional<int> platform_distance(const Platform& wanted, const Platform& offered);

}  // namespace wherry::oci
