// Build checks on a parsed Dockerfile: what is legal but rarely meant. Names and words are those of
// Docker's build checks. Inside build/ only.
#pragma once

#include <vector>

#include "build/dockerfile.h"
#include "build/dockerfile_lines.h"

namespace wherry::build {

// `lines` are those that the instructions were read from, one for one.
std::vector<Warning> lint(const std::vector<Instruction>& instructions,
                          const std::vector<LogicalLine>& lines);

}  // namespace wherry::build
