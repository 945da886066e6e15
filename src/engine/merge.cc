#include "engine/merge.h"

#include <algorithm>

#include "base/text.h"

namespace wherry::engine {
namespace {

std::string_view variable_name(std::string_view entry) {
  return split_once(entry, '=').first;
}

bool names_variable(const std::vector<std::string>& environment, std::string_view name) {
  return std::ranges::any_of(
      environment, [&](const std::string& entry) { return variable_name(entry) == name; });
}

void add_missing(std::vector<std::string>& list, const std::vector<std::string>& more) {
  for (const std::string& item : more)
    if (std::ranges::find(list, item) == list.end()) list.push_back(item);
}

void merge_command(ContainerConfig& user, const oci::ImageRunConfig& image) {
  if (!user.entrypoint.empty() || user.entrypoint_reset) return;
  if (user.cmd.empty()) user.cmd = image.cmd;
  user.entrypoint = image.entrypoint;
}

}  // namespace

ContainerConfig merge_config(ContainerConfig user, const oci::ImageRunConfig& image) {
  merge_command(user, image);
  if (user.user.empty()) user.user = image.user;
  if (user.working_dir.empty()) user.working_dir = image.working_dir;
  if (user.stop_signal.empty()) user.stop_signal = image.stop_signal;
  for (const std::string& entry : image.env)
    if (!names_variable(user.env, variable_name(entry))) user.env.push_back(entry);
  for (const auto& [key, value] : image.labels) user.labels.emplace(key, value);
  add_missing(user.exposed_ports, image.exposed_ports);
  add_missing(user.volumes, image.volumes);
  std::ranges::sort(user.exposed_ports);
  std::ranges::sort(user.volumes);
  return user;
}

Result<std::vector<std::string>> command_line(const ContainerConfig& config) {
  std::vector<std::string> line = config.entrypoint;
  line.insert(line.end(), config.cmd.begin(), config.cmd.end());
  if (line.empty() || line[0].empty())
    return Error(ErrorKind::kInvalidArgument, "no command specified")
        .set_hint("the image names no command: give one after the image's name");
  return line;
}

std::vector<std::string> override_environment(std::vector<std::string> base,
                                              const std::vector<std::string>& additions) {
  for (const std::string& addition : additions) {
    auto [name, value] = split_once(addition, '=');
    auto same = [&](const std::string& entry) { return variable_name(entry) == name; };
    if (!value) {
      std::erase_if(base, same);
    } else if (auto place = std::ranges::find_if(base, same); place != base.end()) {
      *place = addition;
    } else {
      base.push_back(addition);
    }
  }
  return base;
}

}  // namespace wherry::engine
