// Lookup: entries of a stream by their paths, asked for in the order of paths. The stream is read
// once.
#pragma once

#include <string_view>

#include "tree/source.h"

namespace wherry::tree {

class Lookup {
 public:
  explicit Lookup(Entries entries) : entries_(std::move(entries)) {}

  // Null: there is none. Valid until the next call. `path`: not before one that was asked for.
  Result<const Entry*> find(std::string_view path) {
    while (!begun_ || (head_ != nullptr && compare_paths(head_->path, path) < 0)) {
      begun_ = true;
      TRY(head_, entries_());
    }
    return head_ != nullptr && head_->path == path ? head_ : nullptr;
  }

 private:
  Entries entries_;
  const Entry* head_ = nullptr;
  bool begun_ = false;
};

}  // namespace wherry::tree
