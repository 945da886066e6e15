#include "runtime/seccomp.h"

#include <linux/filter.h>

namespace wherry::runtime {
namespace {

constexpr sock_filter kDefaultFilter[] = {
#include "seccomp_default.inc"
};

}  // namespace

std::string_view default_seccomp_filter() {
  return {reinterpret_cast<const char*>(kDefaultFilter), sizeof kDefaultFilter};
}

}  // namespace wherry::runtime
