// The layout of config.json, written once: which property is which member. Walked by oci/spec_io.h.
// Also the layout of packed bytes (base/packed.h), which have no names: a change here is a new
// monitor::kConfigVersion. Inside oci/ only. The generated table of docs/manual/runtime-spec.md is
// made from this file.
#pragma once

#include "oci/runtime_spec.h"
#include "oci/spec_io.h"

namespace wherry::oci {

void fields(auto& io, Like<Rlimit> auto& rlimit) {
  io("type", rlimit.type);
  io("hard", rlimit.hard);
  io("soft", rlimit.soft);
}

void fields(auto& io, Like<Capabilities> auto& capabilities) {
  io.always("bounding", capabilities.bounding);
  io.always("effective", capabilities.effective);
  io.always("inheritable", capabilities.inheritable);
  io.always("permitted", capabilities.permitted);
  io.always("ambient", capabilities.ambient);
}

void fields(auto& io, Like<User> auto& user) {
  io("uid", user.uid);
  io("gid", user.gid);
  io("umask", user.umask);
  io("additionalGids", user.additional_gids);
}

void fields(auto& io, Like<Scheduler> auto& scheduler) {
  io("policy", scheduler.policy);
  io.unless_zero("nice", scheduler.nice);
  io.unless_zero("priority", scheduler.priority);
  io("flags", scheduler.flags);
  io.unless_zero("runtime", scheduler.runtime);
  io.unless_zero("deadline", scheduler.deadline);
  io.unless_zero("period", scheduler.period);
}

void fields(auto& io, Like<IoPriority> auto& priority) {
  io("class", priority.io_class);
  io("priority", priority.priority);
}

void fields(auto& io, Like<CpuAffinity> auto& affinity) {
  io("initial", affinity.initial);
  io("final", affinity.final_cpus);
}

void fields(auto& io, Like<Process> auto& process) {
  io("terminal", process.terminal);
  io.group("consoleSize", [&](auto& size) {
    size.unless_zero("height", process.console_rows);
    size.unless_zero("width", process.console_columns);
  });
  io("user", process.user);
  io("args", process.args);
  io("env", process.env);
  io("cwd", process.cwd);
  io("capabilities", process.capabilities);
  io("rlimits", process.rlimits);
  io("noNewPrivileges", process.no_new_privileges);
  io("oomScoreAdj", process.oom_score_adj);
  io("apparmorProfile", process.apparmor_profile);
  io("selinuxLabel", process.selinux_label);
  io("scheduler", process.scheduler);
  io("ioPriority", process.io_priority);
  io("execCPUAffinity", process.exec_cpu_affinity);
}

void fields(auto& io, Like<IdMapping> auto& mapping) {
  io("containerID", mapping.container_id);
  io("hostID", mapping.host_id);
  io("size", mapping.size);
}

void fields(auto& io, Like<Mount> auto& mount) {
  io("destination", mount.destination);
  io("type", mount.type);
  io("source", mount.source);
  io("options", mount.options);
  io("uidMappings", mount.uid_mappings);
  io("gidMappings", mount.gid_mappings);
}

void fields(auto& io, Like<Device> auto& device) {
  io("path", device.path);
  io.letter("type", device.type);
  io("major", device.major);
  io("minor", device.minor);
  io("fileMode", device.file_mode);
  io("uid", device.uid);
  io("gid", device.gid);
}

void fields(auto& io, Like<DeviceRule> auto& rule) {
  io("allow", rule.allow);
  io.letter("type", rule.type);
  io("major", rule.major);
  io("minor", rule.minor);
  io("access", rule.access);
}

void fields(auto& io, Like<WeightDevice> auto& device) {
  io("major", device.major);
  io("minor", device.minor);
  io("weight", device.weight);
  io("leafWeight", device.leaf_weight);
}

void fields(auto& io, Like<ThrottleDevice> auto& device) {
  io("major", device.major);
  io("minor", device.minor);
  io("rate", device.rate);
}

void fields(auto& io, Like<HugepageLimit> auto& limit) {
  io("pageSize", limit.page_size);
  io("limit", limit.limit);
}

void fields(auto& io, Like<InterfacePriority> auto& priority) {
  io("name", priority.name);
  io("priority", priority.priority);
}

void fields(auto& io, Like<RdmaLimit> auto& limit) {
  io("hcaHandles", limit.hca_handles);
  io("hcaObjects", limit.hca_objects);
}

void memory_fields(auto& io, auto& resources) {
  io("limit", resources.memory_limit);
  io("reservation", resources.memory_reservation);
  io("swap", resources.memory_swap);
  io("kernel", resources.memory_kernel);
  io("kernelTCP", resources.memory_kernel_tcp);
  io("swappiness", resources.memory_swappiness);
  io("disableOOMKiller", resources.memory_disable_oom_killer);
  io("useHierarchy", resources.memory_use_hierarchy);
  io("checkBeforeUpdate", resources.memory_check_before_update);
}

void cpu_fields(auto& io, auto& resources) {
  io("shares", resources.cpu_shares);
  io("quota", resources.cpu_quota);
  io("burst", resources.cpu_burst);
  io("period", resources.cpu_period);
  io("realtimeRuntime", resources.cpu_realtime_runtime);
  io("realtimePeriod", resources.cpu_realtime_period);
  io("cpus", resources.cpuset_cpus);
  io("mems", resources.cpuset_mems);
  io("idle", resources.cpu_idle);
}

void block_fields(auto& io, auto& resources) {
  io("weight", resources.blkio_weight);
  io("leafWeight", resources.blkio_leaf_weight);
  io("weightDevice", resources.blkio_weight_device);
  io("throttleReadBpsDevice", resources.throttle_read_bps);
  io("throttleWriteBpsDevice", resources.throttle_write_bps);
  io("throttleReadIOPSDevice", resources.throttle_read_iops);
  io("throttleWriteIOPSDevice", resources.throttle_write_iops);
}

void fields(auto& io, Like<Resources> auto& resources) {
  io("devices", resources.devices);
  io.group("memory", [&](auto& memory) { memory_fields(memory, resources); });
  io.group("cpu", [&](auto& cpu) { cpu_fields(cpu, resources); });
  io.group("pids", [&](auto& pids) { pids("limit", resources.pids_limit); });
  io.group("blockIO", [&](auto& block) { block_fields(block, resources); });
  io("hugepageLimits", resources.hugepage_limits);
  io.group("network", [&](auto& network) {
    network("classID", resources.network_class_id);
    network("priorities", resources.network_priorities);
  });
  io("rdma", resources.rdma);
  io("unified", resources.unified);
}

void fields(auto& io, Like<SeccompArgument> auto& argument) {
  io("index", argument.index);
  io("value", argument.value);
  io.unless_zero("valueTwo", argument.value_two);
  io("op", argument.op);
}

void fields(auto& io, Like<SeccompRule> auto& rule) {
  io("names", rule.names);
  io("action", rule.action);
  io("errnoRet", rule.errno_ret);
  io("args", rule.args);
}

void fields(auto& io, Like<Seccomp> auto& seccomp) {
  io("defaultAction", seccomp.default_action);
  io("defaultErrnoRet", seccomp.default_errno_ret);
  io("architectures", seccomp.architectures);
  io("flags", seccomp.flags);
  io("listenerPath", seccomp.listener_path);
  io("listenerMetadata", seccomp.listener_metadata);
  io("syscalls", seccomp.syscalls);
}

void fields(auto& io, Like<Personality> auto& personality) {
  io("domain", personality.domain);
  io("flags", personality.flags);
}

void fields(auto& io, Like<TimeOffset> auto& offset) {
  io("secs", offset.secs);
  io("nanosecs", offset.nanosecs);
}

void fields(auto& io, Like<NetDevice> auto& device) {
  io("name", device.name);
}

void fields(auto& io, Like<MemoryPolicy> auto& policy) {
  io("mode", policy.mode);
  io("nodes", policy.nodes);
  io("flags", policy.flags);
}

void fields(auto& io, Like<Hook> auto& hook) {
  io("path", hook.path);
  io("args", hook.args);
  io("env", hook.env);
  io("timeout", hook.timeout);
}

void fields(auto& io, Like<Hooks> auto& hooks) {
  io("prestart", hooks.prestart);
  io("createRuntime", hooks.create_runtime);
  io("createContainer", hooks.create_container);
  io("startContainer", hooks.start_container);
  io("poststart", hooks.poststart);
  io("poststop", hooks.poststop);
}

void fields(auto& io, Like<Namespace> auto& space) {
  io("type", space.type);
  io("path", space.path);
}

void linux_fields(auto& io, auto& spec) {
  io("uidMappings", spec.uid_mappings);
  io("gidMappings", spec.gid_mappings);
  io("sysctl", spec.sysctl);
  io("resources", spec.resources);
  io("cgroupsPath", spec.cgroups_path);
  io("namespaces", spec.namespaces);
  io("devices", spec.devices);
  io("netDevices", spec.net_devices);
  io("seccomp", spec.seccomp);
  io("rootfsPropagation", spec.rootfs_propagation);
  io("maskedPaths", spec.masked_paths);
  io("readonlyPaths", spec.readonly_paths);
  io("mountLabel", spec.mount_label);
  io.refused("intelRdt");
  io("memoryPolicy", spec.memory_policy);
  io("personality", spec.personality);
  io("timeOffsets", spec.time_offsets);
}

void fields(auto& io, Like<RuntimeSpec> auto& spec) {
  io("ociVersion", spec.oci_version);
  io("process", spec.process);
  io.group("root", [&](auto& root) {
    root("path", spec.root_path);
    root("readonly", spec.root_readonly);
  });
  io("hostname", spec.hostname);
  io("domainname", spec.domainname);
  io("mounts", spec.mounts);
  io("hooks", spec.hooks);
  io("annotations", spec.annotations);
  io.group("linux", [&](auto& linux_part) { linux_fields(linux_part, spec); });
  io.refused("vm");
}

}  // namespace wherry::oci
