// The places that mounts needed in a container's upper directory: directories and empty files that
// the runtime made because the image had none, and copies of their parents. A layer must not have
// them.
//
// Looked at when everything is mounted and nothing of the container has run yet, removed when it
// has ended: what is still as it was then goes, what the program has changed stays.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::engine {

class MountStubs {
 public:
  static Result<MountStubs> find(int upper);
  Result<void> remove(int upper) const;

 private:
  struct Stub {
    std::string path;  // relative, parents before their children
    struct stat seen;
  };
  static Result<void> collect(int directory, const std::string& prefix, int depth,
                              std::vector<Stub>& stubs);
  std::vector<Stub> stubs_;
};

}  // namespace wherry::engine
