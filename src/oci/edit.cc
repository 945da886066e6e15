#include "oci/edit.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace wherry::oci {

void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  std::string prefix = name + "=";
  auto old = std::ranges::find_if(
      env, [&](const std::string& variable) { return variable.starts_with(prefix); });
  if (old == env.end()) old = env.insert(old, std::string());
  *old = prefix + value;
}

void insert_sorted(std::vector<std::string>& list, const std::string& text) {
  auto place = std::ranges::lower_bound(list, text);
  if (place == list.end() || *place != text) list.insert(place, text);
}

std::string joined_path(const std::string& directory, const std::string& path) {
  std::string whole = path.starts_with('/') ? path : directory + "/" + path;
  std::vector<std::string> parts;
  for (std::string_view part : split(whole, '/')) {
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.emplace_back(part);
    }
  }
  return "/" + join(parts, "/");
}

bool is_signal(std::string_view text) {
  if (auto number = parse_u64(text)) return *number >= 1 && *number <= 64;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  if (text == "RTMIN" || text == "RTMAX") return true;
  if (text.starts_with("RTMIN+") || text.starts_with("RTMAX-")) {
    auto offset = parse_u64(text.substr(6));
    return offset && *offset <= 30;
  }
  for (int number = 1; number <= 31; ++number) {
    const char* name = sigabbrev_np(number);
    if (name != nullptr && text == name) return true;
  }
  return false;
}

}  // namespace wherry::oci
