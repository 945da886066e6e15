// Where a source goes: Docker's rules as a pure function, and the directories on the way.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace wherry::build {

// What stands at the destination, links followed.
enum class Standing { kMissing, kDirectory, kOther };

struct PlaceQuestion {
  std::string_view instruction;  // "COPY", "ADD": for messages
  std::string destination;       // as written
  std::string path;              // resolved, below the root
  Standing standing = Standing::kMissing;
  bool source_is_directory = false;  // or is an archive: what is in it is put into the destination
  std::string name;                  // of a file
  size_t arguments = 1;              // source arguments of the instruction
  size_t files = 1;                  // files that its arguments and wildcards name
};

struct Placement {
  std::string directory;  // made with its parents if missing
  std::string path;       // of the file; for a directory's contents: the same as `directory`
};

// A trailing "/" (or "/."), several arguments, a directory or an archive: the destination is a
// directory. A file goes into a directory that is there. kInvalidArgument with Docker's words.
Result<Placement> place(const PlaceQuestion& question);

struct Owner {
  uint32_t uid = 0, gid = 0;
};
// --chown's words by the accounts below `root`. A number without a group is the group as well.
Result<Owner> resolve_owner(int root, const std::string& words);

// Makes `path` (resolved) and what is missing above it: 0755, of `owner`.
Result<void> make_directories(int root, const std::string& path, Owner owner);
Result<Standing> standing_of(int root, const std::string& path);

}  // namespace wherry::build
