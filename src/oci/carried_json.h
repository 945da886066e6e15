// JSON between our own programs and in our own state: texts that are no UTF-8 (arguments,
// environment, paths, labels) come back byte for byte, carried as base/utf8.h says. What others
// read (inspect, images) is made elsewhere and has U+FFFD, as Docker's has.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace wherry::oci {

// On one line.
std::string dump_carried(const nlohmann::ordered_json& document);
// After parsing `text` to `document`.
void restore_carried(std::string_view text, nlohmann::ordered_json& document);
void restore_carried(std::string_view text, nlohmann::json& document);

}  // namespace wherry::oci
