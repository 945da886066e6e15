// Roots of stages and images as trees that COPY --from and mounts read; each is mounted once, until
// layers have moved.
#pragma once

#include <list>
#include <map>
#include <string>

#include "build/layers.h"
#include "build/source_tree.h"
#include "build/tree_mount.h"

namespace wherry::build {

class Roots {
 public:
  explicit Roots(store::Store& store) : store_(store) {}
  // `key`: one for each root; `name`: for messages, "stage 'x'". The result lives until clear().
  Result<const SourceTree*> open(const std::string& key, const std::string& name,
                                 const Chain& chain);
  // After layers have moved: a draft whose layer was there already is gone with what it showed.
  void clear() { mounted_.clear(); }

 private:
  struct Mounted {
    std::optional<store::LayerDraft> scratch;
    SourceTree tree;
  };
  store::Store& store_;
  std::map<std::string, Mounted> mounted_;
};

}  // namespace wherry::build
