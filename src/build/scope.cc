// ARG's scope in one stage.
#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "build/metadata.h"
#include "build/stages.h"

namespace wherry::build {

Scope::Scope(std::map<std::string, std::string> build_args,
             std::map<std::string, std::string> global, char escape)
    : build_args_(std::move(build_args)), global_(std::move(global)), escape_(escape) {}

Result<void> Scope::declare(const Arg& arg, const std::vector<std::string>& env) {
  Expander words = expander(env);
  std::vector<std::pair<std::string, std::optional<std::string>>> fresh;
  for (const Arg::Item& item : arg.items) {
    TRY(std::string name, expand_word(item.name, words));
    if (name.empty()) return Error(ErrorKind::kInvalidArgument, "ARG names can not be blank");
    std::optional<std::string> value;
    if (auto given = build_args_.find(name); given != build_args_.end()) {
      value = given->second;
    } else if (item.value) {
      TRY(value, expand_word(*item.value, words));
    } else if (auto global = global_.find(name); global != global_.end()) {
      value = global->second;
    }
    fresh.emplace_back(std::move(name), std::move(value));
  }
  for (auto& [name, value] : fresh) {
    auto old = std::ranges::find(declared_, name, [](const auto& entry) { return entry.first; });
    if (old == declared_.end()) {
      declared_.emplace_back(std::move(name), std::move(value));
    } else {
      old->second = std::move(value);
    }
  }
  return {};
}

Expander Scope::expander(const std::vector<std::string>& env) {
  Expander inner = env_expander(env, escape_);
  auto lookup = [this, inner](std::string_view name) -> std::optional<std::string> {
    if (auto value = inner.lookup(name)) return value;
    auto found = std::ranges::find(declared_, name, [](const auto& entry) { return entry.first; });
    return found == declared_.end() ? std::nullopt : found->second;
  };
  return {lookup, escape_, &unset_};
}

std::vector<std::string> Scope::declared() const {
  std::vector<std::string> texts;
  for (const auto& [name, value] : declared_)
    if (value) texts.push_back(name + "=" + *value);
  return texts;
}

Scope::RunEnv Scope::run_env(const std::vector<std::string>& env) const {
  RunEnv result{env, {}};
  auto known = [&](const std::string& name) {
    return std::ranges::any_of(result.visible, [&](const std::string& variable) {
      return variable.starts_with(name + "=");
    });
  };
  for (const auto& [name, value] : declared_)
    if (value && !known(name)) result.visible.push_back(name + "=" + *value);
  for (const auto& [name, value] : build_args_)
    if (is_proxy_arg(name) && !known(name))
      result.hidden.push_back(fmt::format("{}={}", name, value));
  return result;
}

std::vector<std::string> Scope::take_undefined() {
  std::vector<std::string> names;
  for (const std::string& name : std::exchange(unset_, {}))
    if (std::ranges::none_of(declared_, [&](const auto& arg) { return arg.first == name; }))
      names.push_back(name);
  return names;
}

}  // namespace wherry::build
