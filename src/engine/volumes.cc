#include "engine/volumes.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace wherry::engine {
namespace {

constexpr size_t kMaxSpec = 8192;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// Lexically: no empty, "." or ".." parts; ".." never leaves the root.
std::string clean_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(part);
    }
  }
  std::string clean;
  for (std::string_view part : kept) clean += "/" + std::string(part);
  return clean.empty() ? "/" : clean;
}

bool valid_volume_name(std::string_view name) {
  auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return name.size() >= 2 && name.size() <= 255 && alnum(name[0]) &&
         std::ranges::all_of(name,
                             [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

Result<void> set_destination(MountPoint& point, std::string_view destination,
                             std::string_view spec) {
  if (!destination.starts_with('/'))
    return invalid("invalid volume specification: '" + std::string(spec) +
                   "': invalid mount path: '" + std::string(destination) +
                   "': mount path must be absolute");
  point.destination = clean_path(destination);
  if (point.destination == "/")
    return invalid("invalid volume specification: '" + std::string(spec) +
                   "': invalid specification: destination can't be '/'");
  return {};
}

Result<void> set_source(MountPoint& point, std::string_view source) {
  if (source.starts_with('/')) {
    point.type = "bind";
    point.source = clean_path(source);
    return {};
  }
  if (!valid_volume_name(source))
    return Error(
        ErrorKind::kInvalidArgument,
        "\"" + std::string(source) +
            "\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path");
  point.type = "volume";
  point.name = source;
  return {};
}

bool is_propagation(std::string_view word) {
  return word == "shared" || word == "rshared" || word == "slave" || word == "rslave" ||
         word == "private" || word == "rprivate";
}

bool means_nothing_here(std::string_view word) {
  return word == "z" || word == "Z" || word == "cached" || word == "delegated" ||
         word == "consistent";
}

Result<void> set_mode(MountPoint& point, std::string_view mode) {
  int access = 0, propagation = 0, copy = 0, labels = 0, consistency = 0;
  for (std::string_view word : split(mode, ',')) {
    if (word == "ro" || word == "rw") {
      point.rw = word == "rw";
      ++access;
    } else if (word == "nocopy" && point.type == "volume") {
      point.copy = false;
      ++copy;
    } else if (is_propagation(word) && point.type == "bind") {
      point.propagation = word;
      ++propagation;
    } else if (means_nothing_here(word)) {
      ++(word.size() == 1 ? labels : consistency);
    } else {
      return invalid("invalid mode: " + std::string(mode));
    }
  }
  if (access > 1 || propagation > 1 || copy > 1 || labels > 1 || consistency > 1)
    return invalid("invalid mode: " + std::string(mode));
  point.mode = mode;
  return {};
}

void name_volume(MountPoint& point, const std::string& root,
                 const std::function<std::string()>& new_name) {
  if (point.type != "volume") return;
  if (point.name.empty()) {
    point.name = new_name();
    point.anonymous = true;
  }
  point.source = volume_directory(root, point.name);
}

}  // namespace

Result<MountPoint> parse_bind(std::string_view text) {
  if (text.size() > kMaxSpec || text.find('\0') != std::string_view::npos)
    return invalid("invalid volume specification: '" + std::string(text.substr(0, 100)) + "'");
  std::string quoted = "'" + std::string(text) + "'";
  std::vector<std::string_view> parts = split(text, ':');
  if (text.empty() || parts.size() > 3) return invalid("invalid volume specification: " + quoted);
  for (std::string_view part : parts)
    if (part.empty())
      return invalid("invalid spec: " + std::string(text) + ": empty section between colons");
  MountPoint point;
  if (parts.size() == 1) {
    point.type = "volume";
    TRY_VOID(set_destination(point, parts[0], text));
    return point;
  }
  TRY_VOID(set_source(point, parts[0]));
  TRY_VOID(set_destination(point, parts[1], text));
  if (parts.size() == 3) TRY_VOID(set_mode(point, parts[2]));
  if (point.type == "bind" && point.propagation.empty()) point.propagation = "rprivate";
  return point;
}

Result<std::vector<MountPoint>> plan_mount_points(const std::vector<std::string>& binds,
                                                  const std::vector<std::string>& volumes,
                                                  const std::string& root,
                                                  const std::function<std::string()>& new_name) {
  std::vector<MountPoint> points;
  std::set<std::string> taken;
  for (const std::string& bind : binds) {
    TRY(MountPoint point, parse_bind(bind));
    if (!taken.insert(point.destination).second)
      return invalid("Duplicate mount point: " + point.destination);
    name_volume(point, root, new_name);
    points.push_back(std::move(point));
  }
  for (const std::string& volume : volumes) {
    TRY(MountPoint point, parse_bind(volume));
    if (point.type != "volume" || !point.name.empty())
      return invalid("invalid volume specification: '" + volume + "'");
    if (!taken.insert(point.destination).second) continue;
    name_volume(point, root, new_name);
    points.push_back(std::move(point));
  }
  return points;
}

std::vector<oci::Mount> volume_mounts(std::vector<MountPoint> points) {
  auto depth = [](const MountPoint& point) { return std::ranges::count(point.destination, '/'); };
  std::ranges::stable_sort(points, {}, depth);
  std::vector<oci::Mount> mounts;
  for (const MountPoint& point : points) {
    oci::Mount mount{point.destination, "bind", point.source, {"rbind"}};
    mount.options.push_back(point.propagation.empty() ? "rprivate" : point.propagation);
    mount.options.push_back(point.rw ? "rw" : "rro");
    if (point.type == "volume" && point.copy) mount.options.push_back("x-wherry.copyup");
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::string volume_directory(const std::string& root, const std::string& name) {
  return root + "/volumes/" + name + "/_data";
}

}  // namespace wherry::engine
