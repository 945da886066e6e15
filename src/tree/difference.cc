#include "tree/difference.h"

#include <algorithm>
#include <vector>

namespace wherry::tree {

namespace {

bool same_xattrs(const Entry& a, const Entry& b) {
  return std::ranges::equal(a.xattrs, b.xattrs, [](const Xattr& x, const Xattr& y) {
    return x.name == y.name && x.value == y.value;
  });
}

uint16_t what_differs(const Entry& a, const Entry& b) {
  uint16_t what = 0;
  const auto differs_if = [&what](bool different, What bit) { what |= different ? bit : 0; };
  differs_if(a.mode != b.mode, kMode);
  differs_if(a.uid != b.uid || a.gid != b.gid, kOwner);
  differs_if(a.mtime_s != b.mtime_s || a.mtime_ns != b.mtime_ns, kTime);
  differs_if(!same_xattrs(a, b), kXattrs);
  if (a.type != b.type) return what | kType;
  differs_if(a.size != b.size || a.object != b.object, kContent);
  differs_if(a.target != b.target, kTarget);
  differs_if(a.device_major != b.device_major || a.device_minor != b.device_minor, kDevice);
  return what;
}

// Inode numbers of two trees are those of the same files when each always meets the same other.
class Partners {
 public:
  bool meet(uint32_t a, uint32_t b) {
    if (a == 0 || b == 0) return a == b;
    const bool forth = meets(forth_, a, b), back = meets(back_, b, a);  // both remember
    return forth && back;
  }

 private:
  static bool meets(std::vector<uint32_t>& known, uint32_t from, uint32_t to) {
    if (from > known.size()) known.resize(from);
    uint32_t& other = known[from - 1];
    if (other == 0) other = to;
    return other == to;
  }

  std::vector<uint32_t> forth_, back_;
};

}  // namespace

Result<void> differences(const Entries& before, const Entries& after,
                         const std::function<Result<void>(const Difference&)>& sink) {
  Partners partners;
  TRY(const Entry* old, before());
  TRY(const Entry* now, after());
  while (old != nullptr || now != nullptr) {
    const int order = old == nullptr   ? 1
                      : now == nullptr ? -1
                                       : compare_paths(old->path, now->path);
    if (order == 0) {
      uint16_t what = what_differs(*old, *now);
      if (!partners.meet(old->inode, now->inode)) what |= kLinks;
      if (what != 0) TRY_VOID(sink({old, now, what}));
    } else {
      TRY_VOID(sink({order < 0 ? old : nullptr, order > 0 ? now : nullptr, 0}));
    }
    if (order <= 0) {
      TRY(old, before());
    }
    if (order >= 0) {
      TRY(now, after());
    }
  }
  return {};
}

}  // namespace wherry::tree
