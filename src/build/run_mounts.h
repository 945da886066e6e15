// RUN --mount: what a step sees beside its root, in two phases. describe() is cheap and says what
// enters the step's key; materialize() makes directories and takes locks, on a miss only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "build/copy.h"
#include "build/dockerfile.h"
#include "engine/build_host.h"
#include "store/store.h"
#include "sys/lock.h"

namespace wherry::build {

struct Secret;

class RunMounts {
 public:
  // Of a mount's `from`; "" is the build context.
  using FindTree = std::function<Result<const SourceTree*>(const std::string& from)>;

  // `mounts` are expanded. Targets are relative to `working_dir`.
  static Result<RunMounts> describe(const std::vector<Mount>& mounts,
                                    const std::string& working_dir, const FindTree& find_tree,
                                    const std::vector<Secret>& secrets, state::Database* database);

  // One text a mount: what of it counts for the step's result.
  const std::vector<std::string>& definitions() const { return definitions_; }

  // Adds mounts, files and variables to the request. Directories and locks live as long as this.
  Result<void> materialize(store::Store& store, const std::string& root,
                           engine::StepRequest& request);

 private:
  struct Planned {
    Mount mount;
    std::string target;  // absolute, clean
    const SourceTree* tree = nullptr;
    Selection selection;  // bind: what is mounted
    const Secret* secret = nullptr;
  };
  static CopySpec bind_spec(const Planned& planned);
  Result<void> materialize_bind(const Planned& planned, store::Store& store,
                                engine::StepRequest& request);
  Result<void> materialize_cache(const Planned& planned, const std::string& root,
                                 engine::StepRequest& request);

  std::vector<Planned> planned_;
  std::vector<std::string> definitions_;
  std::vector<store::LayerDraft> scratch_;
  std::vector<sys::FileLock> locks_;
};

}  // namespace wherry::build
