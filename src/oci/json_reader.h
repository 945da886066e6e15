// Reading foreign JSON with limits and exact complaints. Inside oci/ only (pulls in json.hpp).
//
// parse_bounded checks size and nesting before nlohmann sees the text; the take_* functions fetch
// an optional field of an object: absent and null leave the target alone (as Go's decoder does),
// another type than the expected is an error that names the field.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::oci {

inline constexpr size_t kMaxJsonBytes = 4u << 20;
inline constexpr int kMaxJsonDepth = 64;

// `what` names the document in errors: "image configuration".
Result<nlohmann::json> parse_bounded(std::string_view text, std::string_view what);
// As parse_bounded, for documents that are no object.
Result<nlohmann::json> parse_bounded_value(std::string_view text, std::string_view what);

// Texts with a NUL byte are refused: no kernel interface takes them.
Result<void> take_text(const nlohmann::json& object, const char* key, std::string& target);
Result<void> take_texts(const nlohmann::json& object, const char* key,
                        std::vector<std::string>& target);
Result<void> take_text_map(const nlohmann::json& object, const char* key,
                           std::map<std::string, std::string>& target);
Result<void> take_flag(const nlohmann::json& object, const char* key, bool& target);
// A whole number from 0 to 2^63 - 1.
Result<void> take_number(const nlohmann::json& object, const char* key, int64_t& target);
// The keys of an object whose values do not matter ({"80/tcp": {}}), sorted.
Result<void> take_keys(const nlohmann::json& object, const char* key,
                       std::vector<std::string>& target);

}  // namespace wherry::oci
