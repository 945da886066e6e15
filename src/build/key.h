// What a step's cache key is made of, and the key.
//
//   key = SHA-256(version, platform, parent, kind, inputs...)
//
// The parent is content: the diff ids of everything below the step, in order, with a mark for each
// step that changed nothing (so that the same command twice in a row is two steps). Names, tags,
// build history and metadata that a step cannot see do not enter. docs/design/build.md has the
// table, docs/formats/build-cache.md the JSON form, in which the parts are kept to explain misses
// later.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"

namespace wherry::build {

class KeyParts {
 public:
  // "RUN", "COPY", ...; the instruction as the user sees it does not enter the key.
  KeyParts(std::string_view kind, std::string_view instruction);

  KeyParts& add(std::string_view name, std::string_view value);
  KeyParts& add(std::string_view name, const std::vector<std::string>& values);
  // Not in the key, only in the explanation.
  KeyParts& explain(std::string_view name, std::string_view value);

  // `parent`: Chain::identity.
  Digest key(const Digest& parent) const;
  std::string json(const Digest& parent) const;

 private:
  struct Part {
    std::string name;
    std::vector<std::string> values;
    bool list = false;
    bool counts = true;
  };
  std::vector<Part> parts_;
};

}  // namespace wherry::build
