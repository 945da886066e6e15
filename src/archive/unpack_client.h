// Starting wherry-unpack and believing only what can be checked: the store's side.
#pragma once

#include "archive/unpack.h"

namespace wherry::archive {

// Unpacks the tar that `tar` reads into the empty directory `directory` and waits for the end.
// Marks the opaque directories. The program keeps `lock` open as long as it lives. On an error the
// directory holds whatever was made: the caller removes it. Errors of the archive name the entry; a
// helper that died is kInternal and says how.
Result<Unpacked> run_unpack(int tar, int directory, int lock);

}  // namespace wherry::archive
