// Fills a new volume with what the image has at its destination, as Docker does: owners, modes,
// times, extended attributes, hard links, and the directory's own owner and mode. Everything by
// directory fds inside both trees; symlinks are copied, never followed.
#pragma once

#include "base/result.h"

namespace wherry::runtime {

// `image` and `volume`: directory fds (O_PATH is enough). A volume that holds anything is left
// alone.
Result<void> copy_up(int image, int volume);

}  // namespace wherry::runtime
