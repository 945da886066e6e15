// What a command of wherry-oci is: name, flags and function. The table is in main.cc; only the
// invoked command's flags are parsed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/flags.h"
#include "ocicli/log.h"

namespace wherry::ocicli {

// The flags before the command.
struct Globals {
  std::string root;             // where the containers' states are
  bool systemd_cgroup = false;  // "slice:prefix:name" as cgroupsPath, made by systemd
  bool cgroups_disabled = false;
};

struct CommandSpec;

struct Call {
  const CommandSpec& command;
  ParsedFlags flags;
  const Globals& globals;
  const Log& log;

  const std::vector<std::string>& arguments() const { return flags.arguments; }
  const std::string& id() const { return flags.arguments.front(); }
};

struct CommandSpec {
  std::string_view name;
  std::string_view usage;    // "[OPTIONS] CONTAINER"
  std::string_view summary;  // one line
  FlagTable table;
  int min_arguments = 0;
  int max_arguments = 0;  // -1: any number
  // The exit code, or an error that is logged and becomes `failure_code`.
  Result<int> (*run)(Call&) = nullptr;
  int failure_code = 1;
  // It makes processes that enter containers: runs from a sealed copy of the program.
  bool sealed = false;
};

// Each in the file of its name.
extern const CommandSpec kCreate, kStart, kRun, kExec, kKill, kDelete, kState, kList, kPs, kPause,
    kResume, kUpdate, kEvents, kFeatures, kSpec, kCheckpoint, kRestore;

// Prints to standard output; a closed or full one is an error.
Result<int> print(std::string_view text);

}  // namespace wherry::ocicli
