#include "runtime/seccomp_compose.h"

#include "runtime/seccomp_compile.h"

namespace wherry::runtime {

Result<std::string> compose_default_filter(const std::vector<std::string>& capabilities) {
  return compile_profile(native_machine(), {capabilities.begin(), capabilities.end()});
}

}  // namespace wherry::runtime
