// seccomp filters as compiled BPF. The one for Docker's default capability set is compiled at build
// time (tools/seccomp_gen links libseccomp); others are composed by the engine
// (compose_default_filter needs libseccomp and lives in runtime/seccomp_compose.h, which the
// monitor does not link).
//
// Source of the profile: reference runtime.md 5 (Docker's default profile): default EPERM, unknown
// newer system calls ENOSYS so that libc's feature probes work, clone3 ENOSYS without
// CAP_SYS_ADMIN.
#pragma once

#include <string>
#include <string_view>

namespace wherry::runtime {

// The precompiled filter of the default profile for Docker's 14 default capabilities: bytes of an
// array of struct sock_filter. Valid for the program's whole life.
std::string_view default_seccomp_filter();

}  // namespace wherry::runtime
