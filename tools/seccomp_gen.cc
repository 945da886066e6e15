// seccomp_gen OUTPUT: writes the default profile for Docker's 14 default capabilities as the
// initialisers of an array of struct sock_filter. Runs at build time, on the machine that the
// programs are built for.
#include <linux/filter.h>

#include <cstdio>
#include <cstring>
#include <set>
#include <string>

#include "runtime/seccomp_compile.h"

int main(int argc, char** argv) {
  using namespace wherry::runtime;
  if (argc != 2) {
    std::fprintf(stderr, "usage: seccomp_gen OUTPUT\n");
    return 2;
  }
  const auto names = default_capabilities();
  const auto filter = compile_profile(native_machine(), {names.begin(), names.end()});
  if (!filter) {
    std::fprintf(stderr, "seccomp_gen: %s\n", filter.error().message().c_str());
    return 1;
  }
  FILE* output = std::fopen(argv[1], "w");
  if (output == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  for (size_t at = 0; at + sizeof(sock_filter) <= filter->size(); at += sizeof(sock_filter)) {
    sock_filter line{};
    std::memcpy(&line, filter->data() + at, sizeof line);
    std::fprintf(output, "{0x%02x, %u, %u, 0x%08x},\n", line.code, line.jt, line.jf, line.k);
  }
  if (std::fclose(output) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  return 0;
}
