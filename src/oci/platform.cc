#include "oci/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace wherry::oci {
namespace {

constexpr std::string_view kSystems[] = {"aix",     "android", "darwin",  "dragonfly", "freebsd",
                                         "illumos", "ios",     "js",      "linux",     "netbsd",
                                         "openbsd", "plan9",   "solaris", "wasip1",    "windows"};

struct Alias {
  std::string_view name, architecture, variant;
};
constexpr Alias kAliases[] = {
    {"x86_64", "amd64", ""}, {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},  {"armel", "arm", "v6"},  {"armv5l", "arm", "v5"},
    {"armv6l", "arm", "v6"}, {"armv7l", "arm", "v7"}, {"i386", "386", ""},
    {"i486", "386", ""},     {"i586", "386", ""},     {"i686", "386", ""},
};

bool is_part(std::string_view part) {
  return !part.empty() && part.size() <= 64 && std::ranges::all_of(part, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

bool is_system(std::string_view word) {
  return std::ranges::find(kSystems, word) != std::end(kSystems);
}

// "v7" -> 7; the variant that goes without saying when there is none; -1: not of that form.
int level(const Platform& platform) {
  if (platform.variant.empty()) {
    if (platform.architecture == "arm") return 7;
    return platform.architecture == "arm64" ? 8 : 1;
  }
  if (platform.variant.front() != 'v') return -1;
  auto number = parse_u64(std::string_view(platform.variant).substr(1));
  return number && *number < 100 ? static_cast<int>(*number) : -1;
}

}  // namespace

Platform normalised(Platform platform) {
  platform.os = to_lower(platform.os);
  if (platform.os == "macos") platform.os = "darwin";
  platform.architecture = to_lower(platform.architecture);
  platform.variant = to_lower(platform.variant);
  const auto* alias = std::ranges::find(kAliases, platform.architecture, &Alias::name);
  if (alias != std::end(kAliases)) {
    platform.architecture = alias->architecture;
    if (platform.variant.empty()) platform.variant = alias->variant;
  }
  std::string& variant = platform.variant;
  if (!variant.empty() && variant.front() >= '0' && variant.front() <= '9')
    variant.insert(variant.begin(), 'v');
  if (platform.architecture == "amd64" && variant == "v1") variant.clear();
  if (platform.architecture == "arm64" && variant == "v8") variant.clear();
  if (platform.architecture == "arm" && variant.empty()) variant = "v7";
  return platform;
}

Result<Platform> parse_platform(std::string_view text) {
  std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() > 3 || !std::ranges::all_of(parts, is_part))
    return Error(ErrorKind::kInvalidArgument,
                 "invalid platform '" + std::string(text.substr(0, 200)) + "'")
        .set_hint("write os/arch or os/arch/variant: linux/amd64, linux/arm/v7");
  Platform host = host_platform();
  if (parts.size() == 1 && is_system(to_lower(parts[0])))
    return normalised({std::string(parts[0]), host.architecture, host.variant, {}});
  if (parts.size() == 1) return normalised({"linux", std::string(parts[0]), {}, {}});
  return normalised({std::string(parts[0]),
                     std::string(parts[1]),
                     parts.size() == 3 ? std::string(parts[2]) : std::string(),
                     {}});
}

std::string to_text(const Platform& platform) {
  std::string text = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) text += "/" + platform.variant;
  return text;
}

Platform host_platform() {
  utsname names{};
  uname(&names);
  return normalised({"linux", names.machine, {}, {}});
}

std::optional<int> platform_distance(const Platform& wanted, const Platform& offered) {
  if (wanted.os != offered.os || wanted.architecture != offered.architecture) return std::nullopt;
  if (wanted.variant == offered.variant) return 0;
  int have = level(wanted);
  int need = level(offered);
  if (have < 0 || need < 0 || need > have) return std::nullopt;
  return have - need;
}

}  // namespace wherry::oci
