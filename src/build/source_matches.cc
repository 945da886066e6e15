// The wildcards of sources, and what to say when nothing is there.
#include <algorithm>
#include <cerrno>
#include <set>

#include "base/text.h"
#include "build/resolve.h"
#include "build/select.h"
#include "build/walk.h"
#include "build/wildcard.h"

namespace wherry::build {
namespace {

class Expansion {
 public:
  Expansion(const SourceTree& tree, const std::string& base, std::vector<std::string> parts,
            bool deep)
      : tree_(tree), base_(base), parts_(std::move(parts)), deep_(deep) {}

  // What parts_[index...] match below `path`.
  Result<void> step(const std::string& path, size_t index) {
    if (index == parts_.size()) {
      found_.insert(path);
      return {};
    }
    // "**/**/x" would come to the same place on many ways.
    if (deep_ && !seen_.emplace(index, path).second) return {};
    const std::string& part = parts_[index];
    if (deep_ && part == "**") TRY_VOID(step(path, index + 1));
    TRY(std::vector<std::string> names, names_of(path));
    for (const std::string& name : names) {
      std::string child = join_path(path, name);
      if (hidden(child)) continue;
      if (deep_ && part == "**") {
        TRY_VOID(step(child, index));
      } else if (matches_wildcard(part, name)) {
        TRY_VOID(step(child, index + 1));
      }
    }
    return {};
  }

  std::vector<std::string> take() { return {found_.begin(), found_.end()}; }

 private:
  bool hidden(const std::string& path) const {
    std::string full = join_path(base_, path);
    return tree_.ignored(full) && !tree_.may_contain_included(full);
  }
  // None of what is no directory.
  Result<std::vector<std::string>> names_of(const std::string& path) const {
    Result<sys::Fd> directory = tree_.open(join_path(base_, path), O_RDONLY | O_DIRECTORY);
    if (!directory) {
      int errnum = directory.error().errnum();
      if (errnum == ENOTDIR || errnum == ELOOP || errnum == ENOENT)
        return std::vector<std::string>();
      return std::move(directory.error());
    }
    return names_in(std::move(*directory));
  }

  const SourceTree& tree_;
  const std::string& base_;
  std::vector<std::string> parts_;
  bool deep_;
  std::set<std::string> found_;
  std::set<std::pair<size_t, std::string>> seen_;
};

// The name in the same directory that was probably meant.
std::optional<std::string> nearest_name(const SourceTree& tree, const std::string& path) {
  if (tree.kind() == SourceTree::Kind::kFiles) return std::nullopt;
  auto [parent, name] = split_path(join(path_parts(path), "/"));
  Result<std::string> resolved = tree.resolve(parent);
  if (!resolved) return std::nullopt;
  Result<sys::Fd> directory = tree.open(*resolved, O_RDONLY | O_DIRECTORY);
  if (!directory) return std::nullopt;
  Result<std::vector<std::string>> names = names_in(std::move(*directory));
  if (!names) return std::nullopt;
  std::vector<std::string_view> visible;
  for (const std::string& candidate : *names)
    if (!tree.ignored(join_path(*resolved, candidate))) visible.emplace_back(candidate);
  std::optional<std::string_view> near = nearest(name, visible);
  if (!near) return std::nullopt;
  return join_path(parent, *near);
}

std::string hint_for(const SourceTree& tree, const std::string& path) {
  std::string clean = join(path_parts(path), "/");
  Result<std::string> resolved = tree.resolve(path);
  if (resolved && (tree.ignored(*resolved) || tree.ignored(clean)))
    return "'" + escape_name(path) + "' is there, but .dockerignore excludes it";
  Result<struct stat> status = tree.status(clean);
  if (!resolved && status && S_ISLNK(status->st_mode))
    return "'" + escape_name(path) + "' is a link to something that is not in the " + tree.name() +
           ": links are followed inside it only";
  if (std::optional<std::string> near = nearest_name(tree, path))
    return "did you mean '" + escape_name(*near) + "'?";
  return tree.kind() == SourceTree::Kind::kContext
             ? "sources are looked up in the directory given to build, not in the Dockerfile's"
             : "";
}

}  // namespace

Result<std::vector<std::string>> expand_wildcard(const SourceTree& tree, const std::string& base,
                                                 const std::string& pattern, bool deep) {
  std::vector<std::string> parts = path_parts(pattern);
  for (const std::string& part : parts) TRY_VOID(check_wildcard(part));
  Expansion expansion(tree, base, std::move(parts), deep);
  TRY_VOID_CTX(expansion.step("", 0), "cannot expand '" + escape_name(pattern) + "'");
  return expansion.take();
}

Error source_not_found(const CopySpec& spec, const CopySource& source, const std::string& path) {
  bool context = source.tree->kind() == SourceTree::Kind::kContext;
  return Error(ErrorKind::kNotFound, std::string(spec.add ? "ADD" : "COPY") + " failed: file '" +
                                         escape_name(path) + "' not found in " +
                                         source.tree->name() +
                                         (context ? " or excluded by .dockerignore" : ""))
      .set_errnum(ENOENT)
      .set_hint(hint_for(*source.tree, path));
}

}  // namespace wherry::build
