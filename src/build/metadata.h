// What a Dockerfile's instructions without files of their own do to an image's configuration.
//
//   StageMetadata stage{&config, scope};
//   TRY_VOID_CTX(apply_metadata(instruction, stage), instruction.original);
//
// ENV, LABEL, EXPOSE, VOLUME, USER, WORKDIR, CMD, ENTRYPOINT, SHELL, STOPSIGNAL, HEALTHCHECK,
// ONBUILD, MAINTAINER and ARG; pure functions. Of WORKDIR the path: making the directory is the
// builder's. All words of one instruction are expanded before it takes effect.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "build/dockerfile.h"
#include "build/expand.h"
#include "oci/image.h"

namespace wherry::build {

// ARG's scope in one stage. The image's ENV hides an ARG of the same name everywhere.
class Scope {
 public:
  // `build_args`: --build-arg; `global`: values of the ARGs before the first FROM and the
  // predefined ones (StagePlan::global_args). Both are copied.
  Scope(std::map<std::string, std::string> build_args, std::map<std::string, std::string> global,
        char escape = '\\');

  // `ARG name[=value]...`: --build-arg, else the default, else the global value, else unset.
  Result<void> declare(const Arg& arg, const std::vector<std::string>& env);
  // Of words in this stage. Keeps references to this scope and to `env`.
  Expander expander(const std::vector<std::string>& env);
  // The environment of a RUN: `env`, the declared ARGs that it does not hide in order of
  // declaration, then proxies from --build-arg. Proxies that were not declared are in `hidden` too:
  // they belong neither into a cache key nor into the history.
  struct RunEnv {
    std::vector<std::string> visible;
    std::vector<std::string> hidden;
  };
  RunEnv run_env(const std::vector<std::string>& env) const;
  // Declared ARGs with a value, "NAME=value", in order of declaration.
  std::vector<std::string> declared() const;
  // Names that expanders of this scope asked for in vain and no ARG declares. Clears them.
  std::vector<std::string> take_undefined();
  char escape() const { return escape_; }

 private:
  std::map<std::string, std::string> build_args_, global_;
  std::vector<std::pair<std::string, std::optional<std::string>>> declared_;
  std::set<std::string> unset_;
  char escape_;
};

struct StageMetadata {
  oci::ImageConfig* image;
  Scope* scope;
  bool cmd_set = false;  // by this stage: an ENTRYPOINT takes a CMD that came with the base away
};

// True: applied; false: the instruction is none of these (FROM, RUN, COPY, ADD).
Result<bool> apply_metadata(const Instruction& instruction, StageMetadata& stage);

// WORKDIR's result: `path` in `current`, clean, absolute.
std::string working_directory(const std::string& current, const std::string& path);
// EXPOSE's "[ip:]host:port/PROTO" without what means nothing in an image: "port/proto".
std::string container_port(std::string_view word);
// What a shell form runs as: SHELL (default /bin/sh -c) and the text; an exec form is itself.
std::vector<std::string> command_line(const Command& command, const oci::ImageRunConfig& config);

// history's created_by, by the conventions of Docker's builder: "ENV A=b", "CMD [\"a\" \"b\"]",
// "RUN |1 X=1 /bin/sh -c make # buildkit". After apply_metadata of the same instruction.
Result<std::string> created_by(const Instruction& instruction, const StageMetadata& stage);

}  // namespace wherry::build
