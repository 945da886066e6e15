#include "build/metadata.h"

#include <algorithm>

#include "base/text.h"
#include "oci/edit.h"
#include "oci/ports.h"

namespace wherry::build {
namespace {

using Texts = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Result<Pairs> expand_pairs(const std::vector<Pair>& pairs, const Expander& words,
                           std::string_view instruction) {
  Pairs expanded;
  for (const Pair& pair : pairs) {
    TRY(std::string name, expand_word(pair.name, words));
    TRY(std::string value, expand_word(pair.value, words));
    if (name.empty()) return invalid(std::string(instruction) + " names can not be blank");
    expanded.emplace_back(std::move(name), std::move(value));
  }
  return expanded;
}

// One instruction onto a stage; true when it is one of these.
class Applier {
 public:
  explicit Applier(StageMetadata& stage)
      : stage_(stage), config_(stage.image->config), words_(stage.scope->expander(config_.env)) {}

  Result<bool> operator()(const From&) { return false; }
  Result<bool> operator()(const Run&) { return false; }
  Result<bool> operator()(const Copy&) { return false; }

  Result<bool> operator()(const Env& env) {
    TRY(Pairs pairs, expand_pairs(env.pairs, words_, "ENV"));
    for (const auto& [name, value] : pairs) oci::set_env(config_.env, name, value);
    return true;
  }

  Result<bool> operator()(const Label& label) {
    TRY(Pairs pairs, expand_pairs(label.pairs, words_, "LABEL"));
    for (auto& [name, value] : pairs) config_.labels[name] = std::move(value);
    return true;
  }

  Result<bool> operator()(const Arg& arg) {
    TRY_VOID(stage_.scope->declare(arg, config_.env));
    return true;
  }

  Result<bool> operator()(const Workdir& workdir) {
    TRY(std::string path, expand_word(workdir.path, words_));
    if (path.empty()) return invalid("the path is empty");
    config_.working_dir = working_directory(config_.working_dir, path);
    return true;
  }

  Result<bool> operator()(const User& user) {
    TRY(std::string name, expand_word(user.user, words_));
    if (name.empty()) return invalid("the user is empty");
    if (name.size() > 1024) return invalid("the user is longer than 1024 bytes");
    config_.user = std::move(name);
    return true;
  }

  Result<bool> operator()(const Cmd& cmd) {
    config_.cmd = command_line(cmd.command, config_);
    config_.args_escaped = true;
    stage_.cmd_set = true;
    return true;
  }

  Result<bool> operator()(const Entrypoint& entrypoint) {
    config_.entrypoint = command_line(entrypoint.command, config_);
    if (!stage_.cmd_set) config_.cmd.clear();
    return true;
  }

  Result<bool> operator()(const Expose& expose) {
    Texts ports;
    for (const std::string& text : expose.ports) {
      TRY(Texts words, expand_words(text, words_));
      for (const std::string& word : words) {
        TRY(Texts expanded, oci::expand_ports(container_port(word)));
        ports.insert(ports.end(), expanded.begin(), expanded.end());
        if (ports.size() > size_t{3} * 65535) return invalid("too many ports");
      }
    }
    ports.insert(ports.end(), config_.exposed_ports.begin(), config_.exposed_ports.end());
    std::ranges::sort(ports);
    ports.erase(std::ranges::unique(ports).begin(), ports.end());
    config_.exposed_ports = std::move(ports);
    return true;
  }

  Result<bool> operator()(const Volume& volume) {
    Texts paths;
    for (const std::string& text : volume.paths) {
      TRY(std::string path, expand_word(text, words_));
      if (path.empty()) return invalid("VOLUME specified can not be an empty string");
      if (!path.starts_with('/')) return invalid("volume '" + path + "' is not an absolute path");
      paths.push_back(std::move(path));
    }
    for (const std::string& path : paths) oci::insert_sorted(config_.volumes, path);
    return true;
  }

  Result<bool> operator()(const Shell& shell) {
    config_.shell = shell.shell;
    return true;
  }

  Result<bool> operator()(const StopSignal& stop) {
    TRY(std::string signal, expand_word(stop.signal, words_));
    if (!oci::is_signal(signal)) return invalid("Invalid signal: " + signal.substr(0, 100));
    config_.stop_signal = std::move(signal);
    return true;
  }

  Result<bool> operator()(const Healthcheck& health) {
    config_.healthcheck = health.check;
    return true;
  }

  Result<bool> operator()(const Onbuild& onbuild) {
    config_.on_build.push_back(onbuild.trigger);
    return true;
  }

  Result<bool> operator()(const Maintainer& maintainer) {
    stage_.image->author = maintainer.name;
    return true;
  }

 private:
  StageMetadata& stage_;
  oci::ImageRunConfig& config_;
  Expander words_;
};

}  // namespace

Result<bool> apply_metadata(const Instruction& instruction, StageMetadata& stage) {
  return std::visit(Applier(stage), instruction.what);
}

std::string working_directory(const std::string& current, const std::string& path) {
  return oci::joined_path(current, path);
}

std::string container_port(std::string_view word) {
  size_t colon = word.rfind(':');
  return to_lower(colon == word.npos ? word : word.substr(colon + 1));
}

Texts command_line(const Command& command, const oci::ImageRunConfig& config) {
  if (command.exec) return command.list;
  Texts line = config.shell.empty() ? Texts{"/bin/sh", "-c"} : config.shell;
  line.push_back(command.text);
  return line;
}

}  // namespace wherry::build
