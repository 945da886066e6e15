// UTF-8 as the JSON library judges it, and bytes that are none carried through texts that must be.
// Program arguments, environments and paths are bytes to Linux.
#pragma once

#include <string>
#include <string_view>

namespace wherry {

// Well-formed: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);
// Bytes of the character at the front; 0: none begins there.
size_t utf8_length(std::string_view text);

// Any bytes as UTF-8, so that from_carried(to_carried(x)) is x. Valid text stays as it is; a byte B
// that is in no character becomes the character U+10FF00+B of the private use area. Bytes of
// characters that look like that are treated the same.
std::string to_carried(std::string_view bytes);
std::string from_carried(std::string_view text);
// True when to_carried would change it.
bool needs_carrying(std::string_view bytes);
// False: from_carried would not change it.
bool has_carried(std::string_view text);

}  // namespace wherry
