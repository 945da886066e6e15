// Hooks of a container's life: programs of the user's that get the container's state on stdin.
//
// prestart, createRuntime, poststart and poststop run where the runtime runs; createContainer runs
// in the container's namespaces before the root is changed, startContainer after it, just before
// the program. A hook that fails, or is not done within its timeout (then it is killed), is an
// error that names the hook, its place in the list and what it printed. Source: OCI runtime-spec
// 1.2, config.md "POSIX-platform Hooks", runtime.md "Lifecycle".
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"

namespace wherry::runtime {

// What a hook is told on its stdin, as the specification's state object.
struct HookState {
  std::string oci_version;
  std::string id;
  std::string status;  // creating, created, running, stopped
  pid_t pid = 0;       // 0: left out
  std::string bundle;
  std::string directory = "/";  // the hooks' working directory; not part of the state
  const std::map<std::string, std::string>* annotations = nullptr;  // borrowed
};
std::string to_json(const HookState& state);

// Runs the hooks one after the other, each with nothing but 0, 1 and 2 open; the first that fails
// ends it. `kind`: "prestart", for the error. The caller must have one thread.
Result<void> run_hooks(const char* kind, const std::vector<oci::Hook>& hooks,
                       const HookState& state);
// As above, but every hook runs and what failed becomes a warning: poststop.
void run_all_hooks(const char* kind, const std::vector<oci::Hook>& hooks, const HookState& state,
                   std::vector<std::string>& warnings);

}  // namespace wherry::runtime
