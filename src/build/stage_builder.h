// One stage, from its FROM to its last instruction.
//
// An instruction either changes the configuration (nothing runs, nothing is shown) or makes a
// layer: RUN, COPY, ADD, and WORKDIR for a directory. Those go through layer_step(): title, cache
// key, lookup, else make and seal, history. Words are expanded against the environment before the
// instruction.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "build/build_state.h"
#include "build/copy.h"
#include "build/metadata.h"
#include "build/run_mounts.h"

namespace wherry::build {

class StageBuilder {
 public:
  StageBuilder(BuildState& build, const Stage& stage);
  Result<StageResult> run();

 private:
  // A step that makes a layer, as far as it is known before it is made.
  struct Prepared {
    KeyParts parts;
    // Fills the draft's tree. A result: while it was at work the step was found in the cache.
    std::function<Result<std::optional<Layers::Hit>>(store::LayerDraft& draft)> make;
  };
  using Prepare = std::function<Result<Prepared>()>;

  Result<void> begin_from_base();
  Result<StageResult> open_base();
  Result<void> take_triggers();
  Result<void> build_what_triggers_need();
  Result<void> execute(const Instruction& instruction);
  Result<void> layer_step(const Instruction& instruction, const Prepare& prepare);
  Result<bool> try_step(const Instruction& instruction, const Prepare& prepare);
  Result<Prepared> prepare_step(const Instruction& instruction);
  // UndefinedVar, once the instruction's words are expanded. An error where checks are errors.
  Result<void> check_variables(const Instruction& instruction);
  Result<bool> take_hit(std::optional<Layers::Hit> hit, const Instruction& instruction);
  Result<void> add_history(const Instruction& instruction, int64_t created_ns, bool empty);
  std::string title(const Instruction& instruction);
  size_t count_steps() const;
  Result<std::optional<Layers::Hit>> lookup(const KeyParts& parts);
  // Shows what went wrong at `place`, and gives the error back.
  Error failed(const Error& error, Place place);

  // workdir_step.cc
  bool makes_directory(const Workdir& workdir);
  Result<Prepared> prepare_workdir(const Instruction& instruction, const Workdir& workdir);
  // run_step.cc
  Result<Prepared> prepare_run(const Instruction& instruction, const Run& run);
  Result<std::optional<Layers::Hit>> run_program(engine::StepRequest request,
                                                 store::LayerDraft& draft, const KeyParts& parts);
  Result<int> follow(engine::Step& step, const KeyParts& parts, std::optional<Layers::Hit>& hit);
  Result<const SourceTree*> source_tree(const std::string& from);
  Error no_such_source(Error error, const std::string& name) const;
  // copy_step.cc
  Result<Prepared> prepare_copy(const Instruction& instruction, const Copy& copy);
  Result<CopySpec> copy_spec(const Copy& copy);
  Result<void> add_sources(const Copy& copy, CopySpec& spec);

  BuildState& build_;
  const Stage& stage_;
  StageResult state_;
  Scope scope_;
  StageMetadata metadata_;
  std::vector<Instruction> triggers_;  // of the base's ONBUILD
  size_t steps_ = 1, step_ = 0;        // for titles: FROM and what makes layers
  std::list<SourceTree> own_trees_;    // heredocs and downloads of the step at work
};

// The stage and what it needs, unless they are done already; the results go into `build`.
Result<void> build_stage(BuildState& build, int index);

}  // namespace wherry::build
