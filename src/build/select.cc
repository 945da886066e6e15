#include "build/select.h"

#include <cerrno>
#include <set>

#include "base/text.h"
#include "base/trace.h"
#include "build/digests.h"
#include "build/resolve.h"
#include "build/rules.h"
#include "build/walk.h"
#include "build/wildcard.h"

namespace wherry::build {
namespace {

std::string clean(const std::string& path) {
  return join(path_parts(path), "/");
}

class Selector {
 public:
  Selector(const CopySpec& spec, PathRules exclude, std::optional<ModeChange> chmod,
           Selection& selection)
      : spec_(spec), selection_(selection) {
    rules_.exclude = std::move(exclude);
    rules_.chmod = std::move(chmod);
    rules_.notes = &selection.notes;
  }

  Result<void> add(const CopySource& source) {
    source_ = &source;
    rules_.tree = source.tree;
    if (source.tree->kind() == SourceTree::Kind::kFiles) return add_one(source.path, false);
    if (spec_.parents) return add_with_parents();
    if (has_wildcard(source.path)) return add_matches();
    // A backslash may be part of a name, or protect a wildcard.
    if (source.path.find('\\') == std::string::npos || source.tree->resolve(source.path))
      return add_one(source.path, false);
    return add_one(unescape(source.path), false);
  }

 private:
  const SourceTree& tree() const { return *source_->tree; }

  Error named(Error error) const {
    return std::move(error).wrap(spec_.add ? "ADD failed" : "COPY failed");
  }

  Result<std::string> resolve(const std::string& path) {
    Result<std::string> resolved = tree().resolve(path);
    if (resolved) return resolved;
    if (resolved.error().kind() == ErrorKind::kNotFound)
      return source_not_found(spec_, *source_, path);
    return named(std::move(resolved.error()));
  }

  bool unpacks() const {
    return spec_.add && spec_.unpack.value_or(tree().kind() != SourceTree::Kind::kFiles);
  }

  // A path without wildcards. A match that is excluded is none; an argument must be there.
  Result<void> add_one(const std::string& path, bool wildcard) {
    TRY(std::string base, resolve(path));
    TRY(struct stat status, tree().status(base));
    bool directory = S_ISDIR(status.st_mode);
    std::string written = clean(path);
    bool hidden = tree().ignored(written) || tree().ignored(base);
    bool open = directory && (!tree().ignored(written) || tree().may_contain_included(written)) &&
                (!tree().ignored(base) || tree().may_contain_included(base));
    SelectedSource source{.tree = &tree(),
                          .argument = source_->path,
                          .base = base,
                          .name = split_path(written).second,
                          .directory = directory,
                          .wildcard = wildcard,
                          .unpack = !directory && S_ISREG(status.st_mode) && unpacks(),
                          .entries = {}};
    if (!hidden || open) TRY_VOID(fill(source, status, hidden));
    if (hidden && source.entries.empty())
      return wildcard ? Result<void>() : source_not_found(spec_, *source_, path);
    if (directory || !source.entries.empty()) selection_.sources.push_back(std::move(source));
    return {};
  }

  Result<void> fill(SelectedSource& source, const struct stat& status, bool hidden) {
    if (source.directory) {
      Result<void> walked = walk_directory(rules_, source.base, "", hidden, source.entries);
      if (!walked) return named(std::move(walked.error()));
      return {};
    }
    if (rules_.exclude.excluded && rules_.exclude.excluded(source.name)) return {};
    Entry entry;
    if (!describe(status, rules_, entry))
      return named(
          Error(ErrorKind::kUnsupported, "'" + escape_name(source.argument) + "' is a socket"));
    source.entries.push_back(std::move(entry));
    return {};
  }

  Result<void> add_matches() {
    std::vector<std::string> parts = path_parts(source_->path), fixed;
    while (!has_wildcard(parts.front())) {
      fixed.push_back(unescape(parts.front()));
      parts.erase(parts.begin());
    }
    TRY(std::string base, resolve(join(fixed, "/")));
    Result<std::vector<std::string>> matches =
        expand_wildcard(tree(), base, join(parts, "/"), /*deep=*/false);
    if (!matches) return named(std::move(matches.error()));
    for (const std::string& match : *matches) TRY_VOID(add_one(join_path(base, match), true));
    if (matches->empty()) note_no_match();
    return {};
  }

  void note_no_match() {
    selection_.notes.push_back("no file in the " + tree().name() + " matches '" +
                               escape_name(source_->path) + "'");
  }

  // "a/./b/c": the path is kept from the pivot on.
  Result<void> add_with_parents() {
    std::string path = source_->path;
    while (path.starts_with("/") || path.starts_with("./")) path.erase(0, path[0] == '/' ? 1 : 2);
    size_t pivot = path.find("/./");
    std::string before = pivot == path.npos ? "" : path.substr(0, pivot);
    std::string behind = pivot == path.npos ? path : path.substr(pivot + 3);
    bool wildcard = has_wildcard(behind);
    // Says what is wrong with a plain path.
    if (!wildcard) TRY_VOID(resolve(unescape(path)));
    TRY(std::string base, resolve(unescape(before)));
    Result<std::vector<std::string>> matches = expand_wildcard(tree(), base, behind, true);
    if (!matches) return named(std::move(matches.error()));
    SelectedSource source{.tree = &tree(),
                          .argument = source_->path,
                          .base = base,
                          .name = "",
                          .directory = true,
                          .wildcard = wildcard,
                          .unpack = false,
                          .entries = {}};
    std::set<std::string> seen;
    for (const std::string& match : *matches) TRY_VOID(add_kept(source, match, seen));
    if (source.entries.empty() && !wildcard && !behind.empty())
      return source_not_found(spec_, *source_, source_->path);
    if (source.entries.empty() && wildcard) note_no_match();
    selection_.sources.push_back(std::move(source));
    return {};
  }

  // A match with the directories that lead to it.
  Result<void> add_kept(SelectedSource& source, const std::string& match,
                        std::set<std::string>& seen) {
    std::vector<Entry> entries;
    Result<void> walked = match.empty() ? walk_directory(rules_, source.base, "", false, entries)
                                        : walk_entry(rules_, source.base, match, entries);
    if (!walked) return named(std::move(walked.error()));
    if (!entries.empty()) TRY_VOID(add_parents(source, match, seen));
    for (Entry& entry : entries)
      if (seen.insert(entry.path).second) source.entries.push_back(std::move(entry));
    return {};
  }

  Result<void> add_parents(SelectedSource& source, const std::string& match,
                           std::set<std::string>& seen) {
    for (size_t slash = match.find('/'); slash != match.npos; slash = match.find('/', slash + 1)) {
      Entry entry;
      entry.path = match.substr(0, slash);
      entry.implied = true;
      if (!seen.insert(entry.path).second) continue;
      TRY(struct stat status, tree().status(join_path(source.base, entry.path)));
      if (!S_ISDIR(status.st_mode) || !describe(status, rules_, entry))
        return named(Error(ErrorKind::kConflict,
                           "'" + escape_name(entry.path) + "' changed while it was read"));
      source.entries.push_back(std::move(entry));
    }
    return {};
  }

  const CopySpec& spec_;
  Selection& selection_;
  WalkRules rules_;
  const CopySource* source_ = nullptr;
};

}  // namespace

Result<Selection> select(const CopySpec& spec, state::Database* database) {
  TraceScope trace("build.select");
  const char* context = spec.add ? "ADD failed" : "COPY failed";
  std::optional<ModeChange> chmod;
  if (spec.chmod) {
    TRY_CTX(chmod, ModeChange::parse(*spec.chmod), context);
  }
  TRY_CTX(PathRules exclude, exclude_rules(spec.exclude), context);
  Selection selection;
  Selector selector(spec, std::move(exclude), chmod, selection);
  for (const CopySource& source : spec.sources) TRY_VOID(selector.add(source));
  TRY_VOID_CTX(fill_digests(selection, chmod, database), context);
  selection.parts = key_parts(selection, spec);
  return selection;
}

}  // namespace wherry::build
