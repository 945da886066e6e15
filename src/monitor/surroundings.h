// What a process inherits from whoever started it besides descriptors and environment: creation
// mask, priority, scheduler, processors, limits, out-of-memory score, session keyring. A container
// must not depend on its caller, so its monitor starts from fixed ones. What the kernel does not
// let us change (no CAP_SYS_NICE, say) stays as it is. See credentials(7).
#pragma once

namespace wherry::monitor {

void take_fixed_surroundings();

}  // namespace wherry::monitor
