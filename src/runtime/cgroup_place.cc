#include "runtime/cgroup_place.h"

#include "base/text.h"
#include "runtime/mount_plan.h"

namespace wherry::runtime {
namespace {

constexpr std::string_view kSuffix = ".slice";

Error invalid(const std::string& path, const std::string& why) {
  return Error(ErrorKind::kInvalidArgument, "'" + path + "' cannot be a cgroup path: " + why);
}

Result<CgroupPlace> systemd_place(const std::string& path, const std::string& id) {
  CgroupPlace place;
  std::string slice = "system.slice";
  std::string prefix = "wherry-oci";
  std::string name = id;
  if (!path.empty()) {
    const auto parts = split(path, ':');
    if (parts.size() != 3) return invalid(path, "systemd's form is slice:prefix:name");
    if (!parts[0].empty()) slice = parts[0];
    prefix = parts[1];
    name = parts[2];
  }
  if (name.empty() || name.find('/') != std::string::npos || prefix.find('/') != std::string::npos)
    return invalid(path, "the name of the scope is empty or has a '/'");
  if (name.ends_with(kSuffix)) return invalid(path, "a container is a scope and not a slice");
  place.unit = prefix.empty() ? name + ".scope" : prefix + "-" + name + ".scope";
  TRY(const std::string parent, slice_path(slice));
  place.path = parent + "/" + place.unit;
  return place;
}

}  // namespace

std::string CgroupPlace::slice() const {
  const size_t end = path.rfind('/');
  if (unit.empty() || end == std::string::npos || end == 0) return "-.slice";
  return path.substr(path.rfind('/', end - 1) + 1, end - path.rfind('/', end - 1) - 1);
}

Result<std::string> slice_path(const std::string& slice) {
  if (!slice.ends_with(kSuffix) || slice.find('/') != std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "'" + slice + "' is not the name of a slice");
  const std::string name = slice.substr(0, slice.size() - kSuffix.size());
  if (name == "-") return std::string();
  std::string path;
  std::string prefix;
  for (std::string_view part : split(name, '-')) {
    if (part.empty())
      return Error(ErrorKind::kInvalidArgument, "'" + slice + "' is not the name of a slice");
    prefix += (prefix.empty() ? "" : "-") + std::string(part);
    path += "/" + prefix + std::string(kSuffix);
  }
  return path;
}

Result<CgroupPlace> place_of_cgroup(const std::string& cgroups_path, const std::string& id,
                                    CgroupDriver driver) {
  if (driver == CgroupDriver::kDisabled) return CgroupPlace{};
  if (driver == CgroupDriver::kSystemd) return systemd_place(cgroups_path, id);
  if (cgroups_path.empty()) return CgroupPlace{"/wherry-oci/" + id, ""};
  const std::optional<std::string> clean = clean_path("/" + cgroups_path);
  if (!clean || *clean == "/") return invalid(cgroups_path, "it is the root");
  return CgroupPlace{*clean, ""};
}

}  // namespace wherry::runtime
