#include "runtime/create_plan.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "base/weaken.h"
#include "runtime/user_namespace.h"

namespace wherry::runtime {
namespace {

struct NamespaceName {
  std::string_view name;
  int type;
};
constexpr NamespaceName kNamespaces[] = {
    {"mount", CLONE_NEWNS},  {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP},
    {"user", CLONE_NEWUSER}, {"time", CLONE_NEWTIME},
};

// The only settings of "kernel." that belong to an IPC namespace (ipc_namespaces(7)).
constexpr std::string_view kIpcSettings[] = {"msgmax", "msgmnb", "msgmni", "sem",
                                             "shmall", "shmmax", "shmmni", "shm_rmid_forced"};

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Error unsupported(std::string message) {
  return Error(ErrorKind::kUnsupported, std::move(message));
}

Result<void> check_environment(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment)
    if (entry.find('=') == std::string::npos || entry.find('\0') != std::string::npos)
      return invalid("invalid environment variable '" + entry + "': expected NAME=value");
  return {};
}

Result<void> check_words(const std::vector<std::string>& args) {
  if (args.empty()) return invalid("no command specified");
  for (const std::string& word : args)
    if (word.find('\0') != std::string::npos) return invalid("an argument contains a NUL byte");
  return {};
}

// clean_path for a list of the specification.
Result<std::vector<std::string>> clean_paths(const std::vector<std::string>& paths,
                                             std::string_view what) {
  std::vector<std::string> clean;
  for (const std::string& path : paths) {
    std::optional<std::string> one = clean_path(path);
    if (!one) return invalid("the " + std::string(what) + " path '" + path + "' must be absolute");
    clean.push_back(std::move(*one));
  }
  return clean;
}

Result<void> refuse_what_is_missing(const oci::RuntimeSpec& spec) {
  TRY_VOID(check_labels({}, spec.mount_label));
  return {};
}

// Mappings and offsets belong to namespaces that are made here.
Result<void> check_users_and_clocks(const oci::RuntimeSpec& spec, const NamespacePlan& namespaces) {
  const bool mapped = !spec.uid_mappings.empty() || !spec.gid_mappings.empty();
  if (mapped && !namespaces.has(CLONE_NEWUSER))
    return invalid("linux.uidMappings and gidMappings need a user namespace");
  if (namespaces.is_fresh(CLONE_NEWUSER) &&
      (spec.uid_mappings.empty() || spec.gid_mappings.empty()))
    return invalid("a new user namespace needs linux.uidMappings and linux.gidMappings");
  TRY_VOID(check_mappings(spec.uid_mappings, "uid"));
  TRY_VOID(check_mappings(spec.gid_mappings, "gid"));
  if (!spec.time_offsets.empty() && !namespaces.is_fresh(CLONE_NEWTIME))
    return invalid("linux.timeOffsets need a new time namespace");
  TRY_VOID(offsets_text(spec.time_offsets));
  return {};
}

// What mounts take from the container: its users for idmapped ones, its label.
Result<void> complete_mounts(const oci::RuntimeSpec& spec, std::vector<MountStep>& steps) {
  for (MountStep& step : steps) {
    if (step.map_ids && step.uid_mappings.empty()) {
      step.uid_mappings = spec.uid_mappings;
      step.gid_mappings = spec.gid_mappings;
      if (step.uid_mappings.empty() || step.gid_mappings.empty())
        return invalid("cannot mount '" + step.destination +
                       "': 'idmap' needs mappings, the mount's own or the container's");
    }
    TRY_VOID(check_mappings(step.uid_mappings, "uid"));
    TRY_VOID(check_mappings(step.gid_mappings, "gid"));
    // As other runtimes have it: files of proc and sysfs keep what the policy says of each.
    if (step.type != "proc" && step.type != "sysfs") step.label = spec.mount_label;
  }
  return {};
}

Result<void> check_hooks(const CreateOptions& options) {
  if (!options.spec->hooks.empty() && options.bundle.hooks == nullptr)
    return unsupported("hooks are not supported here");
  return {};
}

Result<std::vector<std::pair<std::string, std::string>>> plan_net_devices(
    const oci::RuntimeSpec& spec, const NamespacePlan& namespaces) {
  std::vector<std::pair<std::string, std::string>> plan;
  if (!spec.net_devices.empty() && !namespaces.has(CLONE_NEWNET))
    return invalid("linux.netDevices need a network namespace of the container's own");
  std::set<std::string> taken;
  for (const auto& [name, device] : spec.net_devices) {
    const std::string& inside = device.name.empty() ? name : device.name;
    for (const std::string& one : {name, inside})
      if (one.empty() || one.size() >= IFNAMSIZ || one == "." || one == ".." ||
          one.find_first_of("/: \t\n") != std::string::npos)
        return invalid("'" + one + "' is not the name of a network device");
    if (!taken.insert(inside).second)
      return invalid("two network devices would be called '" + inside + "'");
    plan.emplace_back(name, inside);
  }
  return plan;
}

Result<void> check_namespaces(const CreateOptions& options, const NamespacePlan& namespaces) {
  const oci::RuntimeSpec& spec = *options.spec;
  if (!namespaces.is_fresh(CLONE_NEWNS))
    return unsupported("a container needs a mount namespace of its own");
  if (!namespaces.has(CLONE_NEWUTS) && !(spec.hostname.empty() && spec.domainname.empty()))
    return invalid("a host name cannot be set without a UTS namespace of the container's own");
  if (options.link && !namespaces.is_fresh(CLONE_NEWNET))
    return invalid("a network link needs a new network namespace");
  return {};
}

}  // namespace

bool NamespacePlan::has(uint64_t type) const {
  return is_fresh(type) ||
         std::ranges::find(joined, static_cast<int>(type), &JoinedNamespace::type) != joined.end();
}

Result<NamespacePlan> plan_namespaces(const std::vector<oci::Namespace>& namespaces) {
  NamespacePlan plan;
  for (const oci::Namespace& wanted : namespaces) {
    auto known = std::ranges::find(kNamespaces, wanted.type, &NamespaceName::name);
    if (known == std::end(kNamespaces))
      return unsupported("the namespace '" + wanted.type + "' is not supported");
    if (plan.has(static_cast<uint64_t>(known->type)))
      return invalid("the namespace '" + wanted.type + "' is given twice");
    if (wanted.path.empty()) {
      plan.fresh |= static_cast<uint64_t>(known->type);
    } else {
      plan.joined.push_back({known->type, wanted.path});
    }
  }
  return plan;
}

Result<std::string> plan_sysctl(const std::string& key, const NamespacePlan& namespaces) {
  if (weakened(Defence::kSysctlNames)) {
    std::string any = key;
    std::ranges::replace(any, '.', '/');
    return any;
  }
  Error refused = invalid("the sysctl '" + key + "' is not allowed in a container");
  bool plain = std::ranges::all_of(key, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  });
  if (!plain) return refused;
  // sysctl(8): when the first separator is a slash, dots belong to names
  // ("net/ipv4/conf/eth0.1/...").
  std::string path = key;
  size_t first = key.find_first_of("./");
  if (first != std::string::npos && key[first] == '.')
    std::ranges::transform(path, path.begin(), [](char c) {
      return c == '.' ? '/' : c == '/' ? '.' : c;
    });
  std::vector<std::string_view> parts = split(path, '/');
  for (std::string_view part : parts)
    if (part.empty() || part == "." || part == "..") return refused;
  if (parts.size() < 2) return refused;
  bool ipc = (parts[0] == "kernel" && parts.size() == 2 &&
              std::ranges::find(kIpcSettings, parts[1]) != std::end(kIpcSettings)) ||
             (parts[0] == "fs" && parts[1] == "mqueue" && parts.size() == 3);
  if (ipc && namespaces.has(CLONE_NEWIPC)) return path;
  if (parts[0] == "net" && namespaces.has(CLONE_NEWNET)) return path;
  if (ipc || parts[0] == "net")
    return std::move(refused).set_hint("the container shares that namespace with the host");
  return refused;
}

std::vector<std::string> unique_environment(const std::vector<std::string>& environment) {
  std::vector<std::string> unique;
  std::unordered_map<std::string_view, size_t> places;
  for (const std::string& entry : environment) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    const auto [known, is_new] = places.try_emplace(name, unique.size());
    if (is_new) {
      unique.push_back(entry);
    } else {
      unique[known->second] = entry;
    }
  }
  return unique;
}

Result<ProcessPlan> plan_process(const oci::Process& process, const std::string& seccomp_filter) {
  ProcessPlan plan;
  plan.process = &process;
  TRY_VOID(check_words(process.args));
  TRY_VOID(check_environment(process.env));
  plan.environment = unique_environment(process.env);
  plan.capabilities = plan_capabilities(process.capabilities, plan.warnings);
  TRY(plan.limits, plan_limits(process.rlimits));
  std::optional<std::string> cwd = clean_path(process.cwd);
  if (!cwd) return invalid("the working directory '" + process.cwd + "' must be an absolute path");
  plan.cwd = std::move(*cwd);
  size_t instructions = seccomp_filter.size() / sizeof(sock_filter);
  if (seccomp_filter.size() % sizeof(sock_filter) != 0 || instructions > BPF_MAXINSNS)
    return invalid("the seccomp filter is not a list of at most " + std::to_string(BPF_MAXINSNS) +
                   " instructions");
  plan.seccomp_filter = seccomp_filter;
  TRY(plan.traits, plan_traits(process));
  TRY_VOID(check_labels(process.apparmor_profile, process.selinux_label));
  return plan;
}

Result<CreatePlan> plan_create(const CreateOptions& options) {
  const oci::RuntimeSpec& spec = *options.spec;
  CreatePlan plan;
  TRY_VOID(refuse_what_is_missing(spec));
  TRY_VOID(check_hooks(options));
  TRY(plan.namespaces, plan_namespaces(spec.namespaces));
  TRY_VOID(check_namespaces(options, plan.namespaces));
  TRY_VOID(check_users_and_clocks(spec, plan.namespaces));
  TRY(plan.net_devices, plan_net_devices(spec, plan.namespaces));
  TRY(plan.mounts, plan_mounts(spec.mounts));
  TRY_VOID(complete_mounts(spec, plan.mounts));
  plan.host_dev = std::ranges::any_of(plan.mounts, [](const MountStep& step) {
    return step.kind == MountStep::Kind::kBind && step.destination == "/dev";
  });
  TRY(plan.devices, plan_devices(spec.devices));
  TRY(plan.masked_paths, clean_paths(spec.masked_paths, "masked"));
  TRY(plan.readonly_paths, clean_paths(spec.readonly_paths, "read-only"));
  for (const auto& [key, value] : spec.sysctl) {
    TRY(std::string path, plan_sysctl(key, plan.namespaces));
    plan.sysctls.emplace_back(std::move(path), value);
  }
  TRY(plan.root_propagation, plan_root_propagation(spec.rootfs_propagation));
  TRY(plan.process, plan_process(spec.process, options.seccomp_filter));
  plan.process.create_cwd = options.create_cwd;
  plan.process.user = options.user;
  plan.process.stdio = options.stdio;
  plan.process.bundle = options.bundle;
  plan.process.limits_by_parent = plan.namespaces.has(CLONE_NEWUSER);
  TRY(plan.process.traits.personality, plan_personality(spec.personality));
  TRY(plan.process.traits.memory_policy, plan_memory_policy(spec.memory_policy));
  if (!spec.hooks.start_container.empty()) plan.process.start_hooks = &spec.hooks.start_container;
  return plan;
}

}  // namespace wherry::runtime
