// What to write into which cgroup file, computed from OCI resources as plain data: no system calls
// here. The executor is runtime/cgroup.cc.
//
// Each controller lives on version 1, on version 2 or nowhere; the plan takes the dialect of where
// it is:
//   memory_limit   v1 memory.limit_in_bytes      v2 memory.max
//   cpu_shares     v1 cpu.shares (2..262144)     v2 cpu.weight (1..10000, 1024 becomes 100)
// Something the user asked for as a limit and that no hierarchy can keep is kUnsupported with the
// remedy; a preference (weights, reservations, swappiness) becomes a warning. memory_swap is OCI's
// memory plus swap; its default is the engine's business. -1 is unlimited. Sources: OCI
// runtime-spec config-linux.md, Linux Documentation/admin-guide/cgroup-v1, cgroup-v2.rst.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"

namespace wherry::runtime {

// Controllers by the kernel's names. The version 1 name of version 2's "io" is "blkio".
struct ControllerPlaces {
  std::set<std::string> v1;
  std::set<std::string> v2;
  bool v2_mounted = false;
};

struct CgroupValue {
  int version = 1;
  std::string controller;
  std::string file;
  std::string value;
  // A limit: when the file is missing the create fails. Otherwise a warning.
  bool required = true;
  // Where the kernel offers the same under another name ("blkio.bfq.weight"); empty: nowhere.
  std::string alternative_file;
  std::string alternative_value;
  // A missing file is not even worth a warning.
  bool silent = false;

  bool operator==(const CgroupValue&) const = default;
};

struct CgroupPlan {
  std::vector<CgroupValue> values;              // in the order to write them
  std::vector<oci::DeviceRule> device_program;  // version 2: rules for runtime/device_program.h
  // checkBeforeUpdate: what is used by then must not be more; 0: not asked for.
  uint64_t memory_check = 0;
  std::vector<std::string> warnings;
};

Result<CgroupPlan> plan_cgroup(const oci::Resources& resources, const ControllerPlaces& places);

// cpu.weight for cpu.shares: 2 is 1, 1024 is 100, 262144 is 10000, smooth between (the curve that
// the OCI runtimes agreed on in 2025; the older straight line turned the default 1024 into 39).
uint64_t cpu_weight_from_shares(uint64_t shares);
// io.weight (1..10000) for blkio.weight (10..1000).
uint64_t io_weight_from_blkio(uint16_t weight);
// The lines for devices.allow and devices.deny: {"c 1:3 rwm"}; type 'a' with numbers or with less
// than all accesses becomes two, because the kernel ignores both after an 'a'.
std::vector<std::string> device_rule_lines(const oci::DeviceRule& rule);

}  // namespace wherry::runtime
