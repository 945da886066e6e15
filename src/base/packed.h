// Plain structures as bytes, for what one program of ours tells another of the same build at once.
//
// By the same description of their layout that JSON uses: fields(io, object), found by its
// namespace, is walked by a Packer and by an Unpacker. No names travel: both sides must have the
// same layout, so a document begins with a version. Nothing is read that is not there; what a
// reader allocates is bounded by the size of the bytes. The first complaint wins.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace wherry {

// A U, const or not: what fields() takes.
template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

class Packer {
 public:
  void operator()(const char*, const auto& value) { put(value); }
  void always(const char*, const auto& value) { put(value); }
  void unless_zero(const char*, const auto& value) { put(value); }
  void letter(const char*, char value) { put(value); }
  void bytes(const char*, const std::string& value) { put(value); }
  void group(const char*, auto body) { body(*this); }
  void refused(const char*) {}

  std::string take() { return std::move(bytes_); }

 private:
  template <std::integral T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& value) {
    put_size(value.size());
    bytes_ += value;
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    put_size(list.size());
    for (const T& item : list) put(item);
  }
  template <size_t N>
  void put(const std::array<uint8_t, N>& list) {
    for (uint8_t item : list) put(item);
  }
  template <typename T>
  void put(const std::map<std::string, T>& map) {
    put_size(map.size());
    for (const auto& [key, item] : map) {
      put(key);
      put(item);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(const T& value) {
    fields(*this, value);
  }
  void put_size(size_t size) { put(static_cast<uint64_t>(size)); }

  std::string bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  void operator()(const char* key, auto& target) {
    key_ = key;
    get(target);
  }
  void always(const char* key, auto& target) { (*this)(key, target); }
  void unless_zero(const char* key, auto& target) { (*this)(key, target); }
  void letter(const char* key, char& target) { (*this)(key, target); }
  // Not a text: may have any bytes, the NUL included.
  void bytes(const char* key, std::string& target) {
    key_ = key;
    get_bytes(target);
  }
  void group(const char*, auto body) { body(*this); }
  void refused(const char*) {}

  // A value that was read and cannot be meant.
  void reject(const char* key, std::string_view why) {
    if (!error_)
      error_ = Error(ErrorKind::kCorrupt, "'" + std::string(key) + "' " + std::string(why));
  }
  bool failed() const { return error_.has_value(); }
  // The first complaint, or that something follows.
  Result<void> finish() {
    if (!rest_.empty()) reject(key_, "is followed by what nobody knows");
    if (error_) return std::move(*error_);
    return {};
  }

 private:
  template <std::integral T>
  void get(T& target) {
    if (rest_.size() < sizeof target) return cut_short();
    memcpy(&target, rest_.data(), sizeof target);
    rest_.remove_prefix(sizeof target);
  }
  void get(bool& target) {
    uint8_t byte = 0;
    get(byte);
    if (byte > 1) reject(key_, "is not true or false");
    target = byte == 1;
  }
  void get(std::string& target) {
    get_bytes(target);
    if (target.find('\0') != target.npos) reject(key_, "has a NUL byte");
  }
  template <typename T>
  void get(std::optional<T>& target) {
    bool there = false;
    get(there);
    target.reset();
    if (there && !error_) get(target.emplace());
  }
  template <typename T>
  void get(std::vector<T>& target) {
    const size_t size = get_size();
    target.clear();
    for (size_t i = 0; i < size && !error_; ++i) get(target.emplace_back());
  }
  template <size_t N>
  void get(std::array<uint8_t, N>& target) {
    for (uint8_t& item : target) get(item);
  }
  template <typename T>
  void get(std::map<std::string, T>& target) {
    const size_t size = get_size();
    target.clear();
    for (size_t i = 0; i < size && !error_; ++i) {
      std::string key;
      get(key);
      get(target[std::move(key)]);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void get(T& target) {
    fields(*this, target);
  }
  void get_bytes(std::string& target) {
    const size_t size = get_size();
    target.assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  // Each entry takes a byte at least.
  size_t get_size() {
    uint64_t size = 0;
    get(size);
    if (size <= rest_.size()) return size;
    cut_short();
    return 0;
  }
  void cut_short() {
    reject(key_, "is cut short");
    rest_ = {};
  }

  std::string_view rest_;
  const char* key_ = "";
  std::optional<Error> error_;
};

}  // namespace wherry
