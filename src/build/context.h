// Where a build takes its files and its Dockerfile from: a directory, or standard input with a tar
// or just the Dockerfile.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "build/source_tree.h"
#include "store/layer_draft.h"
#include "store/store.h"

namespace wherry::build {

struct Context {
  std::unique_ptr<store::LayerDraft> unpacked;  // of a tar from standard input
  std::optional<SourceTree> tree;  // seen through .dockerignore; empty: there is no context
  std::string dockerfile;          // its text
  std::string dockerfile_name;     // as users know it
};

// `path`: a directory or "-". `dockerfile`: "" for the one in the context, "-" for standard input,
// else a file (of a tar: one in it). URLs and git repositories are kUnsupported by name.
Result<Context> open_context(const std::string& path, const std::string& dockerfile,
                             store::Store& store);

}  // namespace wherry::build
