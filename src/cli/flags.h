// The command line's flag tables are base/flags.h's, which wherry-oci shares.
#pragma once

#include "base/flags.h"

namespace wherry::cli {

using wherry::Flag;
using wherry::FlagKind;
using wherry::flags_help;
using wherry::FlagTable;
using wherry::parse_billionths;
using wherry::parse_boolean;
using wherry::parse_flags;
using wherry::ParsedFlags;
using wherry::RefusedFlag;

}  // namespace wherry::cli
