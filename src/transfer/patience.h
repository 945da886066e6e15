// How long transfers wait, and what tests make of it.
#pragma once

#include "wire/messages.h"

namespace wherry::transfer {

// `wanted`, but for what WHERRY_TRANSFER_PATIENCE=CONNECT,STALL,BACKOFF says (milliseconds, at most
// an hour).
wire::Patience patience(wire::Patience wanted);

}  // namespace wherry::transfer
