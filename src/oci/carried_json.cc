#include "oci/carried_json.h"

#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace wherry::oci {
namespace {

// Keys and values. Who has parsed the document has bounded its depth.
template <typename Json>
void change_texts(Json& value, std::string (*change)(std::string_view)) {
  if (value.is_string()) {
    value = change(value.template get_ref<const std::string&>());
  } else if (value.is_array()) {
    for (Json& item : value) change_texts(item, change);
  } else if (value.is_object()) {
    Json object = Json::object();
    for (auto item = value.begin(); item != value.end(); ++item) {
      change_texts(item.value(), change);
      object[change(item.key())] = std::move(item.value());
    }
    value = std::move(object);
  }
}

}  // namespace

std::string dump_carried(const nlohmann::ordered_json& document) {
  // Nearly always this is all.
  try {
    std::string text = document.dump();
    if (!has_carried(text)) return text;
  } catch (const nlohmann::ordered_json::type_error&) {  // some text is no UTF-8
  }
  nlohmann::ordered_json copy = document;
  change_texts(copy, &to_carried);
  return copy.dump();
}

void restore_carried(std::string_view text, nlohmann::ordered_json& document) {
  if (has_carried(text)) change_texts(document, &from_carried);
}

void restore_carried(std::string_view text, nlohmann::json& document) {
  if (has_carried(text)) change_texts(document, &from_carried);
}

}  // namespace wherry::oci
