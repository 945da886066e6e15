// From a logical line to a typed instruction: one function per instruction. Inside build/ only.
#pragma once

#include "build/dockerfile.h"
#include "build/dockerfile_lines.h"

namespace wherry::build {

// Errors are without the line's number.
Result<Instruction> read_parts(const LogicalLine& line, char escape);

// ONBUILD ONBUILD, FROM and MAINTAINER are no triggers. `name`: upper case.
Result<void> check_trigger(std::string_view name);

}  // namespace wherry::build
