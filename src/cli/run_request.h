// From the flags of run and create to the engine's request. Pure but for the files that --env-file
// and
// --label-file name, the variables that `-e NAME` copies, and the current directory of `-v ./a:/b`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/config.h"
#include "cli/flags.h"
#include "engine/engine.h"

namespace wherry::cli {

extern const FlagTable kRunFlags;
extern const FlagTable kCreateFlags;

struct RunRequest {
  engine::CreateRequest create;
  bool detach = false;
  bool sig_proxy = true;
  bool quiet = false;
  std::string pull;  // always, missing, never
  std::string cid_file;
  std::string detach_keys;
};

// `flags.arguments`: IMAGE [COMMAND...]. Errors carry Docker's words.
Result<RunRequest> run_request(const ParsedFlags& flags, EnvironmentLookup lookup);

// --- the parts, for tests and exec

// One -p value added to `map`: [ip:][host]:container[/proto], ranges; "80" publishes on a free
// port.
Result<void> add_published_port(engine::PortMap& map, std::string_view text);

inline constexpr size_t kMaxListFile = 1 << 20;
inline constexpr size_t kMaxListLines = 65536;

// Lines of an environment file: NAME=VALUE, NAME (copied from the environment when set), #
// comments.
Result<std::vector<std::string>> parse_env_file(std::string_view text, std::string_view path,
                                                EnvironmentLookup lookup);
// Files first, then -e values, so that the latter win. `NAME` is copied from the environment; unset
// there, it takes the image's variable away.
Result<std::vector<std::string>> environment(const ParsedFlags& flags, EnvironmentLookup lookup);

}  // namespace wherry::cli
