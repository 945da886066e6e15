// A command whose work may be stopped wherever it waits: for a registry, a lock, a disk, a helper.
//
// The work is done by a child; this process only watches over it. The first Ctrl-C (SIGTERM,
// SIGHUP) asks it through a descriptor, which it looks at where that is cheap, and it ends in
// order. If it has not after 0.7 s, or at the second signal, it is killed, which everything that
// changes state survives anyway; then what it held is taken back at once, not by the next command.
// Rejected: asking in every loop and at every wait, which has to be remembered in each new one; a
// thread, because a process that clones containers has one.
#pragma once

#include <functional>

#include "base/result.h"

namespace wherry::cli {

// `work`: gets a descriptor that is readable when it shall stop, gives the exit code and has
// reported its errors. Nothing it needs may be open before: it runs in a child. `take_back`: runs
// here after the child had to be killed. Exit code 128 + signal when the work was stopped. When the
// child dies by itself this process dies in the same way. Single-threaded.
Result<int> run_supervised(const std::function<int(int stop)>& work,
                           const std::function<Result<void>()>& take_back);

}  // namespace wherry::cli
