// What `exec` needs of a container's configuration: the process of the init, and the compiled
// seccomp filter.
//
// The whole configuration is read once; what exec uses of it is then kept beside it in the file
// "exec", because parsing a Docker container's 10 KB and hashing its seccomp section takes longer
// than joining the container (docs/design/start.md). Format: docs/formats/oci-state.md.
#pragma once

#include <optional>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "runtime/seccomp_spec.h"

namespace wherry::ocicli {

struct ExecSettings {
  oci::RuntimeSpec spec;                      // of the file: without what exec does not use
  std::optional<runtime::SpecFilter> filter;  // absent: `spec` has the section, if any
};

// A file that is missing, damaged or whose filter is gone from the cache is made anew; one that
// cannot be written is no error.
Result<ExecSettings> exec_settings(ContainerDir& dir, const Globals& globals);

}  // namespace wherry::ocicli
