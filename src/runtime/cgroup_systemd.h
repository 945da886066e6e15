// systemd as the maker of a container's cgroup: a transient scope around its init, with Delegate,
// so that the group is ours to write into. Limits are written to the cgroup's files as ever, and
// told to systemd as properties as well, so that its next look does not undo them. Source:
// org.freedesktop.systemd1(5), systemd.scope(5), systemd.resource-control(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "runtime/dbus.h"

namespace wherry::runtime {

// A property of a unit: "MemoryMax" -> a number (`t`), a flag (`b`) or a text (`s`).
struct UnitProperty {
  std::string name;
  char type = 't';
  uint64_t number = 0;
  std::string text;

  bool operator==(const UnitProperty&) const = default;
};
// What the limits are called there; pure. `v2`: the names of the unified hierarchy.
std::vector<UnitProperty> unit_properties(const oci::Resources& resources, bool v2);

class SystemdScopes {
 public:
  // `socket`: the system bus, or systemd's own.
  static Result<SystemdScopes> open(const std::string& socket = "/run/dbus/system_bus_socket");

  // Makes the scope with the process `pid` in it and waits until systemd says that it is done. One
  // that failed before under the same name is reset first. kConflict: there is one already.
  Result<void> start(const std::string& unit, const std::string& slice, pid_t pid,
                     const std::vector<UnitProperty>& properties);
  // Ends it; a unit that is not there is fine.
  Result<void> stop(const std::string& unit);
  Result<void> set(const std::string& unit, const std::vector<UnitProperty>& properties);

 private:
  explicit SystemdScopes(DbusConnection bus) : bus_(std::move(bus)) {}
  Result<DbusMessage> manager(const std::string& member, const std::string& signature,
                              std::string body);
  Result<std::string> wait_for(const std::string& job);

  DbusConnection bus_;
};

}  // namespace wherry::runtime
