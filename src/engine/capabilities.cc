#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "engine/spec_builder.h"
#include "sys/capability_names.h"

namespace wherry::engine {
namespace {

std::string normalized(std::string_view text) {
  std::string name(text);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  if (name != "ALL" && !name.starts_with("CAP_")) name = "CAP_" + name;
  return name;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

Result<std::vector<std::string>> normalized_list(const std::vector<std::string>& texts,
                                                 std::string_view option) {
  std::vector<std::string> names;
  for (const std::string& text : texts) {
    std::string name = normalized(text);
    if (name != "ALL" && !contains(capability_names(), name))
      return Error(ErrorKind::kInvalidArgument,
                   "invalid " + std::string(option) + ": unknown capability: \"" + text + "\"");
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> without(const std::vector<std::string>& list,
                                 const std::vector<std::string>& dropped) {
  std::vector<std::string> kept;
  for (const std::string& name : list)
    if (!contains(dropped, name)) kept.push_back(name);
  return kept;
}

}  // namespace

const std::vector<std::string>& capability_names() {
  static const std::vector<std::string> kNames(std::begin(sys::kCapabilityNames),
                                               std::end(sys::kCapabilityNames));
  return kNames;
}

const std::vector<std::string>& default_capabilities() {
  static const std::vector<std::string> kNames = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  return kNames;
}

bool needs_all_capabilities(const HostConfig& config) {
  return config.privileged || std::ranges::any_of(config.cap_add, [](const auto& name) {
           return normalized(name) == "ALL";
         });
}

Result<std::vector<std::string>> container_capabilities(const HostConfig& config,
                                                        const std::vector<std::string>& all) {
  TRY(std::vector<std::string> added, normalized_list(config.cap_add, "CapAdd"));
  TRY(std::vector<std::string> dropped, normalized_list(config.cap_drop, "CapDrop"));
  if (config.privileged) return all;
  if (contains(added, "ALL"))
    return contains(dropped, "ALL") ? std::vector<std::string>() : without(all, dropped);
  std::vector<std::string> kept;
  if (!contains(dropped, "ALL")) kept = without(default_capabilities(), dropped);
  for (const std::string& name : added)
    if (!contains(kept, name) && !contains(dropped, name)) kept.push_back(name);
  return kept;
}

}  // namespace wherry::engine
