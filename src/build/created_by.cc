// The words that an image's history has for an instruction.
#include "base/text.h"
#include "build/metadata.h"
#include "oci/ports.h"

namespace wherry::build {
namespace {

using Texts = std::vector<std::string>;

constexpr const char* kMark = " # buildkit";

// As Go prints a quoted text.
std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out += '"';
}

std::string quoted_list(const Texts& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : " ") + quoted(text);
  return "[" + out + "]";
}

Result<Texts> expand_each(const Texts& texts, const Expander& words) {
  Texts expanded;
  for (const std::string& text : texts) {
    TRY(std::string word, expand_word(text, words));
    expanded.push_back(std::move(word));
  }
  return expanded;
}

class Writer {
 public:
  Writer(const Instruction& instruction, const StageMetadata& stage)
      : instruction_(instruction),
        stage_(stage),
        config_(stage.image->config),
        words_(stage.scope->expander(config_.env)) {
    words_.unset = nullptr;
  }

  Result<std::string> operator()(const From&) { return instruction_.original; }

  Result<std::string> operator()(const Run& run) {
    Texts line = command_line(run.command, config_);
    Texts args = stage_.scope->declared();
    std::string text = "RUN ";
    if (!args.empty()) text += "|" + std::to_string(args.size()) + " " + join(args, " ") + " ";
    return text + join(line, " ") + kMark;
  }

  Result<std::string> operator()(const Copy& copy) {
    std::string text = copy.add ? "ADD" : "COPY";
    if (copy.chown) {
      TRY(std::string owner, expand_word(*copy.chown, words_));
      text += " --chown=" + owner;
    }
    if (copy.chmod) {
      TRY(std::string mode, expand_word(*copy.chmod, words_));
      text += " --chmod=" + mode;
    }
    TRY(Texts sources, expand_each(copy.sources, words_));
    for (const std::string& source : sources) text += " " + source;
    for (const Heredoc& heredoc : copy.heredocs) text += " <<" + heredoc.name;
    TRY(std::string destination, expand_word(copy.destination, words_));
    return text + " " + destination + kMark;
  }

  // The values are those of the configuration by now: "ENV A=${A}x" shows what A became.
  Result<std::string> operator()(const Env& env) {
    std::string text = "ENV";
    for (const Pair& pair : env.pairs) {
      TRY(std::string name, expand_word(pair.name, words_));
      for (const std::string& variable : config_.env)
        if (variable.starts_with(name + "=")) text += " " + variable;
    }
    return text;
  }

  Result<std::string> operator()(const Label& label) {
    std::string text = "LABEL";
    for (const Pair& pair : label.pairs) {
      TRY(std::string name, expand_word(pair.name, words_));
      auto found = config_.labels.find(name);
      if (found != config_.labels.end()) text += " " + name + "=" + found->second;
    }
    return text;
  }

  Result<std::string> operator()(const Arg& arg) {
    std::string text = "ARG";
    for (const Arg::Item& item : arg.items) {
      TRY(std::string name, expand_word(item.name, words_));
      text += " " + name;
      for (const std::string& value : stage_.scope->declared())
        if (value.starts_with(name + "=")) text += value.substr(name.size());
    }
    return text;
  }

  Result<std::string> operator()(const Workdir&) { return "WORKDIR " + config_.working_dir; }
  Result<std::string> operator()(const User&) { return "USER " + config_.user; }
  Result<std::string> operator()(const Cmd&) { return "CMD " + quoted_list(config_.cmd); }
  Result<std::string> operator()(const Entrypoint&) {
    return "ENTRYPOINT " + quoted_list(config_.entrypoint);
  }

  Result<std::string> operator()(const Expose& expose) {
    std::string text;
    for (const std::string& port : expose.ports) {
      TRY(Texts words, expand_words(port, words_));
      for (const std::string& word : words) {
        bool has_protocol = word.find('/') != std::string::npos;
        text +=
            (text.empty() ? "" : " ") + container_port(word) + (has_protocol ? "" : "/tcp") + ":{}";
      }
    }
    return "EXPOSE map[" + text + "]";
  }

  Result<std::string> operator()(const Volume& volume) {
    TRY(Texts paths, expand_each(volume.paths, words_));
    return "VOLUME [" + join(paths, " ") + "]";
  }

  Result<std::string> operator()(const Shell&) {
    return "SHELL [" + join(config_.shell, " ") + "]";
  }
  Result<std::string> operator()(const StopSignal&) { return "STOPSIGNAL " + config_.stop_signal; }
  Result<std::string> operator()(const Healthcheck&) { return instruction_.original; }
  Result<std::string> operator()(const Onbuild& onbuild) { return "ONBUILD " + onbuild.trigger; }
  Result<std::string> operator()(const Maintainer& maintainer) {
    return "MAINTAINER " + maintainer.name;
  }

 private:
  const Instruction& instruction_;
  const StageMetadata& stage_;
  const oci::ImageRunConfig& config_;
  Expander words_;
};

}  // namespace

Result<std::string> created_by(const Instruction& instruction, const StageMetadata& stage) {
  return std::visit(Writer(instruction, stage), instruction.what);
}

}  // namespace wherry::build
