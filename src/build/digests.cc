#include "build/digests.h"

#include <algorithm>
#include <ctime>
#include <tuple>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "build/file_content.h"
#include "build/resolve.h"
#include "state/file_digests.h"

namespace wherry::build {
namespace {

constexpr int kTries = 4;
// What is remembered of a file: its content's digest and, if it has attributes, "+" and theirs; of
// a directory "directory" in place of the first.
constexpr std::string_view kDirectory = "directory";

struct Wanted {
  SelectedSource* source;
  Entry* entry;
  bool remembered = false;  // the database has it just so
  bool fresh = false;       // to be stored
};

state::FileDigest identity_of(const Entry& entry) {
  return {entry.device, entry.inode, entry.size, entry.mtime_ns, entry.ctime_ns, ""};
}

bool has_digest(const Entry& entry) {
  return entry.type == EntryType::kFile || entry.type == EntryType::kDirectory;
}

std::string remember(const Entry& entry) {
  std::string text = entry.content ? entry.content->hex() : std::string(kDirectory);
  if (entry.xattrs) text += "+" + entry.xattrs->hex();
  return text;
}

// False: not what remember() writes for an entry of this type.
bool recall(std::string_view text, Entry& entry) {
  auto [first, second] = split_once(text, '+');
  bool directory = entry.type == EntryType::kDirectory;
  if (directory != (first == kDirectory)) return false;
  std::optional<Digest> content, xattrs;
  if (!directory) {
    Result<Digest> parsed = Digest::from_hex(first);
    if (!parsed) return false;
    content = std::move(*parsed);
  }
  if (second) {
    Result<Digest> parsed = Digest::from_hex(*second);
    if (!parsed) return false;
    xattrs = std::move(*parsed);
  }
  entry.content = std::move(content);
  entry.xattrs = std::move(xattrs);
  return true;
}

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

class Filler {
 public:
  Filler(const std::optional<ModeChange>& chmod, state::Database* database)
      : chmod_(chmod), database_(database) {}

  Result<void> run(Selection& selection) {
    collect(selection);
    TRY_VOID(look_up());
    for (Wanted& wanted : wanted_) {
      if (wanted.remembered) continue;
      std::string path = join_path(wanted.source->base, wanted.entry->path);
      TRY_VOID(read(wanted, path));
    }
    return store();
  }

 private:
  void collect(Selection& selection) {
    for (SelectedSource& source : selection.sources)
      for (Entry& entry : source.entries)
        if (has_digest(entry)) wanted_.push_back({&source, &entry, false, false});
    std::ranges::sort(wanted_, {},
                      [](const Wanted& w) { return std::tuple(w.entry->device, w.entry->inode); });
  }

  Result<void> look_up() {
    if (database_ == nullptr) return {};
    TraceScope trace("build.digests.find");
    std::vector<state::FileDigest> known;
    known.reserve(wanted_.size());
    for (const Wanted& wanted : wanted_) known.push_back(identity_of(*wanted.entry));
    TRY_VOID(state::find_file_digests(*database_, known));
    for (size_t i = 0; i < wanted_.size(); ++i)
      wanted_[i].remembered =
          !known[i].digest.empty() && recall(known[i].digest, *wanted_[i].entry);
    return {};
  }

  Result<void> read(Wanted& wanted, const std::string& path) {
    Entry& entry = *wanted.entry;
    bool directory = entry.type == EntryType::kDirectory;
    TRY(sys::Fd fd, wanted.source->tree->open(path, O_RDONLY | (directory ? O_DIRECTORY : 0)));
    for (int attempt = 0; attempt < kTries; ++attempt) {
      int64_t began = now_ns();
      TRY(struct stat before, status_of(wanted, fd.get(), path));
      TRY_VOID(redescribe(wanted, before, path));
      if (!directory) {
        TRY_CTX(entry.content, hash_content(fd.get()), "cannot read '" + escape_name(path) + "'");
      }
      Result<std::vector<Attribute>> attributes = read_attributes(fd.get());
      if (!attributes)
        return fail(std::move(attributes), "cannot read '" + escape_name(path) + "'");
      entry.xattrs = digest_of(*attributes);
      TRY_VOID(failpoint("build.digest.read"));
      TRY(struct stat after, status_of(wanted, fd.get(), path));
      if (!same_state(before, after)) continue;
      wanted.fresh =
          wanted.source->tree->digests_last(before) && may_remember(entry.ctime_ns, began);
      return {};
    }
    return Error(ErrorKind::kConflict, "'" + escape_name(path) + "' changed while it was read")
        .set_hint(
            "something keeps writing to it: build when that is done, or exclude it in "
            ".dockerignore");
  }

  // A file without a name has the status that its tree gives it.
  static Result<struct stat> status_of(const Wanted& wanted, int fd, const std::string& path) {
    if (wanted.source->tree->kind() == SourceTree::Kind::kFiles)
      return wanted.source->tree->status(path);
    struct stat status{};
    if (fstat(fd, &status) != 0)
      return Error::from_errno(errno, "cannot look at '" + escape_name(path) + "'");
    return status;
  }

  // The walk is a moment ago: what counts is the file that is read now.
  Result<void> redescribe(const Wanted& wanted, const struct stat& status,
                          const std::string& path) {
    EntryType type = wanted.entry->type;
    WalkRules rules{wanted.source->tree, {}, chmod_, nullptr};
    if (!describe(status, rules, *wanted.entry) || wanted.entry->type != type)
      return Error(ErrorKind::kConflict, "'" + escape_name(path) + "' changed while it was read");
    return {};
  }

  Result<void> store() {
    if (database_ == nullptr) return {};
    std::vector<state::FileDigest> rows;
    for (const Wanted& wanted : wanted_) {
      if (!wanted.fresh) continue;
      rows.push_back(identity_of(*wanted.entry));
      rows.back().digest = remember(*wanted.entry);
    }
    TraceScope trace("build.digests.store");
    return state::put_file_digests(*database_, rows);
  }

  const std::optional<ModeChange>& chmod_;
  state::Database* database_;
  std::vector<Wanted> wanted_;
};

}  // namespace

Result<void> fill_digests(Selection& selection, const std::optional<ModeChange>& chmod,
                          state::Database* database) {
  TraceScope trace("build.digests");
  return Filler(chmod, database).run(selection);
}

}  // namespace wherry::build
