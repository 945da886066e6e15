// What Store::fsck and Store::collect say. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.h"

namespace wherry::store {

struct FsckOptions {
  bool quick = false;   // metadata only: nothing is hashed
  bool repair = false;  // what is damaged is taken away, so that the next load or pull brings it
};

struct FsckReport {
  uint64_t objects = 0, layers = 0, images = 0, blobs = 0, snapshots = 0;  // looked at
  uint64_t bytes = 0;                                                      // hashed
  // One line each: the object, what is wrong with it, and of objects a file that it is.
  std::vector<std::string> problems;
  std::vector<std::string> repairs;  // what was done about them
  std::vector<std::string> damaged;  // images that need a load or pull: a name, else an id
};

// What collection freed or would free, and why the rest stays.
struct Collected {
  struct Item {
    std::string what;  // "object sha256:...", "layer sha256:...", "blob sha256:...", "snapshot ..."
    uint64_t bytes = 0;
    std::string why;
  };
  std::vector<Item> freed;
  std::vector<Item> kept;  // layers and blobs with what needs them
  uint64_t bytes = 0;      // of `freed`
  uint64_t objects = 0;    // of `freed`, those that are objects
  uint64_t total = 0;      // bytes of the store afterwards
};

struct CollectOptions {
  bool dry_run = false;
  // Bytes that the store may have; blobs that can be had again go until it is met, the largest
  // first. 0: no budget.
  uint64_t budget = 0;
};

// What an image costs.
struct ImageUsage {
  std::string id;
  std::vector<std::string> names;
  uint64_t size = 0;   // bytes of the objects that it names, each once
  uint64_t alone = 0;  // of those that no other image names
  uint64_t objects = 0;
  struct Shared {
    std::string with;  // a name of the other image, else its id
    uint64_t bytes = 0;
  };
  std::vector<Shared> shared;  // the most first
};

}  // namespace wherry::store
