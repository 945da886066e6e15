// The seccomp section of a config.json, compiled to classic BPF through libseccomp. Not linked into
// the monitor.
//
// As runc does it: system calls that libseccomp does not know are passed over; several conditions
// on one argument are alternatives; and under a default action that forbids, calls newer than the
// newest one the profile names get ENOSYS instead, so that libraries fall back as on an older
// kernel. Calls newer than libseccomp itself are matched by number in a prefix of ours. The same
// section gives the same bytes. Source: OCI runtime-spec 1.2, config-linux.md "Seccomp".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/runtime_spec.h"

namespace wherry::runtime {

struct SpecFilter {
  std::string program;    // bytes of struct sock_filter[]; empty: everything is allowed
  uint32_t flags = 0;     // SECCOMP_FILTER_FLAG_ bits to load it with
  bool listener = false;  // some call has the action SCMP_ACT_NOTIFY
  std::string key;        // under which a cache has the program; empty: none has
};

// An action, operator, architecture or flag that is not known is kInvalidArgument by name.
Result<SpecFilter> compile_spec_filter(const oci::Seccomp& seccomp);
// As above through a directory of programs by digest (made by the caller, 0700); empty: none. What
// cannot be read or written there is compiled anew and is no error.
Result<SpecFilter> cached_spec_filter(const oci::Seccomp& seccomp, const std::string& directory);

// The name of a section's program in a cache. Flags and the listener's path are no part of it.
std::string spec_filter_key(const oci::Seccomp& seccomp);
std::optional<std::string> kept_filter_program(const std::string& directory, std::string_view key);

// What the section may say, for the features of the runtime.
std::span<const std::string_view> seccomp_actions();
std::span<const std::string_view> seccomp_operators();
std::span<const std::string_view> seccomp_architectures();
std::span<const std::string_view> seccomp_flags();

}  // namespace wherry::runtime
