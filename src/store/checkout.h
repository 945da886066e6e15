// Checkout: a directory with what a record says, made of objects. Of a merged tree, or of one layer
// with overlay's whiteouts and opaque directories in it.
//
// Entries come in the record's order and are written as they come; memory does not grow with their
// number but for eight bytes for each file of the farm, and depth costs neither stack nor
// descriptors. Everything is made relative to descriptors of directories that were made here, no
// link is ever followed. Nothing is synced: whoever renames the whole to its place does so once
// before. Anything that fails leaves a part for the caller's sweep.
//
// Directories that a layer's record leaves out are root's, 0755, of time 0. What lower layers have
// there is not known here; who stacks such a layer adds their entries (tree/complete.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/farm.h"
#include "store/tree_file.h"
#include "sys/fd.h"
#include "tree/record.h"

namespace wherry::store {

enum class FileWay {
  kFarm,     // names of the farm's files
  kReflink,  // files that share their objects' blocks; an error where that does not work
  kCopy,     // files of their own
};

// Borrowed.
struct CheckoutPlaces {
  int root = -1;  // an empty directory, which becomes the tree
  int work = -1;  // another one on the same file system; empty again afterwards
  int objects = -1;
  int farm = -1;                    // for kFarm
  const OwnSpans* spans = nullptr;  // for kFarm: begun before it
};

class Checkout {
 public:
  // Makes the new file `name` in a directory, with its metadata.
  using MakeFile =
      std::function<Result<void>(const tree::Entry& entry, int dir, const std::string& name)>;

  Checkout(tree::RecordKind kind, FileWay way, const CheckoutPlaces& places);
  // Of files whose contents are not objects; `places` needs neither objects nor farm.
  Checkout(tree::RecordKind kind, MakeFile make_file, const CheckoutPlaces& places);

  // Errors name the path. kCorrupt: an object is missing or damaged (the hint says what heals it),
  // or no record may say this. Failpoints: store.checkout.begin, store.checkout.file,
  // store.farm.made, store.farm.linked.
  Result<void> add(const tree::Entry& entry);
  // Once, at the end. Failpoint: store.checkout.done.
  Result<void> finish();

 private:
  struct Level {
    size_t length = 0;  // of the directory's path
    sys::Fd fd;         // empty: closed because it is far up
    timespec mtime{};
  };

  Result<void> begin();
  Result<void> leave_to(std::string_view parent);
  Result<void> enter(std::string_view path, const tree::Entry& entry);
  Result<void> leave();
  Result<int> current();
  Result<void> add_shared(const tree::Entry& entry, int dir, const std::string& name);
  Result<void> make(const tree::Entry& entry, int dir, const std::string& name);
  Result<void> make_node(const tree::Entry& entry, int dir, const std::string& name);

  tree::RecordKind kind_;
  FileWay way_ = FileWay::kCopy;
  MakeFile make_file_;
  CheckoutPlaces places_;
  std::optional<Farm> farm_;
  bool begun_ = false;
  std::string path_;           // of the directory that is open now
  std::vector<Level> levels_;  // from the root to it
  uint32_t shared_ = 0;        // inodes with several names so far, each also a name in `work`
};

// The whole of a record.
Result<void> check_out(tree::RecordReader& record, tree::RecordKind kind, FileWay way,
                       const CheckoutPlaces& places);

}  // namespace wherry::store
