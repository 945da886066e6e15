#include "transfer/helper_environment.h"

#include <cstdlib>

#include "sys/process.h"

namespace wherry::transfer {
namespace {

// curl reads http_proxy in lower case only; the others in both.
constexpr const char* kProxyVariables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                           "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

}  // namespace

std::vector<std::string> helper_environment() {
  std::vector<std::string> variables = sys::inherited_test_environment();
  for (const char* name : kProxyVariables)
    if (const char* value = getenv(name)) variables.push_back(std::string(name) + "=" + value);
  return variables;
}

}  // namespace wherry::transfer
