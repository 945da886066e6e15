// ADD's sources that are not files: URLs are fetched through wherry-transfer before the step's key
// is known, git repositories are refused by name.
#pragma once

#include <optional>
#include <string>

#include "base/digest.h"
#include "build/source_tree.h"

namespace wherry::build {

enum class AddSource { kLocal, kUrl };

// What a source argument of ADD is; a git repository is kUnsupported.
Result<AddSource> classify_add_source(const std::string& source);

// The last part of the URL's path, percent-decoded; "__unnamed__" where there is none that could
// name a file.
std::string name_of_url(std::string_view url);

struct Download {
  SourceTree tree;   // of the one file: CopySource{&tree, name}
  std::string name;  // name_of_url
  Digest digest;     // enters the key through select()
  uint64_t size = 0;
};

// Fetches `url` into a file without a name in the directory `directory` (where there is room; the
// file goes with its descriptor). Mode 0600. `checksum`, "sha256:..." or empty, must match.
Result<Download> download(const std::string& url, const std::string& checksum, int directory);

}  // namespace wherry::build
