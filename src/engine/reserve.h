// Room for bookkeeping on a full disk: a file of some blocks below the root that is given up when
// a command that frees or only records things (stop, rm, rmi, settling) finds no space, and made
// again afterwards, and by each command that takes space. Not for commands that take space
// themselves.
#pragma once

#include <cerrno>
#include <utility>

#include "base/result.h"

namespace wherry::engine {

// Makes it, or what of it the disk has room for, unless it is there.
void ensure_reserve(int root_dir);

// False: there was none to give up.
bool give_up_reserve(int root_dir);

// `work` must be safe to repeat: it is, once, when it found no space and the reserve could be given
// up.
template <typename Work>
auto with_reserve(int root_dir, Work work) -> decltype(work()) {
  auto result = work();
  if (!result && result.error().errnum() == ENOSPC && give_up_reserve(root_dir)) {
    auto again = work();
    // What is not there any more was removed the first time: that error is the one to tell.
    if (again || again.error().kind() != ErrorKind::kNotFound) result = std::move(again);
    ensure_reserve(root_dir);
  }
  return result;
}

}  // namespace wherry::engine
