// Small edits of a configuration that Dockerfile instructions and `import --change` share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wherry::oci {

// "name=value" in place of the variable of that name, or at the end.
void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value);
// Into a sorted list, once.
void insert_sorted(std::vector<std::string>& list, const std::string& text);
// `path`, relative to `directory` unless absolute; "." and ".." are resolved as text, never above
// "/".
std::string joined_path(const std::string& directory, const std::string& path);
// STOPSIGNAL's: 1 to 64, a name with or without SIG, RTMIN+n, RTMAX-n.
bool is_signal(std::string_view text);

}  // namespace wherry::oci
