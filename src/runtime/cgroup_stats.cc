#include "runtime/cgroup_stats.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_hierarchies.h"

namespace wherry::runtime {
namespace {

constexpr uint64_t kNanosecondsPerMicrosecond = 1000;

// The text of one file of one group; empty when it is not there.
std::string text_of(const std::string& directory, const std::string& file) {
  Result<std::optional<std::string>> text = read_cgroup_file(directory, file);
  return text && *text ? std::move(**text) : std::string();
}

// A lone number; "max" is `unlimited`, nothing is 0.
uint64_t number_of(const std::string& directory, const std::string& file,
                   uint64_t unlimited = UINT64_MAX) {
  const std::string text = text_of(directory, file);
  if (text == "max") return unlimited;
  return parse_u64(trim(text)).value_or(0);
}

std::map<std::string, uint64_t> flat_map(std::string_view text) {
  std::map<std::string, uint64_t> result;
  for (std::string_view line : split(text, '\n')) {
    const auto [key, value] = split_once(line, ' ');
    if (!value) continue;
    if (const auto number = parse_u64(*value)) result.emplace(key, *number);
  }
  return result;
}

uint64_t value_in(const std::map<std::string, uint64_t>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? 0 : found->second;
}

double decimal(std::string_view text) {
  return std::strtod(std::string(text).c_str(), nullptr);
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
Pressure pressure_of(const std::string& directory, const char* file) {
  Pressure pressure;
  const std::string text = text_of(directory, file);
  for (std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5 || (words[0] != "some" && words[0] != "full")) continue;
    pressure.there = true;
    PressureLine& target = words[0] == "some" ? pressure.some : pressure.full;
    for (std::string_view word : words) {
      const auto [key, value] = split_once(word, '=');
      if (!value) continue;
      if (key == "avg10") target.avg10 = decimal(*value);
      if (key == "avg60") target.avg60 = decimal(*value);
      if (key == "avg300") target.avg300 = decimal(*value);
      if (key == "total") target.total = parse_u64(*value).value_or(0);
    }
  }
  return pressure;
}

std::optional<std::pair<uint64_t, uint64_t>> device_of(std::string_view text) {
  const auto [major, minor] = split_once(text, ':');
  const auto a = parse_u64(major);
  const auto b = minor ? parse_u64(*minor) : std::nullopt;
  if (!a || !b) return std::nullopt;
  return std::pair(*a, *b);
}

// "8:0 Read 4096"
std::vector<BlockEntry> block_entries_v1(const std::string& directory, const std::string& file) {
  std::vector<BlockEntry> entries;
  const std::string text = text_of(directory, file);
  for (std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    const auto device = device_of(words[0]);
    const auto value = parse_u64(words[2]);
    if (device && value)
      entries.push_back({device->first, device->second, std::string(words[1]), *value});
  }
  return entries;
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"
void read_io_v2(const std::string& directory, CgroupStats& stats) {
  const std::string text = text_of(directory, "io.stat");
  for (std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    const auto device = device_of(words[0]);
    if (!device) continue;
    for (std::string_view word : words) {
      const auto [key, value] = split_once(word, '=');
      const auto number = value ? parse_u64(*value) : std::nullopt;
      if (!number || key.size() < 2) continue;
      const char* op = key[0] == 'r' ? "Read" : key[0] == 'w' ? "Write" : "Discard";
      auto& list = key.ends_with("bytes") ? stats.io_bytes : stats.io_operations;
      list.push_back({device->first, device->second, op, *number});
    }
  }
}

MemoryUsage memory_v1(const std::string& directory, const std::string& prefix) {
  return {number_of(directory, prefix + ".usage_in_bytes"),
          number_of(directory, prefix + ".max_usage_in_bytes"),
          number_of(directory, prefix + ".failcnt"),
          number_of(directory, prefix + ".limit_in_bytes")};
}

void read_memory_v1(const std::string& directory, CgroupStats& stats) {
  stats.memory = memory_v1(directory, "memory");
  stats.swap = memory_v1(directory, "memory.memsw");
  stats.kernel = memory_v1(directory, "memory.kmem");
  stats.kernel_tcp = memory_v1(directory, "memory.kmem.tcp");
  stats.memory_raw = flat_map(text_of(directory, "memory.stat"));
  stats.cache = value_in(stats.memory_raw, "cache");
  stats.oom_kills = flat_value(text_of(directory, "memory.oom_control"), "oom_kill").value_or(0);
}

void read_memory_v2(const std::string& directory, CgroupStats& stats) {
  const std::string events = text_of(directory, "memory.events");
  stats.memory = {number_of(directory, "memory.current"), number_of(directory, "memory.peak"),
                  flat_value(events, "max").value_or(0), number_of(directory, "memory.max")};
  stats.swap = {number_of(directory, "memory.swap.current"),
                number_of(directory, "memory.swap.peak"),
                flat_value(text_of(directory, "memory.swap.events"), "fail").value_or(0),
                number_of(directory, "memory.swap.max")};
  // Version 1's swap numbers count memory plus swap, and so do engines.
  stats.swap.usage += stats.memory.usage;
  if (stats.swap.limit != UINT64_MAX && stats.memory.limit != UINT64_MAX)
    stats.swap.limit += stats.memory.limit;
  stats.memory_raw = flat_map(text_of(directory, "memory.stat"));
  stats.cache = value_in(stats.memory_raw, "file");
  stats.oom_kills = flat_value(events, "oom_kill").value_or(0);
}

void read_throttling(const std::map<std::string, uint64_t>& stat, CgroupStats& stats) {
  stats.periods = value_in(stat, "nr_periods");
  stats.throttled_periods = value_in(stat, "nr_throttled");
  const auto microseconds = stat.find("throttled_usec");
  stats.throttled_time = microseconds != stat.end()
                             ? microseconds->second * kNanosecondsPerMicrosecond
                             : value_in(stat, "throttled_time");
}

void read_cpuacct_v1(const std::string& directory, CgroupStats& stats) {
  stats.cpu_total = number_of(directory, "cpuacct.usage");
  stats.cpu_user = number_of(directory, "cpuacct.usage_user");
  stats.cpu_kernel = number_of(directory, "cpuacct.usage_sys");
  const std::string percpu = text_of(directory, "cpuacct.usage_percpu");
  for (std::string_view word : split(percpu, ' '))
    if (const auto value = parse_u64(word)) stats.cpu_percpu.push_back(*value);
}

void read_cpu_v2(const std::string& directory, CgroupStats& stats) {
  const auto stat = flat_map(text_of(directory, "cpu.stat"));
  stats.cpu_total = value_in(stat, "usage_usec") * kNanosecondsPerMicrosecond;
  stats.cpu_user = value_in(stat, "user_usec") * kNanosecondsPerMicrosecond;
  stats.cpu_kernel = value_in(stat, "system_usec") * kNanosecondsPerMicrosecond;
  read_throttling(stat, stats);
}

void read_pids(const std::string& directory, CgroupStats& stats) {
  stats.pids_current = number_of(directory, "pids.current");
  stats.pids_limit = number_of(directory, "pids.max", 0);
}

void read_blkio_v1(const std::string& directory, CgroupStats& stats) {
  stats.io_bytes = block_entries_v1(directory, "blkio.throttle.io_service_bytes_recursive");
  stats.io_operations = block_entries_v1(directory, "blkio.throttle.io_serviced_recursive");
}

// "hugetlb.2MB.max_usage_in_bytes" and "hugetlb.2MB.current" of every size of this kernel.
void read_huge_pages(const std::string& directory, CgroupStats& stats) {
  for (const char* size : {"64KB", "1MB", "2MB", "16MB", "32MB", "512MB", "1GB", "16GB"}) {
    const std::string prefix = directory + "/hugetlb." + size;
    if (::access((prefix + ".current").c_str(), F_OK) == 0) {
      const std::string events = text_of(directory, std::string("hugetlb.") + size + ".events");
      stats.huge_pages[size] = {
          .usage = number_of(directory, std::string("hugetlb.") + size + ".current"),
          .max = 0,
          .failcnt = flat_value(events, "max").value_or(0)};
    } else if (::access((prefix + ".usage_in_bytes").c_str(), F_OK) == 0) {
      const std::string name = std::string("hugetlb.") + size;
      stats.huge_pages[size] = {.usage = number_of(directory, name + ".usage_in_bytes"),
                                .max = number_of(directory, name + ".max_usage_in_bytes"),
                                .failcnt = number_of(directory, name + ".failcnt")};
    }
  }
}

void read_v1(const std::string& controller, const std::string& directory, CgroupStats& stats) {
  if (controller == "memory") read_memory_v1(directory, stats);
  if (controller == "cpuacct") read_cpuacct_v1(directory, stats);
  if (controller == "cpu") read_throttling(flat_map(text_of(directory, "cpu.stat")), stats);
  if (controller == "pids") read_pids(directory, stats);
  if (controller == "blkio") read_blkio_v1(directory, stats);
  if (controller == "hugetlb") read_huge_pages(directory, stats);
}

void read_v2(const std::string& directory, bool alone, CgroupStats& stats) {
  const std::string controllers = " " + text_of(directory, "cgroup.controllers") + " ";
  const auto has = [&](const char* name) {
    return controllers.find(" " + std::string(name) + " ") != std::string::npos;
  };
  // Without the controller version 2 still counts processor time, which version 1 may do better.
  if (alone || has("cpu")) read_cpu_v2(directory, stats);
  if (has("memory")) read_memory_v2(directory, stats);
  if (has("pids")) read_pids(directory, stats);
  if (has("io")) read_io_v2(directory, stats);
  if (has("hugetlb")) read_huge_pages(directory, stats);
  stats.cpu_pressure = pressure_of(directory, "cpu.pressure");
  stats.memory_pressure = pressure_of(directory, "memory.pressure");
  stats.io_pressure = pressure_of(directory, "io.pressure");
}

}  // namespace

Result<CgroupStats> read_cgroup_stats(const std::string& cgroups_path) {
  TRY_VOID(split_cgroups_path(cgroups_path));
  TRY(const Hierarchies hierarchies, find_hierarchies());
  CgroupStats stats;
  bool found = false;
  for (const Hierarchies::V1& hierarchy : hierarchies.v1) {
    const std::string directory = hierarchy.mount + cgroups_path;
    if (::access(directory.c_str(), F_OK) != 0) continue;
    found = true;
    for (const std::string& controller : hierarchy.controllers)
      read_v1(controller, directory, stats);
  }
  const std::string unified = hierarchies.v2_mount + cgroups_path;
  if (!hierarchies.v2_mount.empty() && ::access(unified.c_str(), F_OK) == 0) {
    read_v2(unified, hierarchies.v1.empty(), stats);
    found = true;
  }
  if (found) return stats;
  return Error(ErrorKind::kNotFound, "no hierarchy has the cgroup '" + cgroups_path + "'");
}

}  // namespace wherry::runtime
