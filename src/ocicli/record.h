// What wherry-oci remembers of a container between its commands: ROOT/ID/state.json.
//
// Only what the kernel cannot tell: whether it runs is asked of the process (see status()).
// The format is docs/formats/oci-state.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/bundle.h"

namespace wherry::ocicli {

// As the specification and runc name them.
enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };
std::string_view status_word(Status status);

struct Record {
  // kCreating until the init waits for `start`, kStarted when its program has been executed.
  // kStarting while `start` lets it go: after a kill in between the process itself tells.
  enum class Phase { kCreating, kCreated, kStarting, kStarted };

  Phase phase = Phase::kCreating;
  std::string id;
  std::string oci_version;
  std::string bundle;  // absolute
  std::string rootfs;  // absolute
  runtime::CgroupPlace cgroup;
  int64_t created_ns = 0;  // wall clock
  uint32_t owner = 0;      // uid
  std::map<std::string, std::string> annotations;
  pid_t pid = 0;  // 0: there has been no init
  uint64_t start_time = 0;
  bool notify = false;  // READY=1 is passed on by `start`
  bool no_new_keyring = false;
};

std::string to_json(const Record& record);
Result<Record> parse_record(std::string_view json);

// The document of `state`, one element of `list --format json`, and what hooks read.
std::string state_json(const Record& record, Status status, const std::string& owner_name);
std::string states_json(const std::vector<std::string>& states);

}  // namespace wherry::ocicli
