// What COPY and ADD do, in three steps that the builder puts its cache between:
//
//   TRY(Selection selection, select(spec, &database));    // which files, and their digests
//   ... key = f(parent's key, selection.key()); a hit ends here ...
//   TRY(CopyReport report, copy(selection, spec, root_fd, draft.lock_fd()));
//
// The key covers what the result shows and nothing else: destination, owner words, and per entry
// name, type, mode (after --chmod), content, link target, copied attributes; owners only where they
// are kept (from a stage or an image). Not: times, host owners, inodes, names of directories above.
// docs/design/copy.md says why; the format of the parts is docs/formats/copy-key.md.
//
// Not here: reading .dockerignore (build/ignore.h), resolving --from, mounting anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive/unpack.h"
#include "base/digest.h"
#include "build/source_tree.h"
#include "state/database.h"

namespace wherry::build {

// One source argument and where it is looked up. Heredocs and downloads are trees of their own.
struct CopySource {
  const SourceTree* tree = nullptr;  // borrowed
  std::string path;                  // as written, expanded
};

struct CopySpec {
  bool add = false;  // ADD: archives named by a source are unpacked
  std::vector<CopySource> sources;
  std::string destination;           // absolute (WORKDIR applied); a trailing "/" counts
  std::optional<std::string> chown;  // "user", "user:group", names or numbers
  std::optional<std::string> chmod;  // octal or symbolic
  std::vector<std::string> exclude;  // .dockerignore's rules, relative to each source
  bool parents = false;
  bool link = false;           // accepted: the visible result is the same
  std::optional<bool> unpack;  // ADD --unpack
};

enum class EntryType : uint8_t { kFile, kDirectory, kLink, kFifo, kCharDevice, kBlockDevice };

struct Entry {
  std::string path;  // below the source's base; "": the base itself
  EntryType type = EntryType::kFile;
  bool implied = false;  // a directory on the way to an entry: made if missing, else left alone
  uint32_t mode = 0;     // permission bits with setuid, setgid, sticky; --chmod applied
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  uint64_t device = 0, inode = 0, links = 1;  // of the source
  int64_t mtime_ns = 0, ctime_ns = 0;
  uint64_t rdev = 0;
  std::string target;             // of a link
  std::optional<Digest> content;  // of a file
  std::optional<Digest> xattrs;   // of the attributes that are copied; none: there are none
};

// What one source argument, or one match of its wildcard, brings.
struct SelectedSource {
  const SourceTree* tree = nullptr;
  std::string argument;    // as written, for messages
  std::string base;        // resolved path below the tree's root
  std::string name;        // what a file is called in a destination directory
  bool directory = false;  // the contents of the base are copied, not the base itself
  bool wildcard = false;
  bool unpack = false;         // an archive, if it is one, is unpacked
  std::vector<Entry> entries;  // a directory before what is in it; names sorted by bytes
};

struct Selection {
  std::vector<SelectedSource> sources;
  std::vector<std::string> notes;  // for the user: a wildcard that matches nothing, a socket
  std::string parts;               // the key's preimage: lines of printable ASCII

  // SHA-256 of the parts.
  Digest key() const;
  uint64_t files() const;
  uint64_t bytes() const;
};

// Digests of files that `database` knows are not computed again; new ones are stored in one relaxed
// transaction. Null: everything is read. Errors name the source as written, with Docker's words
// where there are any.
Result<Selection> select(const CopySpec& spec, state::Database* database);

struct CopyReport {
  uint64_t files = 0;
  uint64_t bytes = 0;
  std::vector<std::string> warnings;  // what could not be kept, e.g. an attribute
};

// Copies beneath `root`, a directory that nobody else writes to (an overlay whose upper becomes the
// layer). `lock` is kept open by the helper that unpacks archives, each of at most `max_unpacked`
// entries. A file that is not what select() saw is kConflict and named. On an error the root holds
// whatever was made.
Result<CopyReport> copy(const Selection& selection, const CopySpec& spec, int root, int lock,
                        uint64_t max_unpacked = archive::kMaxEntries);

}  // namespace wherry::build
