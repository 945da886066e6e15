// What a builder needs of the engine on this machine: the store, the state, and steps that run as
// containers do. Builds happen where the store is; an engine elsewhere builds there.
//
// A step goes the way of `run` (runtime, confinement, monitor, network) but has no record: it never
// appears in `ps`. It ends when its Step object or its process goes, and what it held (lease,
// cgroup, run directory) is given back then, or by the next command.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "oci/runtime_spec.h"
#include "state/database.h"
#include "store/store.h"

namespace wherry::engine {

// A file that a step sees and its layer never has: a secret, a script. Kept on tmpfs meanwhile.
struct StepFile {
  std::string destination;  // absolute
  std::string content;
  uint32_t mode = 0400, uid = 0, gid = 0;
};

struct StepRequest {
  store::MountPlan below;   // never empty
  std::string upper, work;  // absolute; what the step changes is in `upper` afterwards
  std::vector<std::string> argv;
  std::vector<std::string> env;  // without the PATH and HOSTNAME that every container has
  std::string user;              // as in an image's configuration; empty: root
  std::string working_dir = "/";
  std::string network_mode = "bridge";  // bridge, none, host
  std::vector<oci::Mount> mounts;       // in the order of mounting
  std::vector<StepFile> files;
};

class Step {
 public:
  virtual ~Step() = default;
  // Its output and its end: kExited is the last event.
  virtual Session& session() = 0;
  // After the end: gives everything back and takes out of `upper` what only the mounts needed.
  virtual Result<void> finish() = 0;
};

class BuildHost {
 public:
  virtual ~BuildHost() = default;
  virtual Result<store::Store*> image_store() = 0;
  virtual state::Database& state() = 0;
  virtual const std::string& root() const = 0;
  // Gives back what commands that died have left: steps, leases, half-made layers. Beside others at
  // work.
  virtual Result<void> take_back() = 0;
  // The step's program runs when this returns. A program that cannot be executed is an error with
  // the runtime's words ("exec: ...").
  virtual Result<std::unique_ptr<Step>> run_step(const StepRequest& request) = 0;
  // An image of this machine, pulled when it is missing or when `pull` asks for the newest.
  // `note`: lines for the user.
  // `platform`: "os/arch[/variant]"; empty: this machine's, or what there is.
  virtual Result<store::Image> base_image(const std::string& name, const std::string& platform,
                                          bool pull,
                                          const std::function<void(const std::string&)>& note) = 0;
};

}  // namespace wherry::engine
