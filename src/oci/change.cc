// apply_change: one Dockerfile instruction onto a configuration.
#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "oci/edit.h"
#include "oci/image.h"
#include "oci/json_reader.h"
#include "oci/ports.h"
#include "oci/words.h"

namespace wherry::oci {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

constexpr size_t kMaxInstruction = 64u << 10;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// The JSON form, or nullopt when `text` is not a JSON list.
Result<std::optional<Texts>> json_form(std::string_view text) {
  if (!text.starts_with('[')) return std::optional<Texts>();
  // Behind a key so that the same limits hold for a list as for a document.
  Result<json> document = parse_bounded("{\"list\":" + std::string(text) + "}", "list");
  if (!document) return std::optional<Texts>();
  Texts list;
  TRY_VOID(take_texts(*document, "list", list));
  return std::optional<Texts>(std::move(list));
}

// CMD and ENTRYPOINT: a list as it is, anything else through the shell.
Result<Texts> command(const ImageRunConfig& config, std::string_view text) {
  Result<std::optional<Texts>> list = json_form(text);
  if (!list) return invalid("the JSON form takes only texts");
  if (*list) return std::move(**list);
  Texts shell = config.shell.empty() ? Texts{"/bin/sh", "-c"} : config.shell;
  shell.emplace_back(text);
  return shell;
}

Result<Texts> expanded_words(const ImageRunConfig& config, std::string_view text) {
  Texts words;
  for (const std::string& word : split_words(text)) {
    TRY(std::string expanded, expand_word(word, config.env));
    words.push_back(std::move(expanded));
  }
  return words;
}

Result<std::string> single_text(const ImageRunConfig& config, std::string_view text) {
  TRY(std::string expanded, expand_word(text, config.env));
  if (expanded.empty()) return invalid("the value is empty");
  return expanded;
}

// "k=v k2=v2", or "k the rest of the line" when the first word has no '='.
Result<std::vector<std::pair<std::string, std::string>>> assignments(const ImageRunConfig& config,
                                                                     std::string_view text) {
  std::vector<std::pair<std::string, std::string>> pairs;
  Texts words = split_words(text);
  if (words.front().find('=') == std::string::npos) {
    if (words.size() < 2) return invalid("'" + words.front() + "' has no value");
    std::string_view rest = trim(text.substr(words.front().size()));
    TRY(std::string name, expand_word(words.front(), config.env));
    TRY(std::string value, expand_word(rest, config.env));
    pairs.emplace_back(std::move(name), std::move(value));
    return pairs;
  }
  for (const std::string& word : words) {
    auto [raw_name, raw_value] = split_once(word, '=');
    if (!raw_value) return invalid("'" + word + "' is not of the form name=value");
    TRY(std::string name, expand_word(raw_name, config.env));
    TRY(std::string value, expand_word(*raw_value, config.env));
    if (name.empty()) return invalid("'" + word + "' has no name");
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

Result<void> change_cmd(ImageRunConfig& config, std::string_view text) {
  TRY(config.cmd, command(config, text));
  return {};
}

Result<void> change_entrypoint(ImageRunConfig& config, std::string_view text) {
  TRY(config.entrypoint, command(config, text));
  return {};
}

Result<void> change_env(ImageRunConfig& config, std::string_view text) {
  TRY(auto pairs, assignments(config, text));
  for (const auto& [name, value] : pairs) set_env(config.env, name, value);
  return {};
}

Result<void> change_label(ImageRunConfig& config, std::string_view text) {
  TRY(auto pairs, assignments(config, text));
  for (auto& [name, value] : pairs) config.labels[name] = std::move(value);
  return {};
}

Result<void> change_expose(ImageRunConfig& config, std::string_view text) {
  TRY(Texts words, expanded_words(config, text));
  for (const std::string& word : words) {
    TRY(Texts ports, expand_ports(word));
    for (const std::string& port : ports) insert_sorted(config.exposed_ports, port);
  }
  return {};
}

Result<void> change_user(ImageRunConfig& config, std::string_view text) {
  TRY(config.user, single_text(config, text));
  return {};
}

Result<void> change_volume(ImageRunConfig& config, std::string_view text) {
  Result<std::optional<Texts>> list = json_form(text);
  if (!list) return invalid("the JSON form takes only texts");
  Texts paths;
  if (*list) {
    paths = std::move(**list);
  } else {
    TRY(paths, expanded_words(config, text));
  }
  for (const std::string& path : paths) {
    if (!path.starts_with('/')) return invalid("volume '" + path + "' is not an absolute path");
    insert_sorted(config.volumes, path);
  }
  return {};
}

Result<void> change_workdir(ImageRunConfig& config, std::string_view text) {
  TRY(std::string path, single_text(config, text));
  config.working_dir = joined_path(config.working_dir, path);
  return {};
}

Result<void> change_stop_signal(ImageRunConfig& config, std::string_view text) {
  TRY(std::string signal, single_text(config, text));
  if (!is_signal(signal)) return invalid("'" + signal + "' is not a signal");
  config.stop_signal = std::move(signal);
  return {};
}

Result<void> change_on_build(ImageRunConfig& config, std::string_view text) {
  std::string trigger = split_words(text).front();
  std::ranges::transform(trigger, trigger.begin(), [](unsigned char c) { return toupper(c); });
  if (trigger == "ONBUILD" || trigger == "FROM" || trigger == "MAINTAINER")
    return invalid(trigger + " isn't allowed as an ONBUILD trigger");
  config.on_build.emplace_back(text);
  return {};
}

struct Instruction {
  const char* name;
  Result<void> (*apply)(ImageRunConfig&, std::string_view);
};
constexpr Instruction kInstructions[] = {
    {"CMD", change_cmd},
    {"ENTRYPOINT", change_entrypoint},
    {"ENV", change_env},
    {"EXPOSE", change_expose},
    {"LABEL", change_label},
    {"ONBUILD", change_on_build},
    {"STOPSIGNAL", change_stop_signal},
    {"USER", change_user},
    {"VOLUME", change_volume},
    {"WORKDIR", change_workdir},
};

Error not_a_change(std::string_view word) {
  std::string names;
  for (const Instruction& instruction : kInstructions)
    names += (names.empty() ? "" : ", ") + std::string(instruction.name);
  return invalid("'" + std::string(word.substr(0, 100)) + "' is not a valid change command")
      .set_hint("allowed are " + names);
}

// What JSON can hold, and the kernel: UTF-8 without NUL.
bool is_plain_text(std::string_view text) {
  if (text.find('\0') != text.npos) return false;
  return json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::ignore) ==
         json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Result<void> apply_change(ImageRunConfig& config, std::string_view instruction) {
  std::string_view text = trim(instruction);
  if (text.size() > kMaxInstruction) return invalid("a change is longer than 64 KiB");
  if (!is_plain_text(text)) return invalid("a change is not UTF-8 text");
  size_t end = text.find_first_of(" \t");
  std::string_view word = text.substr(0, end);
  std::string_view rest = end == text.npos ? std::string_view() : trim(text.substr(end));
  std::string name(word);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return toupper(c); });
  auto found =
      std::ranges::find_if(kInstructions, [&](const Instruction& i) { return name == i.name; });
  if (found == std::end(kInstructions)) return not_a_change(word);
  if (rest.empty()) return invalid(name + " requires at least one argument");
  // On a failure half of it may be applied: work on a copy.
  ImageRunConfig changed = config;
  TRY_VOID_CTX(found->apply(changed, rest),
               "cannot apply '" + std::string(text.substr(0, 200)) + "'");
  config = std::move(changed);
  return {};
}

}  // namespace wherry::oci
