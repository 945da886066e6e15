// What a cgroup has used, from version 1 and 2 alike, as plain numbers under the names of version 1
// that runc's events and `stats` commands print. A controller that is not there leaves zeros and
// empty lists. Sources: Documentation/admin-guide/cgroup-v1, cgroup-v2.rst.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::runtime {

struct MemoryUsage {
  uint64_t usage = 0, max = 0, failcnt = 0;
  uint64_t limit = 0;  // UINT64_MAX: none (version 1's own huge number stays as it is)
};

struct BlockEntry {
  uint64_t major = 0, minor = 0;
  std::string op;  // Read, Write, Sync, Async, Discard, Total
  uint64_t value = 0;
};

struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  uint64_t total = 0;
};
struct Pressure {
  bool there = false;
  PressureLine some, full;
};

struct CgroupStats {
  // cpu, nanoseconds
  uint64_t cpu_total = 0, cpu_user = 0, cpu_kernel = 0;
  std::vector<uint64_t> cpu_percpu;
  uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
  Pressure cpu_pressure, memory_pressure, io_pressure;
  // memory, bytes
  MemoryUsage memory, swap, kernel, kernel_tcp;
  uint64_t cache = 0;
  std::map<std::string, uint64_t> memory_raw;  // memory.stat
  uint64_t pids_current = 0, pids_limit = 0;   // limit 0: none
  std::vector<BlockEntry> io_bytes, io_operations;
  struct HugePages {
    uint64_t usage = 0, max = 0, failcnt = 0;
  };
  std::map<std::string, HugePages> huge_pages;  // "2MB"
  uint64_t oom_kills = 0;
};

// kNotFound when no hierarchy has the cgroup.
Result<CgroupStats> read_cgroup_stats(const std::string& cgroups_path);

}  // namespace wherry::runtime
