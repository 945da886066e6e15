#include "tree/objects.h"

#include <algorithm>

#include "base/text.h"

namespace wherry::tree {

Result<std::vector<Object>> objects_of(const Entries& entries) {
  std::vector<Object> objects;
  while (true) {
    TRY(const Entry* entry, entries());
    if (entry == nullptr) break;
    if (entry->type == Type::kFile && entry->size > 0)
      objects.push_back({entry->object, entry->size});
  }
  std::ranges::sort(objects);
  objects.erase(std::ranges::unique(objects).begin(), objects.end());
  const auto twice = std::ranges::adjacent_find(objects, {}, &Object::id);
  if (twice != objects.end())
    return Error(ErrorKind::kCorrupt, "the object '" + to_hex(twice->id) +
                                          "' has two sizes: " + std::to_string(twice->size) +
                                          " and " + std::to_string((twice + 1)->size));
  return objects;
}

}  // namespace wherry::tree
