// `update`: other limits for a container that exists.
#include <array>
#include <limits>
#include <type_traits>

#include "base/text.h"
#include "ocicli/lifecycle.h"

namespace wherry::ocicli {
namespace {

constexpr size_t kResourcesLimit = size_t{4} << 20;

constexpr std::array kUpdateFlags{
    Flag{"resources", 'r', FlagKind::kString,
         "A file with the resources as in config.json; '-': standard input"},
    Flag{"blkio-weight", 0, FlagKind::kInt, "Share of block I/O, 10 to 1000"},
    Flag{"cpu-period", 0, FlagKind::kInt, "CFS period, microseconds"},
    Flag{"cpu-quota", 0, FlagKind::kInt, "CFS quota in a period, microseconds"},
    Flag{"cpu-burst", 0, FlagKind::kInt, "CFS burst, microseconds"},
    Flag{.name = "cpu-share",
         .letter = 0,
         .kind = FlagKind::kInt,
         .help = "Share of the processors",
         .fallback = {},
         .alias = "cpu-shares"},
    Flag{"cpu-rt-period", 0, FlagKind::kInt, "Real-time period, microseconds"},
    Flag{"cpu-rt-runtime", 0, FlagKind::kInt, "Real-time run time in a period, microseconds"},
    Flag{"cpuset-cpus", 0, FlagKind::kString, "Processors: 0-3,7"},
    Flag{"cpuset-mems", 0, FlagKind::kString, "Memory nodes"},
    Flag{"cpu-idle", 0, FlagKind::kInt, "1: only when nobody else wants the processor"},
    Flag{"kernel-memory", 0, FlagKind::kString, "Obsolete: the kernel has no such limit any more"},
    Flag{"kernel-memory-tcp", 0, FlagKind::kBytes, "Limit of TCP buffers (version 1)"},
    Flag{"memory", 0, FlagKind::kBytes, "Limit of memory; -1: none"},
    Flag{"memory-reservation", 0, FlagKind::kBytes, "Soft limit of memory"},
    Flag{"memory-swap", 0, FlagKind::kBytes, "Limit of memory and swap; -1: none"},
    Flag{"pids-limit", 0, FlagKind::kInt, "Limit of processes; -1: none"},
};
constexpr std::array<RefusedFlag, 2> kRefused{{{"l3-cache-schema"}, {"mem-bw-schema"}}};

Result<oci::Resources> read_resources(const std::string& path) {
  if (path == "-") {
    TRY_CTX(std::string text, sys::read_all(STDIN_FILENO, kResourcesLimit),
            "cannot read the resources");
    return oci::parse_resources(text);
  }
  TRY(std::string text, sys::read_file(path, kResourcesLimit));
  TRY_CTX(oci::Resources resources, oci::parse_resources(text), "cannot use '" + path + "'");
  return resources;
}

template <typename T>
Result<void> take_number(const ParsedFlags& flags, std::string_view name,
                         std::optional<T>& target) {
  if (!flags.has(name)) return {};
  int64_t value = flags.integer(name);
  if constexpr (std::is_unsigned_v<T>)
    if (value < 0 || static_cast<uint64_t>(value) > std::numeric_limits<T>::max())
      return Error(ErrorKind::kInvalidArgument,
                   "--" + std::string(name) + " is out of range: " + std::to_string(value));
  target = static_cast<T>(value);
  return {};
}

void take_bytes(const ParsedFlags& flags, std::string_view name, std::optional<int64_t>& target) {
  if (flags.has(name)) target = flags.bytes(name);
}

Result<oci::Resources> resources_from_flags(const ParsedFlags& flags, const Log& log) {
  oci::Resources wanted;
  TRY_VOID(take_number(flags, "blkio-weight", wanted.blkio_weight));
  TRY_VOID(take_number(flags, "cpu-period", wanted.cpu_period));
  TRY_VOID(take_number(flags, "cpu-quota", wanted.cpu_quota));
  TRY_VOID(take_number(flags, "cpu-burst", wanted.cpu_burst));
  TRY_VOID(take_number(flags, "cpu-share", wanted.cpu_shares));
  TRY_VOID(take_number(flags, "cpu-rt-period", wanted.cpu_realtime_period));
  TRY_VOID(take_number(flags, "cpu-rt-runtime", wanted.cpu_realtime_runtime));
  TRY_VOID(take_number(flags, "cpu-idle", wanted.cpu_idle));
  TRY_VOID(take_number(flags, "pids-limit", wanted.pids_limit));
  wanted.cpuset_cpus = flags.text("cpuset-cpus");
  wanted.cpuset_mems = flags.text("cpuset-mems");
  take_bytes(flags, "memory", wanted.memory_limit);
  take_bytes(flags, "memory-reservation", wanted.memory_reservation);
  take_bytes(flags, "memory-swap", wanted.memory_swap);
  take_bytes(flags, "kernel-memory-tcp", wanted.memory_kernel_tcp);
  if (flags.has("kernel-memory"))
    log.warn("--kernel-memory has no effect: the kernel has no such limit any more");
  return wanted;
}

Result<int> run_update(Call& call) {
  TRY(ContainerDir dir, ContainerDir::lock(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status == Status::kStopped || status == Status::kCreating)
    return Error(ErrorKind::kConflict, "container not running");
  TRY_VOID(need_cgroup(record));
  bool from_file = call.flags.has("resources");
  TRY(oci::Resources wanted, from_file ? read_resources(call.flags.text("resources"))
                                       : resources_from_flags(call.flags, call.log));
  std::vector<std::string> warnings;
  TRY_VOID(runtime::update_cgroup(record.cgroup, wanted, warnings));
  warn_all(call.log, warnings);
  return 0;
}

}  // namespace

const CommandSpec kUpdate = {
    .name = "update",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Change the limits of a container",
    .table = {.flags = kUpdateFlags, .refused = kRefused},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_update,
};

}  // namespace wherry::ocicli
