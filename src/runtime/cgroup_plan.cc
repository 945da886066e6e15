#include "runtime/cgroup_plan.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <set>
#include <string_view>

namespace wherry::runtime {
namespace {

constexpr uint64_t kDefaultCpuPeriod = 100'000;  // microseconds, the kernel's own

std::string limit_text(int64_t value) {
  return value < 0 ? "max" : std::to_string(value);
}

Error missing_controller(std::string_view what, std::string_view controller,
                         std::string_view option) {
  return Error(ErrorKind::kUnsupported,
               fmt::format(
                   "cannot limit {}: no cgroup hierarchy of this host offers the '{}' controller",
                   what, controller))
      .set_hint(
          fmt::format("enable the controller (kernel command line, or cgroup.subtree_control of "
                      "the parent group), or run without {}",
                      option));
}

class Planner {
 public:
  Planner(const oci::Resources& resources, const ControllerPlaces& places)
      : resources_(resources), places_(places) {}

  Result<CgroupPlan> run() {
    TRY_VOID(plan_memory());
    TRY_VOID(plan_cpu());
    TRY_VOID(plan_cpuset());
    TRY_VOID(plan_pids());
    plan_io_weight();
    TRY_VOID(plan_io_devices());
    TRY_VOID(plan_hugepages());
    TRY_VOID(plan_network());
    TRY_VOID(plan_rdma());
    TRY_VOID(plan_unified());
    TRY_VOID(plan_devices());
    return std::move(plan_);
  }

 private:
  // 1, 2, or 0 when no hierarchy has it. Version 1 first: a controller is never in both.
  int place(const std::string& v1_name, const std::string& v2_name) const {
    if (places_.v1.contains(v1_name)) return 1;
    return places_.v2.contains(v2_name) ? 2 : 0;
  }
  int place(const std::string& name) const { return place(name, name); }

  CgroupValue& add(int version, std::string controller, std::string file, std::string value,
                   bool required = true) {
    plan_.values.push_back({.version = version,
                            .controller = std::move(controller),
                            .file = std::move(file),
                            .value = std::move(value),
                            .required = required});
    return plan_.values.back();
  }
  void warn(std::string text) { plan_.warnings.push_back(std::move(text)); }

  Result<void> plan_memory() {
    const bool limits =
        resources_.memory_limit.value_or(0) != 0 || resources_.memory_swap.value_or(0) != 0;
    const bool wishes = resources_.memory_reservation || resources_.memory_swappiness ||
                        resources_.memory_disable_oom_killer.value_or(false) ||
                        resources_.memory_kernel || resources_.memory_kernel_tcp ||
                        resources_.memory_use_hierarchy.value_or(false);
    if (!limits && !wishes) return {};
    const int version = place("memory");
    if (version == 0) {
      if (limits) return missing_controller("memory", "memory", "--memory and --memory-swap");
      warn(
          "memory reservation, swappiness and the OOM killer's switch are not applied: this host "
          "has "
          "no 'memory' cgroup controller");
      return {};
    }
    TRY_VOID(check_swap());
    if (resources_.memory_check_before_update.value_or(false) &&
        resources_.memory_limit.value_or(0) > 0)
      plan_.memory_check = static_cast<uint64_t>(*resources_.memory_limit);
    if (version == 1) {
      plan_memory_v1();
    } else {
      plan_memory_v2();
    }
    return {};
  }

  Result<void> check_swap() const {
    const int64_t limit = resources_.memory_limit.value_or(0);
    const int64_t swap = resources_.memory_swap.value_or(0);
    if (swap <= 0) return {};
    if (limit <= 0) {
      return Error(
          ErrorKind::kInvalidArgument,
          fmt::format("cannot limit memory plus swap to '{}' without a limit of memory", swap));
    }
    if (swap < limit) {
      return Error(
          ErrorKind::kInvalidArgument,
          fmt::format("the limit of memory plus swap '{}' is below the limit of memory '{}'", swap,
                      limit));
    }
    return {};
  }

  void plan_memory_v1() {
    if (resources_.memory_limit.value_or(0) != 0) {
      add(1, "memory", "memory.limit_in_bytes", std::to_string(*resources_.memory_limit));
    }
    // Kernels without swap accounting have no such file, and the engine always fills the value in.
    if (resources_.memory_swap.value_or(0) != 0) {
      add(1, "memory", "memory.memsw.limit_in_bytes", std::to_string(*resources_.memory_swap),
          false);
    }
    if (resources_.memory_reservation) {
      add(1, "memory", "memory.soft_limit_in_bytes", std::to_string(*resources_.memory_reservation),
          false);
    }
    if (resources_.memory_swappiness) {
      add(1, "memory", "memory.swappiness", std::to_string(*resources_.memory_swappiness), false);
    }
    if (resources_.memory_disable_oom_killer.value_or(false)) {
      add(1, "memory", "memory.oom_control", "1", false);
    }
    // Kernels since 5.16 take the number and do nothing with it.
    if (resources_.memory_kernel)
      warn("the limit of kernel memory is not applied: kernels have none any more");
    // Gone from newer kernels, as are groups outside of the hierarchy.
    if (resources_.memory_kernel_tcp)
      add(1, "memory", "memory.kmem.tcp.limit_in_bytes",
          std::to_string(*resources_.memory_kernel_tcp), false);
    if (resources_.memory_use_hierarchy.value_or(false))
      add(1, "memory", "memory.use_hierarchy", "1", false).silent = true;
  }

  void plan_memory_v2() {
    const int64_t limit = resources_.memory_limit.value_or(0);
    const int64_t swap = resources_.memory_swap.value_or(0);
    if (limit != 0) add(2, "memory", "memory.max", limit_text(limit));
    if (swap != 0 || limit < 0) {
      // Version 2 counts swap alone; unlimited memory lifts the swap limit with it.
      const int64_t alone = swap > 0 && limit > 0 ? swap - limit : -1;
      add(2, "memory", "memory.swap.max", limit_text(alone), false);
    }
    if (resources_.memory_reservation) {
      add(2, "memory", "memory.low", limit_text(*resources_.memory_reservation), false);
    }
    if (resources_.memory_swappiness)
      warn("memory swappiness is not applied: cgroup version 2 has none");
    if (resources_.memory_kernel || resources_.memory_kernel_tcp)
      warn("limits of kernel memory are not applied: cgroup version 2 has none");
    if (resources_.memory_disable_oom_killer.value_or(false)) {
      warn("the OOM killer stays on: cgroup version 2 cannot switch it off");
    }
  }

  Result<void> plan_cpu() {
    const bool realtime = resources_.cpu_realtime_period || resources_.cpu_realtime_runtime;
    const bool quota =
        resources_.cpu_quota.value_or(0) != 0 || resources_.cpu_period.value_or(0) != 0;
    const uint64_t shares = resources_.cpu_shares.value_or(0);
    const bool extras = resources_.cpu_burst || resources_.cpu_idle;
    if (!realtime && !quota && shares == 0 && !extras) return {};
    const int version = place("cpu");
    if (version == 0) {
      return missing_controller("processor time", "cpu", "--cpus, --cpu-quota and --cpu-shares");
    }
    if (realtime && version == 2) {
      return Error(ErrorKind::kUnsupported,
                   "cannot limit real-time scheduling: cgroup version 2 has no such limit")
          .set_hint("run without --cpu-rt-period and --cpu-rt-runtime");
    }
    if (version == 2) {
      if (resources_.cpu_idle) add(2, "cpu", "cpu.idle", std::to_string(*resources_.cpu_idle));
      // The kernel refuses a weight for a group that only runs when nobody else does.
      if (shares != 0 && resources_.cpu_idle.value_or(0) != 1)
        add(2, "cpu", "cpu.weight", std::to_string(cpu_weight_from_shares(shares)));
      if (quota) {
        const int64_t value = resources_.cpu_quota.value_or(0);
        const uint64_t period = resources_.cpu_period.value_or(0);
        add(2, "cpu", "cpu.max",
            fmt::format("{} {}", value > 0 ? std::to_string(value) : "max",
                        period != 0 ? period : kDefaultCpuPeriod));
      }
      if (resources_.cpu_burst)
        add(2, "cpu", "cpu.max.burst", std::to_string(*resources_.cpu_burst));
      return {};
    }
    plan_cpu_v1(shares);
    return {};
  }

  void plan_cpu_v1(uint64_t shares) {
    if (resources_.cpu_idle) add(1, "cpu", "cpu.idle", std::to_string(*resources_.cpu_idle));
    if (shares != 0 && resources_.cpu_idle.value_or(0) != 1)
      add(1, "cpu", "cpu.shares", std::to_string(shares));
    if (resources_.cpu_realtime_period) {
      add(1, "cpu", "cpu.rt_period_us", std::to_string(*resources_.cpu_realtime_period));
    }
    if (resources_.cpu_realtime_runtime) {
      add(1, "cpu", "cpu.rt_runtime_us", std::to_string(*resources_.cpu_realtime_runtime));
    }
    if (resources_.cpu_period.value_or(0) != 0) {
      add(1, "cpu", "cpu.cfs_period_us", std::to_string(*resources_.cpu_period));
    }
    if (resources_.cpu_quota.value_or(0) != 0) {
      add(1, "cpu", "cpu.cfs_quota_us", std::to_string(*resources_.cpu_quota));
    }
    if (resources_.cpu_burst)
      add(1, "cpu", "cpu.cfs_burst_us", std::to_string(*resources_.cpu_burst));
  }

  Result<void> plan_cpuset() {
    if (resources_.cpuset_cpus.empty() && resources_.cpuset_mems.empty()) return {};
    const int version = place("cpuset");
    if (version == 0) {
      return missing_controller("the processors or memory nodes", "cpuset",
                                "--cpuset-cpus and --cpuset-mems");
    }
    if (!resources_.cpuset_cpus.empty())
      add(version, "cpuset", "cpuset.cpus", resources_.cpuset_cpus);
    if (!resources_.cpuset_mems.empty())
      add(version, "cpuset", "cpuset.mems", resources_.cpuset_mems);
    return {};
  }

  Result<void> plan_pids() {
    if (!resources_.pids_limit) return {};
    const int64_t limit = *resources_.pids_limit;
    const int version = place("pids");
    if (version == 0) {
      if (limit <= 0) return {};  // unlimited is what a host without the controller gives
      return missing_controller("the number of processes", "pids", "--pids-limit");
    }
    add(version, "pids", "pids.max", limit > 0 ? std::to_string(limit) : "max");
    return {};
  }

  void plan_io_weight() {
    if (!resources_.blkio_weight || *resources_.blkio_weight == 0) return;
    const std::string raw = std::to_string(*resources_.blkio_weight);
    switch (place("blkio", "io")) {
      case 1:
        add(1, "blkio", "blkio.weight", raw, false).alternative_file = "blkio.bfq.weight";
        plan_.values.back().alternative_value = raw;
        break;
      case 2:
        add(2, "io", "io.weight", std::to_string(io_weight_from_blkio(*resources_.blkio_weight)),
            false)
            .alternative_file = "io.bfq.weight";
        plan_.values.back().alternative_value = raw;
        break;
      default:
        warn(
            "the block I/O weight is not applied: this host has no 'blkio' or 'io' cgroup "
            "controller");
    }
  }

  Result<void> plan_io_devices() {
    const bool weights = !resources_.blkio_weight_device.empty() || resources_.blkio_leaf_weight;
    const bool limits =
        !resources_.throttle_read_bps.empty() || !resources_.throttle_write_bps.empty() ||
        !resources_.throttle_read_iops.empty() || !resources_.throttle_write_iops.empty();
    if (!weights && !limits) return {};
    const int version = place("blkio", "io");
    if (version == 0) {
      if (limits) return missing_controller("block I/O", "io", "--device-read-bps and its like");
      warn("weights of block devices are not applied: this host has no 'io' cgroup controller");
      return {};
    }
    plan_device_weights(version);
    add_throttles(version, resources_.throttle_read_bps, "read_bps", "rbps");
    add_throttles(version, resources_.throttle_write_bps, "write_bps", "wbps");
    add_throttles(version, resources_.throttle_read_iops, "read_iops", "riops");
    add_throttles(version, resources_.throttle_write_iops, "write_iops", "wiops");
    return {};
  }

  void plan_device_weights(int version) {
    if (resources_.blkio_leaf_weight) {
      if (version == 1) {
        add(1, "blkio", "blkio.leaf_weight", std::to_string(*resources_.blkio_leaf_weight), false);
      } else {
        warn("the leaf weight is not applied: cgroup version 2 has none");
      }
    }
    for (const oci::WeightDevice& device : resources_.blkio_weight_device) {
      const std::string name = fmt::format("{}:{}", device.major, device.minor);
      if (device.weight && version == 1) {
        CgroupValue& value = add(1, "blkio", "blkio.weight_device",
                                 fmt::format("{} {}", name, *device.weight), false);
        value.alternative_file = "blkio.bfq.weight_device";
        value.alternative_value = value.value;
      } else if (device.weight) {
        CgroupValue& value =
            add(2, "io", "io.bfq.weight", fmt::format("{} {}", name, *device.weight), false);
        value.alternative_file = "io.weight";
        value.alternative_value = fmt::format("{} {}", name, io_weight_from_blkio(*device.weight));
      }
      if (!device.leaf_weight) continue;
      if (version == 1) {
        add(1, "blkio", "blkio.leaf_weight_device", fmt::format("{} {}", name, *device.leaf_weight),
            false);
      } else {
        warn("the leaf weight of a device is not applied: cgroup version 2 has none");
      }
    }
  }

  void add_throttles(int version, const std::vector<oci::ThrottleDevice>& devices,
                     std::string_view v1_name, std::string_view v2_name) {
    for (const oci::ThrottleDevice& device : devices) {
      const std::string name = fmt::format("{}:{}", device.major, device.minor);
      if (version == 1) {
        add(1, "blkio", fmt::format("blkio.throttle.{}_device", v1_name),
            fmt::format("{} {}", name, device.rate));
      } else {
        // Version 1's word for "no limit" is 0.
        add(2, "io", "io.max",
            fmt::format("{} {}={}", name, v2_name,
                        device.rate == 0 ? "max" : std::to_string(device.rate)));
      }
    }
  }

  Result<void> plan_hugepages() {
    for (const oci::HugepageLimit& limit : resources_.hugepage_limits) {
      const std::string& size = limit.page_size;
      const size_t digits = size.find_first_not_of("0123456789");
      const bool plain = digits != std::string::npos && digits > 0 && size[0] != '0' &&
                         (size.substr(digits) == "KB" || size.substr(digits) == "MB" ||
                          size.substr(digits) == "GB");
      if (!plain)
        return Error(ErrorKind::kInvalidArgument,
                     fmt::format("'{}' is not the size of a huge page like 2MB", size));
      const int version = place("hugetlb");
      if (version == 0) return missing_controller("huge pages", "hugetlb", "hugepageLimits");
      const char* suffix = version == 1 ? "limit_in_bytes" : "max";
      const std::string value = std::to_string(limit.limit);
      add(version, "hugetlb", fmt::format("hugetlb.{}.{}", size, suffix), value);
      add(version, "hugetlb", fmt::format("hugetlb.{}.rsvd.{}", size, suffix), value, false)
          .silent = true;
    }
    return {};
  }

  Result<void> plan_network() {
    if (resources_.network_class_id) {
      if (place("net_cls") != 1)
        return missing_controller("the class of packets", "net_cls", "network.classID");
      add(1, "net_cls", "net_cls.classid", std::to_string(*resources_.network_class_id));
    }
    for (const oci::InterfacePriority& priority : resources_.network_priorities) {
      if (place("net_prio") != 1)
        return missing_controller("priorities of interfaces", "net_prio", "network.priorities");
      add(1, "net_prio", "net_prio.ifpriomap",
          fmt::format("{} {}", priority.name, priority.priority));
    }
    return {};
  }

  Result<void> plan_rdma() {
    for (const auto& [device, limit] : resources_.rdma) {
      const int version = place("rdma");
      if (version == 0) return missing_controller("RDMA", "rdma", "rdma");
      std::string value = device;
      if (limit.hca_handles) value += fmt::format(" hca_handle={}", *limit.hca_handles);
      if (limit.hca_objects) value += fmt::format(" hca_object={}", *limit.hca_objects);
      add(version, "rdma", "rdma.max", value);
    }
    return {};
  }

  Result<void> plan_unified() {
    for (const auto& [file, value] : resources_.unified) {
      const auto dot = file.find('.');
      if (dot == std::string::npos || dot == 0 || file.find('/') != std::string::npos ||
          file.find('\0') != std::string::npos) {
        return Error(ErrorKind::kInvalidArgument,
                     fmt::format("'{}' is not the name of a cgroup version 2 file", file));
      }
      const std::string controller = file.substr(0, dot);
      // cgroup.procs, cgroup.kill and their like steer processes and are no limits.
      if (controller == "cgroup" && !file.starts_with("cgroup.max.")) {
        return Error(ErrorKind::kInvalidArgument,
                     fmt::format("'{}' may not be set by a container", file));
      }
      const bool there =
          controller == "cgroup" ? places_.v2_mounted : places_.v2.contains(controller);
      if (!there) return missing_controller("'" + file + "' on cgroup version 2", controller, "it");
      add(2, controller, file, value);
    }
    return {};
  }

  Result<void> plan_devices() {
    if (resources_.devices.empty()) return {};
    for (const oci::DeviceRule& rule : resources_.devices) TRY_VOID(check_rule(rule));
    if (!places_.v1.contains("devices")) {
      if (!places_.v2_mounted)
        return missing_controller("access to devices", "devices", "device rules");
      plan_.device_program = resources_.devices;
      return {};
    }
    // Engines allow what every container has, and so do we: a line that was written since the last
    // rule of the other kind changes nothing.
    std::set<std::string> written;
    bool allowing = false;
    for (const oci::DeviceRule& rule : resources_.devices) {
      if (rule.allow != allowing) written.clear();
      allowing = rule.allow;
      for (std::string& line : device_rule_lines(rule)) {
        if (!written.insert(line).second) continue;
        add(1, "devices", rule.allow ? "devices.allow" : "devices.deny", std::move(line));
      }
    }
    return {};
  }

  static Result<void> check_rule(const oci::DeviceRule& rule) {
    const auto in_range = [](const std::optional<int64_t>& number) {
      return !number || (*number >= 0 && *number <= UINT32_MAX);
    };
    if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c') {
      return Error(
          ErrorKind::kInvalidArgument,
          fmt::format("'{}' is not a type of device for a cgroup rule (a, b or c)", rule.type));
    }
    if (rule.access.empty() || rule.access.find_first_not_of("rwm") != std::string::npos) {
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("'{}' is not a device access (r, w and m)", rule.access));
    }
    if (!in_range(rule.major) || !in_range(rule.minor)) {
      return Error(ErrorKind::kInvalidArgument, "a device number is out of range");
    }
    return {};
  }

  const oci::Resources& resources_;
  const ControllerPlaces& places_;
  CgroupPlan plan_;
};

bool all_accesses(const std::string& access) {
  return access.find('r') != std::string::npos && access.find('w') != std::string::npos &&
         access.find('m') != std::string::npos;
}

}  // namespace

Result<CgroupPlan> plan_cgroup(const oci::Resources& resources, const ControllerPlaces& places) {
  return Planner(resources, places).run();
}

uint64_t cpu_weight_from_shares(uint64_t shares) {
  if (shares <= 2) return 1;
  if (shares >= 262'144) return 10'000;
  const double bits = std::log2(static_cast<double>(shares));
  const double exponent = (bits * bits + 125.0 * bits) / 612.0 - 7.0 / 34.0;
  // The tiny term keeps 1024 at exactly 100 whatever the rounding of pow.
  return static_cast<uint64_t>(std::ceil(std::pow(10.0, exponent) - 1e-9));
}

uint64_t io_weight_from_blkio(uint16_t weight) {
  if (weight <= 10) return 1;
  if (weight >= 1000) return 10'000;
  return 1 + (static_cast<uint64_t>(weight) - 10) * 9999 / 990;
}

std::vector<std::string> device_rule_lines(const oci::DeviceRule& rule) {
  const auto number = [](const std::optional<int64_t>& value) {
    return value ? std::to_string(*value) : std::string("*");
  };
  const auto line = [&](char type) {
    return fmt::format("{} {}:{} {}", type, number(rule.major), number(rule.minor), rule.access);
  };
  if (rule.type != 'a') return {line(rule.type)};
  if (!rule.major && !rule.minor && all_accesses(rule.access)) return {"a"};
  return {line('b'), line('c')};
}

}  // namespace wherry::runtime
