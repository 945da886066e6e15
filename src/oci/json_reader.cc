#include "oci/json_reader.h"

namespace wherry::oci {
namespace {

using nlohmann::json;

// Nesting of brackets outside of texts. Enough to refuse: whether it is JSON the parser tells.
bool nested_deeper_than(std::string_view text, int limit) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

Error bad_field(const char* key, std::string_view expected) {
  return Error(ErrorKind::kCorrupt, "'" + std::string(key) + "' must be " + std::string(expected));
}

// The field, or null when it is absent or JSON's null.
const json* field(const json& object, const char* key) {
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_of(const json& value, const char* key, std::string_view expected) {
  if (!value.is_string()) return bad_field(key, expected);
  const auto& text = value.get_ref<const std::string&>();
  if (text.find('\0') != text.npos)
    return Error(ErrorKind::kCorrupt, "'" + std::string(key) + "' has a NUL byte");
  return text;
}

}  // namespace

Result<json> parse_bounded_value(std::string_view text, std::string_view what) {
  std::string context = "invalid " + std::string(what);
  if (text.size() > kMaxJsonBytes)
    return Error(ErrorKind::kResourceExhausted, context + ": larger than 4 MiB");
  if (nested_deeper_than(text, kMaxJsonDepth))
    return Error(ErrorKind::kCorrupt, context + ": nested deeper than 64 levels");
  json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return Error(ErrorKind::kCorrupt, context + ": not JSON");
  return document;
}

Result<json> parse_bounded(std::string_view text, std::string_view what) {
  TRY(json document, parse_bounded_value(text, what));
  if (!document.is_object())
    return Error(ErrorKind::kCorrupt, "invalid " + std::string(what) + ": not a JSON object");
  return document;
}

Result<void> take_text(const json& object, const char* key, std::string& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  TRY(target, text_of(*value, key, "a text"));
  return {};
}

Result<void> take_texts(const json& object, const char* key, std::vector<std::string>& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  if (!value->is_array()) return bad_field(key, "a list of texts");
  for (const json& item : *value) {
    TRY(std::string text, text_of(item, key, "a list of texts"));
    target.push_back(std::move(text));
  }
  return {};
}

Result<void> take_text_map(const json& object, const char* key,
                           std::map<std::string, std::string>& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  if (!value->is_object()) return bad_field(key, "an object of texts");
  for (const auto& [name, item] : value->items()) {
    TRY(target[name], text_of(item, key, "an object of texts"));
  }
  return {};
}

Result<void> take_flag(const json& object, const char* key, bool& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  if (!value->is_boolean()) return bad_field(key, "true or false");
  target = value->get<bool>();
  return {};
}

Result<void> take_number(const json& object, const char* key, int64_t& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  if (!value->is_number_integer()) return bad_field(key, "a whole number");
  if ((value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX) ||
      value->get<int64_t>() < 0)
    return Error(ErrorKind::kCorrupt, "'" + std::string(key) + "' is out of range");
  target = value->get<int64_t>();
  return {};
}

Result<void> take_keys(const json& object, const char* key, std::vector<std::string>& target) {
  const json* value = field(object, key);
  if (value == nullptr) return {};
  if (!value->is_object()) return bad_field(key, "an object");
  for (const auto& [name, item] : value->items()) {
    if (name.find('\0') != name.npos)
      return Error(ErrorKind::kCorrupt, "'" + std::string(key) + "' has a NUL byte");
    target.push_back(name);
  }
  return {};
}

}  // namespace wherry::oci
