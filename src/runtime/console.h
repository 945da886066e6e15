// The terminal of a container: made from the container's own devpts, never from the host's, and
// never opened by name on the slave's side (TIOCGPTPEER), so that nothing in the container can
// stand in for it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

struct Terminal {
  sys::Fd master;
  sys::Fd slave;
};

// `root`: the container's root with its devpts mounted. The slave belongs to `owner`; 0 rows leave
// the kernel's size.
Result<Terminal> open_terminal(int root, uid_t owner, uint32_t rows, uint32_t columns);

// The slave becomes /dev/console (init only).
Result<void> bind_console(int root, int slave);

// The calling session leader gets `slave` as its controlling terminal and as stdin, stdout and
// stderr.
Result<void> adopt_terminal(int slave);

}  // namespace wherry::runtime
