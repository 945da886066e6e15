// Seccomp sections of foreign configurations: whatever parses compiles to a program of whole
// instructions within the kernel's limit, or is refused.

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "oci/runtime_spec.h"
#include "runtime/seccomp_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  auto spec = wherry::oci::parse_runtime_spec({reinterpret_cast<const char*>(data), size});
  if (!spec || !spec->seccomp) return 0;
  auto filter = wherry::runtime::compile_spec_filter(*spec->seccomp);
  if (!filter) return 0;
  if (filter->program.size() % sizeof(sock_filter) != 0 ||
      filter->program.size() > BPF_MAXINSNS * sizeof(sock_filter))
    __builtin_trap();
  return 0;
}
