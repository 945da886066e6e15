#include "monitor/json_object.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace wherry::monitor {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::array<int8_t, 256> decoding_table() {
  std::array<int8_t, 256> table;
  table.fill(-1);
  for (int i = 0; i < 64; ++i)
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  return table;
}

}  // namespace

Result<json> parse_json(std::string_view text, size_t limit, const char* what) {
  if (text.size() > limit)
    return Error(ErrorKind::kCorrupt,
                 std::string(what) + " is larger than " + std::to_string(limit) + " bytes");
  bool too_deep = false;
  json::parser_callback_t check = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) too_deep = true;
    return !too_deep;
  };
  json value = json::parse(text, check, false);
  if (too_deep) return Error(ErrorKind::kCorrupt, std::string(what) + " is nested too deeply");
  if (value.is_discarded())
    return Error(ErrorKind::kCorrupt, std::string(what) + " is not valid JSON");
  return value;
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  static const std::array<int8_t, 256> table = decoding_table();
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    bool last = i + 4 == text.size();
    size_t padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      int value = k < 4 - padding ? table[static_cast<unsigned char>(text[i + k])] : 0;
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<uint32_t>(value);
    }
    for (size_t k = 0; k < 3 - padding; ++k)
      bytes += static_cast<char>(group >> (16 - 8 * k) & 255);
  }
  return bytes;
}

json text_value(std::string_view bytes) {
  if (is_utf8(bytes)) return json(bytes);
  return json{{"base64", base64_encode(bytes)}};
}

json text_values(const std::vector<std::string>& list) {
  json array = json::array();
  for (const std::string& item : list) array.push_back(text_value(item));
  return array;
}

std::string dump_json(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

namespace {

bool read_text(const json& value, std::string& out) {
  if (value.is_string()) {
    out = value.get_ref<const std::string&>();
    return true;
  }
  if (!value.is_object() || value.size() != 1) return false;
  auto found = value.find("base64");
  if (found == value.end() || !found->is_string()) return false;
  std::optional<std::string> bytes = base64_decode(found->get_ref<const std::string&>());
  if (bytes) out = std::move(*bytes);
  return bytes.has_value();
}

}  // namespace

ObjectReader::ObjectReader(const json& value, const char* what) : value_(value), what_(what) {
  if (!value.is_object())
    error_ = Error(ErrorKind::kCorrupt, std::string(what) + " is not an object");
}

const json* ObjectReader::find(const char* key) {
  if (error_) return nullptr;
  auto found = value_.find(key);
  if (found == value_.end()) return nullptr;
  seen_.emplace_back(key);
  return &*found;
}

const json* ObjectReader::require(const char* key) {
  const json* found = find(key);
  if (found == nullptr) reject(key, "is missing");
  return found;
}

void ObjectReader::reject(const char* key, const char* why) {
  if (!error_)
    error_ = Error(ErrorKind::kCorrupt, std::string("'") + key + "' of " + what_ + " " + why);
}

void ObjectReader::read(const char* key, std::string& out) {
  const json* value = require(key);
  if (value != nullptr && !read_text(*value, out)) reject(key, "is not a string");
}

void ObjectReader::read(const char* key, bool& out) {
  const json* value = require(key);
  if (value == nullptr) return;
  if (value->is_boolean()) {
    out = value->get<bool>();
  } else {
    reject(key, "is not true or false");
  }
}

void ObjectReader::read(const char* key, uint64_t& out) {
  const json* value = require(key);
  if (value == nullptr) return;
  if (value->is_number_unsigned()) {
    out = value->get<uint64_t>();
  } else {
    reject(key, "is not a natural number");
  }
}

int64_t ObjectReader::integer(const char* key, int64_t low, int64_t high) {
  const json* value = require(key);
  if (value == nullptr) return 0;
  bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() ||
       value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  int64_t number = fits ? value->get<int64_t>() : 0;
  if (!fits || number < low || number > high) {
    reject(key, "is not a number in range");
    return 0;
  }
  return number;
}

void ObjectReader::read(const char* key, std::vector<std::string>& out) {
  for (const json* item : array(key)) {
    std::string text;
    if (!read_text(*item, text)) return reject(key, "is not a list of strings");
    out.push_back(std::move(text));
  }
}

void ObjectReader::read_bytes(const char* key, std::string& out) {
  const json* value = require(key);
  if (value == nullptr) return;
  std::optional<std::string> bytes;
  if (value->is_string()) bytes = base64_decode(value->get_ref<const std::string&>());
  if (!bytes) return reject(key, "is not base64");
  out = std::move(*bytes);
}

std::vector<const json*> ObjectReader::array(const char* key) {
  std::vector<const json*> items;
  const json* value = require(key);
  if (value == nullptr) return items;
  if (!value->is_array()) {
    reject(key, "is not a list");
    return items;
  }
  for (const json& item : *value) items.push_back(&item);
  return items;
}

Result<void> ObjectReader::finish() {
  if (error_) return std::move(*error_);
  for (const auto& [key, value] : value_.items())
    if (std::ranges::find(seen_, key) == seen_.end())
      return Error(ErrorKind::kCorrupt, "'" + key + "' of " + what_ + " is not known");
  return {};
}

}  // namespace wherry::monitor
