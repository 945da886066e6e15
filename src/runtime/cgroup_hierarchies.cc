#include "runtime/cgroup_hierarchies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::runtime {
namespace {

constexpr size_t kMountinfoLimit = 16 << 20;
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxName = 255;
constexpr std::string_view kKindOfMount = " - cgroup";

std::string known_mounts;  // of keep_cgroup_mounts()

// mountinfo writes space, tab, line end and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      if (const auto code = parse_octal(text.substr(i + 1, 3)); code && *code < 256) {
        result.push_back(static_cast<char>(*code));
        i += 3;
        continue;
      }
    }
    result.push_back(text[i]);
  }
  return result;
}

// Superblock options that are not controllers.
bool is_controller(std::string_view option) {
  static constexpr std::string_view kOthers[] = {
      "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "none"};
  return !option.empty() && option.find("release_agent=") != 0 &&
         std::find(std::begin(kOthers), std::end(kOthers), option) == std::end(kOthers);
}

bool has_option(std::string_view options, std::string_view wanted) {
  const auto parts = split(options, ',');
  return std::find(parts.begin(), parts.end(), wanted) != parts.end();
}

// The lines of /proc/self/mountinfo that matter here.
Result<std::string> cgroup_mounts() {
  TRY_CTX(const std::string text, sys::read_file("/proc/self/mountinfo", kMountinfoLimit),
          "cannot find the cgroup hierarchies");
  std::string lines;
  for (std::string_view line : split(text, '\n'))
    if (line.find(kKindOfMount) != std::string_view::npos) lines.append(line).append("\n");
  return lines;
}

}  // namespace

Hierarchies parse_hierarchies(std::string_view mountinfo) {
  // id parent major:minor root mountpoint options [optional...] - type source superoptions
  Hierarchies result;
  std::set<std::string_view> seen;
  for (std::string_view line : split(mountinfo, '\n')) {
    const size_t separator = line.find(kKindOfMount);
    if (separator == std::string_view::npos) continue;
    const auto left = split(line.substr(0, separator), ' ');
    const auto right = split(line.substr(separator + 3), ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    if (has_option(left[5], "ro") || has_option(right[2], "ro")) continue;
    if (!seen.insert(left[2]).second) continue;
    if (right[0] == "cgroup2") {
      if (result.v2_mount.empty()) result.v2_mount = unescape(left[4]);
    } else if (right[0] == "cgroup") {
      Hierarchies::V1 hierarchy{.mount = unescape(left[4]), .controllers = {}};
      for (std::string_view option : split(right[2], ',')) {
        if (is_controller(option)) hierarchy.controllers.emplace_back(option);
      }
      result.v1.push_back(std::move(hierarchy));
    }
  }
  return result;
}

Result<void> keep_cgroup_mounts() {
  TRY(known_mounts, cgroup_mounts());
  return {};
}

sys::Fd usual_v2_directory(const std::string& cgroups_path) {
  for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    Result<sys::Fd> directory = sys::open_file(mount + cgroups_path, O_RDONLY | O_DIRECTORY);
    struct statfs status{};
    if (directory && fstatfs(directory->get(), &status) == 0 &&
        status.f_type == CGROUP2_SUPER_MAGIC)
      return std::move(*directory);
  }
  return {};
}

Result<Hierarchies> find_hierarchies() {
  std::string lines = known_mounts;
  if (lines.empty()) {
    TRY(lines, cgroup_mounts());
  }
  Hierarchies result = parse_hierarchies(lines);
  if (result.v1.empty() && result.v2_mount.empty()) {
    return Error(ErrorKind::kUnsupported, "no writable cgroup hierarchy is mounted")
        .set_hint("mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
  }
  return result;
}

Result<std::vector<std::string>> split_cgroups_path(const std::string& cgroups_path) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("'{}' cannot be a cgroup path: {}", cgroups_path, why));
  };
  if (!cgroups_path.starts_with('/')) return refuse("it must be absolute");
  std::vector<std::string> parts;
  for (std::string_view part : split(std::string_view(cgroups_path).substr(1), '/')) {
    if (part.empty()) return refuse("it has an empty part");
    if (part == "." || part == "..") return refuse("it has '.' or '..' among its parts");
    if (part.size() > kMaxName) return refuse("a part is longer than 255 bytes");
    if (part.find('\n') != std::string_view::npos || part.find('\0') != std::string_view::npos) {
      return refuse("it contains a line end or a zero byte");
    }
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxDepth) return refuse("it has more than 32 parts");
  return parts;
}

}  // namespace wherry::runtime
