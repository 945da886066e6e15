// The one helper through which every durable file is written, and the directory chores around it.
//
// A durable write is: temp file beside the target, write, fsync, rename, fsync of the directory. At
// a power cut the old content is there or the new, never half. Boot-scoped files on tmpfs take the
// same path with Sync::kNone. Each step is a failpoint: "file.opened", "file.written",
// "file.synced", "file.renamed", so that every durable file of the house is under the same fault
// tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sys/fd.h"

namespace wherry::sys {

enum class Sync { kNone, kFull };

// Replaces (or makes) `name` below `dir` atomically. On an error the temp file is gone and the old
// content is untouched. Mode is exact (umask ignored).
Result<void> write_file_atomic(int dir, const std::string& name, std::string_view data,
                               unsigned mode, Sync sync);

// Makes `name` below `dir`, durably and in one step: a death leaves it whole or not at all, and no
// temp file. One that is there already stays as it is.
Result<void> write_new_file(int dir, const std::string& name, std::string_view data, unsigned mode);

// Removes temp files of dead writers. Only under a lock that every writer in `dir` holds.
Result<void> remove_temp_files(int dir);

// fsync of a directory: the names in it are durable.
Result<void> sync_dir(int dir);
// syncfs(2) of the file system that `dir` is on.
Result<void> sync_filesystem(int dir);

// Makes one directory with exactly `mode` and opens it; an existing directory is opened as it is.
Result<Fd> make_dir_at(int dir, const std::string& name, unsigned mode);
// mkdir -p for absolute trusted paths; directories that are made get `mode`. Returns the last,
// opened.
Result<Fd> make_dirs(const std::string& path, unsigned mode);
// Removes a tree by directory fds, never following links; a missing one is fine. Goes on after
// errors and returns the first. Directories without permissions are opened up first (we are root).
Result<void> remove_tree_at(int dir, const std::string& name);
// Names in a directory, without "." and "..", sorted.
Result<std::vector<std::string>> list_dir(int dir);
bool exists_at(int dir, const std::string& name);

}  // namespace wherry::sys
