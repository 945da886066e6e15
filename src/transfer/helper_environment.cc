#include "transfer/helper_environment.h"

#include <cstdlib>

#include "sys/process.h"

namespace wherry::transfer {
namespace {

constexpr const char* kProxyVariables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                           "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

}  // namespace

std::vector<std::string> helper_environment() {
  std::vector<std::string> variables = sys::inherited_test_environment();
  for (const char* name : kProxyVariables)
    if (const char* value = getenv(name)) variables.push_back(std::string(name) + "=" + value);
  // Docker's users write it so; curl does not read it, because a web server's scripts get a
  // client's header "Proxy" under this name.
  const char* upper = getenv("HTTP_PROXY");
  if (upper != nullptr && getenv("http_proxy") == nullptr && getenv("REQUEST_METHOD") == nullptr)
    variables.push_back(std::string("http_proxy=") + upper);
  return variables;
}

}  // namespace wherry::transfer
