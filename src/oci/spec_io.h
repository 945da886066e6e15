// Structures to and from JSON by one description of their layout: fields(io, object) is walked by a
// Reader and by a Writer. Inside oci/ only (pulls in json.hpp).
//
// The Reader takes absent and null alike (as Go's decoder) and passes over properties that fields()
// does not name, as the OCI specifications demand; `refused` names what is part of a specification
// and cannot be honoured. The first complaint wins.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/packed.h"
#include "oci/json_reader.h"

namespace wherry::oci {

// Every list of a document; with the limit of its size it bounds what a reader allocates.
inline constexpr size_t kMaxListEntries = 65536;

// Where in a document: links to the stack's frames, put into words only for a complaint.
struct Place {
  static constexpr size_t kNoIndex = static_cast<size_t>(-1);

  const Place* parent = nullptr;
  std::string_view name = {};
  size_t index = kNoIndex;

  std::string text() const {
    std::string before = parent == nullptr ? std::string() : parent->text();
    if (index != kNoIndex) return fmt::format("{}[{}]", before, index);
    return before.empty() ? std::string(name) : fmt::format("{}.{}", before, name);
  }
};

class Reader {
 public:
  using json = nlohmann::json;

  // What `place` links to must outlive the reader.
  Reader(const json& object, const Place& place, std::optional<Error>& error)
      : object_(object), place_(place), error_(error) {
    if (!object_.is_object()) complain(place_, "must be an object");
  }
  Reader(const json& object, std::string_view name, std::optional<Error>& error)
      : Reader(object, Place{nullptr, name}, error) {}

  template <typename T>
  void operator()(const char* key, T& target) {
    if (const json* value = take(key)) read(*value, below(key), target);
  }
  void always(const char* key, auto& target) { (*this)(key, target); }
  void unless_zero(const char* key, auto& target) { (*this)(key, target); }
  void letter(const char* key, char& target) {
    std::string text(1, target);
    (*this)(key, text);
    if (text.size() != 1) return complain(below(key), "must be one letter");
    target = text[0];
  }
  void group(const char* key, auto body) {
    const json* value = take(key);
    if (value == nullptr) return;
    Reader inner(*value, below(key), error_);
    if (!error_) body(inner);
  }
  // A property of the specification that has no effect here: an error unless it says nothing.
  void refused(const char* key) {
    const json* value = take(key);
    if (value == nullptr || (value->is_structured() && value->empty())) return;
    error_ = Error(
        ErrorKind::kUnsupported,
        fmt::format("invalid runtime configuration: '{}' is not supported", below(key).text()));
  }

 private:
  Place below(std::string_view key) const { return {&place_, key}; }
  void complain(const Place& place, std::string_view what) {
    if (error_) return;
    error_ = Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid runtime configuration: '{}' {}", place.text(), what));
  }
  const json* take(const char* key) {
    if (error_) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  void read(const json& value, const Place& place, std::string& target) {
    if (!value.is_string()) return complain(place, "must be a text");
    target = value.get_ref<const std::string&>();
    if (target.find('\0') != std::string::npos) complain(place, "has a NUL byte");
  }
  void read(const json& value, const Place& place, bool& target) {
    if (!value.is_boolean()) return complain(place, "must be true or false");
    target = value.get<bool>();
  }
  template <std::integral T>
  void read(const json& value, const Place& place, T& target) {
    bool fits = value.is_number_integer();
    if (fits && value.is_number_unsigned()) {
      fits = std::in_range<T>(value.get<uint64_t>());
    } else if (fits) {
      fits = std::in_range<T>(value.get<int64_t>());
    }
    if (!fits) {
      return complain(
          place, fmt::format("must be a whole number from {} to {}", std::numeric_limits<T>::min(),
                             std::numeric_limits<T>::max()));
    }
    target = value.get<T>();
  }
  template <typename T>
  void read(const json& value, const Place& place, std::optional<T>& target) {
    read(value, place, target.emplace());
  }
  template <typename T>
  void read(const json& value, const Place& place, std::vector<T>& target) {
    if (!value.is_array()) return complain(place, "must be a list");
    if (value.size() > kMaxListEntries) return complain(place, "has more than 65536 entries");
    target.clear();
    target.reserve(value.size());
    for (const json& item : value) {
      const Place here{&place, {}, target.size()};
      read(item, here, target.emplace_back());
      if (error_) return;
    }
  }
  template <typename T>
  void read(const json& value, const Place& place, std::map<std::string, T>& target) {
    if (!value.is_object()) return complain(place, "must be an object");
    if (value.size() > kMaxListEntries) return complain(place, "has more than 65536 entries");
    for (const auto& [key, item] : value.items()) {
      if (key.find('\0') != std::string::npos) return complain(place, "has a NUL byte in a key");
      read(item, Place{&place, key}, target[key]);
      if (error_) return;
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(const json& value, const Place& place, T& target) {
    Reader inner(value, place, error_);
    if (!error_) fields(inner, target);
  }

  const json& object_;
  Place place_;
  std::optional<Error>& error_;
};

// Numbers and flags are always written, empty texts, lists and objects never (`always` aside).
class Writer {
 public:
  using json = nlohmann::ordered_json;

  void operator()(const char* key, const auto& value) {
    json text = written(value);
    const bool nothing =
        text.is_null() || ((text.is_string() || text.is_structured()) && empty(text));
    if (!nothing) object_[key] = std::move(text);
  }
  void always(const char* key, const std::vector<std::string>& value) { object_[key] = value; }
  void unless_zero(const char* key, std::integral auto value) {
    if (value != 0) object_[key] = value;
  }
  void letter(const char* key, char value) { object_[key] = std::string(1, value); }
  void group(const char* key, auto body) {
    Writer inner;
    body(inner);
    if (!inner.object_.empty()) object_[key] = std::move(inner.object_);
  }
  void refused(const char*) {}

  // JSON has no bytes that are not UTF-8: they become U+FFFD, as in every other engine.
  std::string text() const { return object_.dump(-1, ' ', false, json::error_handler_t::replace); }

 private:
  static bool empty(const json& value) {
    return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
  }
  static json written(const std::string& value) { return value; }
  static json written(std::integral auto value) { return value; }
  template <typename T>
  static json written(const std::optional<T>& value) {
    return value ? written(*value) : json();
  }
  template <typename T>
  static json written(const std::vector<T>& value) {
    json list = json::array();
    for (const T& item : value) list.push_back(written(item));
    return list;
  }
  template <typename T>
  static json written(const std::map<std::string, T>& value) {
    json object = json::object();
    for (const auto& [key, item] : value) object[key] = written(item);
    return object;
  }
  template <typename T>
    requires std::is_class_v<T>
  static json written(const T& value) {
    Writer inner;
    fields(inner, value);
    return std::move(inner.object_);
  }

  json object_ = json::object();
};

}  // namespace wherry::oci
