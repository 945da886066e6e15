// What Store::fsck and Store::collect say. Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

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
    std::string what;  // "layer sha256:...", "blob sha256:...", "snapshot ..."
    uint64_t bytes = 0;
    std::string why;
  };
  std::vector<Item> freed;
  std::vector<Item> kept;  // layers and blobs with what needs them
  uint64_t objects = 0;    // that were freed as well
  uint64_t bytes = 0;      // of all that
  uint64_t total = 0;      // bytes of the store afterwards
};

// An object is too little and too many to be an item: each is told as it is looked at.
struct ObjectFate {
  bool goes = false;
  std::string what;  // "object sha256:..."
  uint64_t bytes = 0;
  std::string why;
};
using ObjectSink = std::function<Result<void>(const ObjectFate&)>;

struct CollectOptions {
  bool dry_run = false;
  // Gets each object that goes; its error ends it. With `every_object`, of a dry run, also those
  // that stay, and a path for each.
  ObjectSink object;
  bool every_object = false;
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
