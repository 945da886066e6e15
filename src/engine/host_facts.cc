#include "engine/host_facts.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

constexpr int kMaxDeviceDepth = 8;
constexpr size_t kMaxDevices = 4096;

// What we may hand on: our own bounding set (a container engine inside a container has less than
// all).
Result<std::vector<std::string>> bounding_set() {
  TRY(std::string status, sys::read_file("/proc/self/status", 65536));
  size_t place = status.find("\nCapBnd:\t");
  if (place == std::string::npos)
    return Error(ErrorKind::kInternal,
                 "cannot find the capability bounding set in '/proc/self/status'");
  uint64_t mask = std::strtoull(status.c_str() + place + 9, nullptr, 16);
  std::vector<std::string> names;
  for (size_t number = 0; number < capability_names().size(); ++number)
    if (mask >> number & 1) names.push_back(capability_names()[number]);
  return names;
}

// Pseudo terminals, shared memory and the like are the container's own.
bool is_private_name(const std::string& name) {
  return name == "pts" || name == "shm" || name == "fd" || name == "mqueue" || name == "console" ||
         name == "hugepages" || name == ".lxc" || name == ".lxd-mounts" || name == ".udev";
}

void add_devices(int directory, const std::string& path, int depth,
                 std::vector<oci::Device>& devices) {
  Result<std::vector<std::string>> names = sys::list_dir(directory);
  if (!names || depth > kMaxDeviceDepth) return;
  for (const std::string& name : *names) {
    struct stat info{};
    if (is_private_name(name) || devices.size() >= kMaxDevices ||
        fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    std::string full = fmt::format("{}/{}", path, name);
    if (S_ISDIR(info.st_mode)) {
      if (Result<sys::Fd> below =
              sys::open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
        add_devices(below->get(), full, depth + 1, devices);
    } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
      devices.push_back({full, S_ISCHR(info.st_mode) ? 'c' : 'b', major(info.st_rdev),
                         minor(info.st_rdev), info.st_mode & 07777, info.st_uid, info.st_gid});
    }
  }
}

std::vector<int> throttled_cpus() {
  std::vector<int> cpus;
  for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu) {
    std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/thermal_throttle";
    // Virtual machines have none at all.
    if (access(path.c_str(), F_OK) == 0) cpus.push_back(cpu);
    if (cpu == 0 && cpus.empty()) break;
  }
  return cpus;
}

}  // namespace

bool host_has_cgroup_v2() {
  struct statfs info{};
  return statfs("/sys/fs/cgroup", &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

HostFacts basic_host_facts() {
  HostFacts facts;
  facts.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  struct utsname names{};
  if (uname(&names) == 0) facts.hostname = names.nodename;
  return facts;
}

Result<HostFacts> gather_host_facts(const HostConfig& config) {
  HostFacts facts = basic_host_facts();
  facts.cgroup_v2 = host_has_cgroup_v2();
  if (!config.privileged) facts.throttled_cpus = throttled_cpus();
  if (needs_all_capabilities(config)) {
    TRY(facts.all_capabilities, bounding_set());
  }
  if (config.privileged) {
    TRY(sys::Fd dev, sys::open_file("/dev", O_RDONLY | O_DIRECTORY));
    add_devices(dev.get(), "/dev", 0, facts.devices);
  }
  return facts;
}

}  // namespace wherry::engine
