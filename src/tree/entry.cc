#include "tree/entry.h"

#include <algorithm>

namespace wherry::tree {

int compare_paths(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  const size_t same = static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + shorter, b.begin()).first - a.begin());
  if (same == shorter) return a.size() < b.size() ? -1 : a.size() > b.size();
  const auto rank = [](char c) { return c == '/' ? -1 : static_cast<unsigned char>(c); };
  return rank(a[same]) < rank(b[same]) ? -1 : 1;
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return !path.empty();
  return path.size() > directory.size() && path[directory.size()] == '/' &&
         path.starts_with(directory);
}

bool is_xattr_kept(Type type, std::string_view name) {
  constexpr std::string_view kUser = "user.", kOverlay = "user.overlay.";
  if (name.size() > kMaxXattrName || name.find('\0') != name.npos) return false;
  if (name == "security.capability") return type == Type::kFile;
  return name.starts_with(kUser) && name.size() > kUser.size() && !name.starts_with(kOverlay) &&
         (type == Type::kFile || type == Type::kDirectory);
}

}  // namespace wherry::tree
