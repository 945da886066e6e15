// `spec`: a configuration to begin with, for a bundle whose root is in "rootfs".
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "ocicli/command.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

using nlohmann::ordered_json;

constexpr std::array kSpecFlags{
    Flag{"bundle", 'b', FlagKind::kString, "Where config.json goes (default: here)"},
    Flag{"rootless", 0, FlagKind::kBool, "For a user without privileges"},
};

ordered_json mount(const char* destination, const char* type, const char* source,
                   std::initializer_list<const char*> options) {
  ordered_json entry;
  entry["destination"] = destination;
  entry["type"] = type;
  entry["source"] = source;
  entry["options"] = ordered_json::array();
  for (const char* option : options) entry["options"].push_back(option);
  return entry;
}

ordered_json process() {
  ordered_json part;
  part["terminal"] = true;
  part["user"] = {{"uid", 0}, {"gid", 0}};
  part["args"] = {"sh"};
  part["env"] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  part["cwd"] = "/";
  ordered_json names = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  part["capabilities"] = {{"bounding", names}, {"effective", names}, {"permitted", names}};
  part["rlimits"] = ordered_json::array(
      {ordered_json{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}});
  part["noNewPrivileges"] = true;
  return part;
}

ordered_json mounts(bool rootless) {
  ordered_json list = ordered_json::array();
  list.push_back(mount("/proc", "proc", "proc", {}));
  list.push_back(
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  // A user's namespace need not map the group of terminals.
  list.push_back(
      rootless ? mount("/dev/pts", "devpts", "devpts",
                       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"})
               : mount("/dev/pts", "devpts", "devpts",
                       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  list.push_back(
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  list.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  // Without a network namespace of its own a user may only bind the host's.
  list.push_back(rootless
                     ? mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"})
                     : mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  if (!rootless)
    list.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup",
                         {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  return list;
}

ordered_json linux_part(bool rootless) {
  ordered_json part;
  if (rootless) {
    auto mapping = [](uint32_t id) {
      return ordered_json::array({ordered_json{{"containerID", 0}, {"hostID", id}, {"size", 1}}});
    };
    part["uidMappings"] = mapping(geteuid());
    part["gidMappings"] = mapping(getegid());
  } else {
    part["resources"] = {
        {"devices", ordered_json::array({ordered_json{{"allow", false}, {"access", "rwm"}}})}};
  }
  part["namespaces"] = ordered_json::array();
  for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup", "user"}) {
    std::string_view name = type;
    if (name == "user" && !rootless) continue;
    if (name == "network" && rootless) continue;
    part["namespaces"].push_back({{"type", type}});
  }
  part["maskedPaths"] = {"/proc/acpi",        "/proc/asound",        "/proc/kcore",
                         "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
                         "/proc/timer_stats", "/proc/sched_debug",   "/sys/firmware",
                         "/proc/scsi"};
  part["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                           "/proc/sysrq-trigger"};
  return part;
}

ordered_json default_spec(bool rootless) {
  ordered_json document;
  document["ociVersion"] = "1.2.0";
  document["process"] = process();
  document["root"] = {{"path", "rootfs"}, {"readonly", true}};
  document["hostname"] = "wherry";
  document["mounts"] = mounts(rootless);
  document["linux"] = linux_part(rootless);
  return document;
}

Result<int> run_spec(Call& call) {
  std::string bundle = call.flags.text("bundle");
  if (bundle.empty()) bundle.push_back('.');
  TRY_CTX(sys::Fd dir, sys::open_file(bundle, O_RDONLY | O_DIRECTORY), "cannot use the bundle");
  if (sys::exists_at(dir.get(), "config.json"))
    return Error(ErrorKind::kConflict,
                 "file config.json exists in '" + bundle + "'. Remove it first");
  std::string text = default_spec(call.flags.boolean("rootless")).dump(2) + "\n";
  TRY_VOID(sys::write_new_file(dir.get(), "config.json", text, 0666));
  return 0;
}

}  // namespace

const CommandSpec kSpec = {
    .name = "spec",
    .usage = "[OPTIONS]",
    .summary = "Write a config.json to begin with",
    .table = {kSpecFlags},
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run_spec,
};

}  // namespace wherry::ocicli
