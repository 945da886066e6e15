// The fields of a tar header as numbers and text: where they are, and how strictly they are read.
//
// Numbers are octal, blank at either end, or base-256 (GNU, star) when the first bit is set. What
// is neither is refused, not cut off: two readers must not see two archives in the same bytes.
// Sources: POSIX.1-2017, pax, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace wherry::archive {

struct TarField {
  size_t offset;
  size_t size;
};
namespace tar_field {
inline constexpr TarField kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kMtime{136, 12}, kChecksum{148, 8}, kLink{157, 100}, kMagic{257, 8}, kMajor{329, 8},
    kMinor{337, 8}, kPrefix{345, 155};
inline constexpr size_t kType = 156;
// star: a shorter prefix, times behind it, and its own mark at the end.
inline constexpr TarField kStarPrefix{345, 131}, kStarMark{508, 4};
// Old GNU sparse: four runs, whether more blocks of them follow, the size with the holes.
inline constexpr TarField kSparse{386, 96}, kRealSize{483, 12};
inline constexpr size_t kSparseMore = 482;
// A block of more: 21 runs.
inline constexpr TarField kMoreSparse{0, 504};
inline constexpr size_t kMoreSparseMore = 504;
}  // namespace tar_field

inline std::string_view field_bytes(std::string_view header, TarField field) {
  return header.substr(field.offset, field.size);
}
// Up to the first zero byte.
std::string_view field_text(std::string_view header, TarField field);
// Absent: it is no number, or one beyond 63 bits. All blank is 0.
std::optional<int64_t> parse_tar_number(std::string_view bytes);
// Whether the checksum is that of the header's bytes, taken as unsigned or, by old writers, signed.
bool has_right_checksum(std::string_view header);

}  // namespace wherry::archive
