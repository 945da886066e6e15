#include "registry/ranges.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace wherry::registry {

std::variant<ByteRange, RangeAnswer> parse_range(std::string_view header, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit) || header.contains(',')) return RangeAnswer::kWhole;
  auto [first_text, last_text] = split_once(trim(header.substr(kUnit.size())), '-');
  if (!last_text) return RangeAnswer::kWhole;
  if (first_text.empty()) {  // the last N bytes
    std::optional<uint64_t> count = parse_u64(*last_text);
    if (!count) return RangeAnswer::kWhole;
    if (*count == 0 || size == 0) return RangeAnswer::kUnsatisfiable;
    return ByteRange{size - std::min(*count, size), size - 1};
  }
  std::optional<uint64_t> first = parse_u64(first_text);
  std::optional<uint64_t> last =
      last_text->empty() ? std::numeric_limits<uint64_t>::max() : parse_u64(*last_text);
  if (!first || !last || *last < *first) return RangeAnswer::kWhole;
  if (*first >= size) return RangeAnswer::kUnsatisfiable;
  return ByteRange{*first, std::min(*last, size - 1)};
}

std::optional<ByteRange> parse_content_range(std::string_view header) {
  constexpr std::string_view kUnit = "bytes ";
  if (header.starts_with(kUnit)) header.remove_prefix(kUnit.size());
  header = split_once(header, '/').first;  // "/<total>" says nothing that is needed
  auto [first_text, last_text] = split_once(header, '-');
  if (!last_text) return std::nullopt;
  std::optional<uint64_t> first = parse_u64(first_text), last = parse_u64(*last_text);
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!first || !last || *last < *first || *last >= kMost) return std::nullopt;
  return ByteRange{*first, *last};
}

}  // namespace wherry::registry
