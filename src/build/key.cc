#include "build/key.h"

#include <nlohmann/json.hpp>

#include "base/weaken.h"
#include "oci/platform.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

// Raised when equal inputs could mean another result than before.
constexpr const char* kVersion = "wherry-build-1";

// Lengths in front, so that no two lists of texts give the same bytes.
void feed(sys::Sha256& hash, std::string_view text) {
  hash.update(std::to_string(text.size()));
  hash.update(":");
  hash.update(text);
}

}  // namespace

KeyParts::KeyParts(std::string_view kind, std::string_view instruction) {
  add("version", kVersion).add("platform", oci::to_text(oci::host_platform())).add("kind", kind);
  explain("instruction", instruction);
}

KeyParts& KeyParts::add(std::string_view name, std::string_view value) {
  parts_.push_back({std::string(name), {std::string(value)}, false, true});
  return *this;
}

KeyParts& KeyParts::add(std::string_view name, const std::vector<std::string>& values) {
  parts_.push_back({std::string(name), values, true, true});
  return *this;
}

KeyParts& KeyParts::explain(std::string_view name, std::string_view value) {
  parts_.push_back({std::string(name), {std::string(value)}, false, false});
  return *this;
}

Digest KeyParts::key(const Digest& parent) const {
  sys::Sha256 hash;
  if (!weakened(Defence::kBuildKey)) feed(hash, parent.str());
  for (const Part& part : parts_) {
    if (!part.counts) continue;
    feed(hash, part.name);
    hash.update(std::to_string(part.values.size()) + ";");
    for (const std::string& value : part.values) feed(hash, value);
  }
  return hash.finish();
}

std::string KeyParts::json(const Digest& parent) const {
  using nlohmann::ordered_json;
  ordered_json document;
  document["parent"] = parent.str();
  for (const Part& part : parts_) {
    if (part.list)
      document[part.name] = part.values;
    else
      document[part.name] = part.values[0];
  }
  // Only for reading: what is no UTF-8 may look alike here, never in the key.
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace wherry::build
