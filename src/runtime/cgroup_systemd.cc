#include "runtime/cgroup_systemd.h"

#include "runtime/cgroup_plan.h"

namespace wherry::runtime {
namespace {

constexpr int kCallMs = 10'000;
constexpr int kJobMs = 30'000;
constexpr const char* kNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
constexpr uint64_t kMicrosecondsPerSecond = 1'000'000;
constexpr uint64_t kDefaultPeriod = 100'000;

// (sv): a name and a variant.
void put_property(DbusWriter& body, const UnitProperty& property) {
  body.align(8);
  body.text(property.name);
  body.signature(std::string(1, property.type));
  switch (property.type) {
    case 'b':
      body.boolean(property.number != 0);
      break;
    case 't':
      body.u64(property.number);
      break;
    default:
      body.text(property.text);
  }
}

void put_pids(DbusWriter& body, pid_t pid) {
  body.align(8);
  body.text("PIDs");
  body.signature("au");
  const size_t list = body.begin_array(4);
  body.u32(static_cast<uint32_t>(pid));
  body.end_array(list);
}

uint64_t limit_of(int64_t value) {
  return value < 0 ? UINT64_MAX : static_cast<uint64_t>(value);  // systemd's infinity
}

void add_memory(const oci::Resources& resources, bool v2, std::vector<UnitProperty>& list) {
  const int64_t limit = resources.memory_limit.value_or(0);
  const int64_t swap = resources.memory_swap.value_or(0);
  if (limit != 0) list.push_back({v2 ? "MemoryMax" : "MemoryLimit", 't', limit_of(limit), {}});
  if (v2 && resources.memory_reservation)
    list.push_back({"MemoryLow", 't', limit_of(*resources.memory_reservation), {}});
  if (v2 && swap != 0)
    list.push_back(
        {"MemorySwapMax", 't', swap > 0 && limit > 0 ? limit_of(swap - limit) : UINT64_MAX, {}});
}

void add_processors(const oci::Resources& resources, bool v2, std::vector<UnitProperty>& list) {
  const uint64_t shares = resources.cpu_shares.value_or(0);
  if (shares != 0 && v2)
    list.push_back({"CPUWeight", 't', cpu_weight_from_shares(shares), {}});
  else if (shares != 0)
    list.push_back({"CPUShares", 't', shares, {}});
  const int64_t quota = resources.cpu_quota.value_or(0);
  if (quota == 0) return;
  const uint64_t given = resources.cpu_period.value_or(0);
  const uint64_t period = given != 0 ? given : kDefaultPeriod;
  const uint64_t per_second =
      quota < 0 ? UINT64_MAX : static_cast<uint64_t>(quota) * kMicrosecondsPerSecond / period;
  list.push_back({"CPUQuotaPerSecUSec", 't', per_second, {}});
  if (given != 0) list.push_back({"CPUQuotaPeriodUSec", 't', period, {}});
}

}  // namespace

std::vector<UnitProperty> unit_properties(const oci::Resources& resources, bool v2) {
  std::vector<UnitProperty> list;
  add_memory(resources, v2, list);
  add_processors(resources, v2, list);
  if (resources.pids_limit)
    list.push_back({"TasksMax",
                    't',
                    *resources.pids_limit > 0 ? limit_of(*resources.pids_limit) : UINT64_MAX,
                    {}});
  if (resources.blkio_weight.value_or(0) != 0) {
    const uint16_t weight = *resources.blkio_weight;
    list.push_back(
        {v2 ? "IOWeight" : "BlockIOWeight", 't', v2 ? io_weight_from_blkio(weight) : weight, {}});
  }
  return list;
}

Result<SystemdScopes> SystemdScopes::open(const std::string& socket) {
  Result<DbusConnection> bus = DbusConnection::open(socket);
  if (bus) return SystemdScopes(std::move(*bus));
  return fail(std::move(bus), "cannot use systemd's cgroups")
      .set_hint("run without --systemd-cgroup where systemd is not the init");
}

Result<DbusMessage> SystemdScopes::manager(const std::string& member, const std::string& signature,
                                           std::string body) {
  return bus_.call({.destination = "org.freedesktop.systemd1",
                    .path = "/org/freedesktop/systemd1",
                    .interface = "org.freedesktop.systemd1.Manager",
                    .member = member,
                    .signature = signature,
                    .body = std::move(body)},
                   kCallMs);
}

// JobRemoved(u id, o job, s unit, s result)
Result<std::string> SystemdScopes::wait_for(const std::string& job) {
  for (;;) {
    TRY(const DbusMessage signal, bus_.next_signal(kJobMs));
    if (signal.member == "JobRemoved" && signal.texts.size() >= 3 && signal.texts[0] == job)
      return signal.texts[2];
  }
}

Result<void> SystemdScopes::start(const std::string& unit, const std::string& slice, pid_t pid,
                                  const std::vector<UnitProperty>& properties) {
  const std::string context = "cannot make the unit '" + unit + "'";
  TRY_VOID_CTX(manager("Subscribe", "", ""), context);
  DbusWriter match;
  match.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
  TRY_VOID_CTX(bus_.call({.destination = "org.freedesktop.DBus",
                          .path = "/org/freedesktop/DBus",
                          .interface = "org.freedesktop.DBus",
                          .member = "AddMatch",
                          .signature = "s",
                          .body = match.bytes()},
                         kCallMs),
               context);
  DbusWriter reset;
  reset.text(unit);
  // Only one that failed can be reset; for all others this is an error of no importance.
  [[maybe_unused]] const auto forgotten = manager("ResetFailedUnit", "s", reset.bytes());
  DbusWriter body;
  body.text(unit);
  body.text("fail");
  const size_t list = body.begin_array(8);
  put_property(body, {"Description", 's', 0, "container " + unit});
  put_property(body, {"Slice", 's', 0, slice});
  put_property(body, {"Delegate", 'b', 1, {}});
  put_pids(body, pid);
  put_property(body, {"DefaultDependencies", 'b', 0, {}});
  for (const char* accounting :
       {"MemoryAccounting", "CPUAccounting", "TasksAccounting", "IOAccounting"})
    put_property(body, {accounting, 'b', 1, {}});
  for (const UnitProperty& property : properties) put_property(body, property);
  body.end_array(list);
  const size_t auxiliary = body.begin_array(8);
  body.end_array(auxiliary);
  TRY_CTX(const DbusMessage started,
          manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body.bytes()), context);
  if (started.texts.empty()) return Error(ErrorKind::kCorrupt, context + ": no job was named");
  TRY_CTX(const std::string result, wait_for(started.texts[0]), context);
  if (result == "done") return {};
  return Error(ErrorKind::kUnavailable, context + ": systemd says '" + result + "'");
}

Result<void> SystemdScopes::stop(const std::string& unit) {
  DbusWriter body;
  body.text(unit);
  body.text("replace");
  const Result<DbusMessage> stopped = manager("StopUnit", "ss", body.bytes());
  if (stopped || stopped.error().message().find(kNoSuchUnit) != std::string::npos) return {};
  return Error(stopped.error());
}

Result<void> SystemdScopes::set(const std::string& unit,
                                const std::vector<UnitProperty>& properties) {
  if (properties.empty()) return {};
  DbusWriter body;
  body.text(unit);
  body.boolean(true);  // until the next boot
  const size_t list = body.begin_array(8);
  for (const UnitProperty& property : properties) put_property(body, property);
  body.end_array(list);
  TRY_VOID_CTX(manager("SetUnitProperties", "sba(sv)", body.bytes()),
               "cannot change the unit '" + unit + "'");
  return {};
}

}  // namespace wherry::runtime
