// info: counts and facts of this machine, and what is worth a warning on it.
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/host_facts.h"
#include "engine/local_engine.h"

namespace wherry::engine {
namespace {

std::string operating_system() {
  std::string release = sys::read_file("/etc/os-release", 65536).value_or("");
  for (std::string_view line : split(release, '\n')) {
    if (!line.starts_with("PRETTY_NAME=")) continue;
    std::string_view value = trim(line.substr(12));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return "Linux";
}

std::vector<std::string> cgroup_warnings(bool v2) {
  std::vector<std::string> warnings;
  std::string controllers =
      v2 ? sys::read_file("/sys/fs/cgroup/cgroup.controllers", 4096).value_or("")
         : sys::read_file("/proc/self/cgroup", 65536).value_or("");
  for (const char* name : {"memory", "cpu", "pids"})
    if (!controllers.contains(name))
      warnings.push_back("No " + std::string(name) + " limit support");
  return warnings;
}

}  // namespace

Result<Info> LocalEngine::info() {
  Info info;
  ContainerFilter every;
  every.all = true;
  TRY(std::vector<ContainerRecord> records, list(every));
  for (const ContainerRecord& record : records) {
    ++info.containers;
    if (record.state.status == "running") {
      ++info.running;
    } else if (record.state.status == "paused") {
      ++info.paused;
    } else {
      ++info.stopped;
    }
  }
  TRY(std::vector<store::Image> all, images());
  info.images = static_cast<int>(all.size());
  info.root = paths_.root;
  info.run_root = paths_.run_root;
  struct utsname names{};
  if (uname(&names) != 0) return Error::from_errno(errno, "cannot read the kernel's name");
  info.kernel = names.release;
  info.architecture = names.machine;
  info.hostname = names.nodename;
  info.operating_system = operating_system();
  bool v2 = host_has_cgroup_v2();
  info.cgroup_version = v2 ? "2" : "1";
  TRY(store::Store * images, store());
  TRY(store::Rung rung, images->rung());
  info.store_driver = store::rung_name(rung);
  info.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo memory{};
  if (sysinfo(&memory) == 0) info.memory = uint64_t{memory.totalram} * memory.mem_unit;
  info.security_options = {"name=seccomp,profile=builtin"};
  if (v2) info.security_options.emplace_back("name=cgroupns");
  info.warnings = cgroup_warnings(v2);
  if (options_.default_publish_address == "0.0.0.0")
    info.warnings.emplace_back(
        "published ports are open on every address of this host: translated packets do not meet "
        "the input "
        "chain of its firewall");
  return info;
}

}  // namespace wherry::engine
