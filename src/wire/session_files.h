// The certificates of a registry, from descriptors that the parent has opened: this process could
// not open /etc/docker/certs.d.
#pragma once

#include <string>
#include <vector>

#include "sys/fd.h"
#include "wire/exchange.h"

namespace wherry::wire {

// `names`: of "ca", "cert", "key", one per descriptor. An authority's certificate is added to the
// system's.
Result<Session> read_session_files(const std::vector<std::string>& names,
                                   const std::vector<sys::Fd>& fds);

}  // namespace wherry::wire
