// How recipes are laid out, for their writer and their reader; docs/formats/recipe.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wherry::archive {

inline constexpr std::string_view kRecipeMagic = "wherryrc";
inline constexpr uint8_t kRecipeVersion = 1;
inline constexpr size_t kRecipeHeader = 16;

inline constexpr uint8_t kStepEnd = 0;
inline constexpr uint8_t kStepRaw = 1;
inline constexpr uint8_t kStepObject = 2;
inline constexpr uint8_t kStepSameObject = 3;  // another part of the one before

inline constexpr size_t kMaxRaw = 64u << 10;  // of one step
// Sums stay far from overflow.
inline constexpr uint64_t kMaxTarSize = uint64_t{1} << 50;

}  // namespace wherry::archive
