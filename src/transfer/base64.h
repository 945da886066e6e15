// Base64 with padding, standard alphabet (RFC 4648, section 4): what Docker keeps credentials in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace wherry::transfer {

std::string base64_encode(std::string_view bytes);
// nullopt unless the text is base64 in whole groups of four.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace wherry::transfer
