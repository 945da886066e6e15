// Reads JSON objects of ours strictly: each key must be there, have its type and its range, and no
// key may be left over. Used by the protocol; the first error is kept and named.
//
// Strings that are not valid UTF-8 (paths may hold any bytes) travel as {"base64": "..."}.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace wherry::monitor {

// Parses text of at most `limit` bytes and 32 levels; anything else is kCorrupt and names `what`.
Result<nlohmann::json> parse_json(std::string_view text, size_t limit, const char* what);

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);  // strict, padded

// A string, or the base64 object when the bytes are not UTF-8.
nlohmann::json text_value(std::string_view bytes);
nlohmann::json text_values(const std::vector<std::string>& list);
// Always valid UTF-8: foreign bytes become U+FFFD.
std::string dump_json(const nlohmann::json& value);

class ObjectReader {
 public:
  // `value` is borrowed. `what` names the object in errors.
  ObjectReader(const nlohmann::json& value, const char* what);

  void read(const char* key, std::string& out);
  void read(const char* key, bool& out);
  void read(const char* key, uint64_t& out);
  void read(const char* key, std::vector<std::string>& out);
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, uint64_t>)
  void read(const char* key, T& out) {
    out = static_cast<T>(integer(key, static_cast<int64_t>(std::numeric_limits<T>::min()),
                                 static_cast<int64_t>(std::numeric_limits<T>::max())));
  }
  // Raw bytes as base64.
  void read_bytes(const char* key, std::string& out);
  // A key that may be missing: nullptr then.
  const nlohmann::json* find(const char* key);
  // The elements of an array.
  std::vector<const nlohmann::json*> array(const char* key);
  void reject(const char* key, const char* why);

  // The first error, or a key that nobody read.
  Result<void> finish();

 private:
  const nlohmann::json* require(const char* key);
  int64_t integer(const char* key, int64_t low, int64_t high);

  const nlohmann::json& value_;
  const char* what_;
  std::vector<std::string_view> seen_;
  std::optional<Error> error_;
};

}  // namespace wherry::monitor
