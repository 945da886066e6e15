#include "ocicli/stats.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace wherry::ocicli {
namespace {

using nlohmann::ordered_json;
using runtime::CgroupStats;

ordered_json pressure_line(const runtime::PressureLine& line) {
  return {
      {"avg10", line.avg10}, {"avg60", line.avg60}, {"avg300", line.avg300}, {"total", line.total}};
}

void put_pressure(ordered_json& part, const runtime::Pressure& pressure) {
  if (!pressure.there) return;
  part["psi"] = {{"some", pressure_line(pressure.some)}, {"full", pressure_line(pressure.full)}};
}

ordered_json cpu(const CgroupStats& stats) {
  ordered_json usage;
  usage["total"] = stats.cpu_total;
  if (!stats.cpu_percpu.empty()) usage["percpu"] = stats.cpu_percpu;
  usage["kernel"] = stats.cpu_kernel;
  usage["user"] = stats.cpu_user;
  ordered_json part;
  part["usage"] = std::move(usage);
  part["throttling"] = {{"periods", stats.periods},
                        {"throttledPeriods", stats.throttled_periods},
                        {"throttledTime", stats.throttled_time}};
  put_pressure(part, stats.cpu_pressure);
  return part;
}

ordered_json memory_entry(const runtime::MemoryUsage& entry) {
  return {{"limit", entry.limit},
          {"usage", entry.usage},
          {"max", entry.max},
          {"failcnt", entry.failcnt}};
}

ordered_json memory(const CgroupStats& stats) {
  ordered_json part;
  part["cache"] = stats.cache;
  part["usage"] = memory_entry(stats.memory);
  part["swap"] = memory_entry(stats.swap);
  part["kernel"] = memory_entry(stats.kernel);
  part["kernelTCP"] = memory_entry(stats.kernel_tcp);
  part["raw"] = stats.memory_raw;
  put_pressure(part, stats.memory_pressure);
  return part;
}

ordered_json pids(const CgroupStats& stats) {
  ordered_json part;
  part["current"] = stats.pids_current;
  if (stats.pids_limit != 0) part["limit"] = stats.pids_limit;
  return part;
}

void put_entries(ordered_json& part, const char* key,
                 const std::vector<runtime::BlockEntry>& entries) {
  ordered_json list = ordered_json::array();
  for (const runtime::BlockEntry& entry : entries) {
    ordered_json one{{"major", entry.major}, {"minor", entry.minor}};
    if (!entry.op.empty()) one["op"] = entry.op;
    one["value"] = entry.value;
    list.push_back(std::move(one));
  }
  if (!list.empty()) part[key] = std::move(list);
}

ordered_json block(const CgroupStats& stats) {
  ordered_json part = ordered_json::object();
  put_entries(part, "ioServiceBytesRecursive", stats.io_bytes);
  put_entries(part, "ioServicedRecursive", stats.io_operations);
  put_pressure(part, stats.io_pressure);
  return part;
}

ordered_json huge_pages(const CgroupStats& stats) {
  ordered_json part = ordered_json::object();
  for (const auto& [size, pages] : stats.huge_pages)
    part[size] = {{"usage", pages.usage}, {"max", pages.max}, {"failcnt", pages.failcnt}};
  return part;
}

}  // namespace

std::string stats_event(const std::string& id, const CgroupStats& stats) {
  ordered_json data;
  data["cpu"] = cpu(stats);
  data["memory"] = memory(stats);
  data["pids"] = pids(stats);
  data["blkio"] = block(stats);
  data["hugetlb"] = huge_pages(stats);
  data["intel_rdt"] = ordered_json::object();
  data["network_interfaces"] = nullptr;
  ordered_json event;
  event["type"] = "stats";
  event["id"] = id;
  event["data"] = std::move(data);
  return event.dump() + "\n";
}

std::string oom_event(const std::string& id) {
  ordered_json event{{"type", "oom"}, {"id", id}};
  return event.dump() + "\n";
}

}  // namespace wherry::ocicli
