#include "transfer/patience.h"

#include <cstdlib>

#include "base/text.h"

namespace wherry::transfer {
namespace {

constexpr const char* kVariable = "WHERRY_TRANSFER_PATIENCE";
constexpr uint64_t kMaxMs = 3'600'000;

}  // namespace

wire::Patience patience(wire::Patience wanted) {
  const char* variable = getenv(kVariable);
  if (variable == nullptr) return wanted;
  std::vector<std::string_view> parts = split(variable, ',');
  uint32_t* targets[] = {&wanted.connect_ms, &wanted.stall_ms, &wanted.backoff_ms};
  for (size_t i = 0; i < parts.size() && i < std::size(targets); ++i)
    if (std::optional<uint64_t> ms = parse_u64(parts[i]); ms && *ms <= kMaxMs)
      *targets[i] = static_cast<uint32_t>(*ms);
  return wanted;
}

}  // namespace wherry::transfer
