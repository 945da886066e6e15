// The farm: files by content and metadata, for checkouts that are made of hard links.
//
//   farm/12/3456...      the file whose key is 123456...
//   farm/12/3456....1    another one of the same key: the first has no room for more names, or one
//                        tree has several such files that are not names of one file
// A key is the SHA-256 of everything a file is: content, size, mode, owner, time, attributes. What
// has a key here is never changed: containers see it below an overlay. A file is made whole under
// its name in a checkout and then gets its name here, so a death leaves no half of one; it is
// durable when its maker has synced the file system. Whoever unlinks a checkout leaves files here
// that have one name only; those are removable at any time, beside checkouts being made too.
//
// A file that is here already is compared by its metadata before a tree takes it up, and if anybody
// but the store may have touched it (store/own_spans.h) also by its content; one that differs is
// replaced.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "store/own_spans.h"
#include "sys/fd.h"
#include "tree/entry.h"

namespace wherry::store {

inline constexpr const char* kFarm = "farm";  // below the root

Digest farm_key(const tree::Entry& entry);
// "12/3456..." or "12/3456....1".
std::string farm_name(const Digest& key, uint32_t copy);

// Which of a key's files a tree uses next. Eight bytes and a little more for each key.
class FarmUses {
 public:
  // 0 for a key that is asked for the first time.
  uint32_t next(const Digest& key);
  // The copies up to this one are not to be used any more.
  void used(const Digest& key, uint32_t copy);

 private:
  bool insert(uint64_t fingerprint);
  void grow();

  std::vector<uint64_t> slots_;  // open addressing; 0: free
  size_t filled_ = 0;
  std::unordered_map<uint64_t, uint32_t> repeated_;
};

// The links of one tree into the farm. All borrowed.
class Farm {
 public:
  Farm(int farm, int objects, const OwnSpans& spans)
      : farm_(farm), objects_(objects), spans_(spans) {}

  // Makes `name` in `dir` a name of the entry's file. Entries that are names of one file in the
  // tree are the caller's: this is for the first. A file of the farm that is not what it must be is
  // replaced. Errors as make_tree_file. Failpoints: store.farm.made, store.farm.linked.
  Result<void> link(const tree::Entry& entry, int dir, const std::string& name);

 private:
  enum class Outcome { kLinked, kMissing, kFull };
  Result<Outcome> link_existing(const std::string& file, const tree::Entry& entry, int dir,
                                const std::string& name);
  // True: made. False: another process was faster.
  Result<bool> make(const std::string& file, const tree::Entry& entry, int dir,
                    const std::string& name);
  Result<void> drop(const std::string& file, const tree::Entry& entry, const struct stat& damaged);
  Result<void> make_folder(const std::string& file);
  Result<bool> is_whole(const std::string& file, const tree::Entry& entry, const struct stat& info);

  int farm_;
  int objects_;
  const OwnSpans& spans_;
  FarmUses uses_;
};

// This file of the entry's is damaged, and marked: it loses its names in the farm, and the next
// tree gets another one. Best effort: what stays is compared when it is linked.
void forget_farm_file(int farm, const tree::Entry& entry, const struct stat& info);

struct FarmSwept {
  uint64_t files = 0;
  uint64_t bytes = 0;
};
// Removes those files of `root`'s farm, if it has one, that no checkout has a name of.
Result<FarmSwept> sweep_farm(const std::string& root);

}  // namespace wherry::store
