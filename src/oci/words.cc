#include "oci/words.h"

namespace wherry::oci {
namespace {

constexpr size_t kMaxExpanded = 1u << 20;
constexpr int kMaxNesting = 16;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
}

Error invalid(std::string_view word, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument,
               "cannot read '" + std::string(word.substr(0, 200)) + "': " + std::string(why));
}

std::string_view lookup(std::string_view name, const std::vector<std::string>& env) {
  for (auto variable = env.rbegin(); variable != env.rend(); ++variable)
    if (variable->size() > name.size() && variable->starts_with(name) &&
        (*variable)[name.size()] == '=')
      return std::string_view(*variable).substr(name.size() + 1);
  return {};
}

class Expander {
 public:
  Expander(std::string_view word, const std::vector<std::string>& env) : word_(word), env_(env) {}

  Result<std::string> run() {
    std::string out;
    TRY_VOID(read(out, 0, /*in_braces=*/false));
    return out;
  }

 private:
  // Up to the end, or to the '}' that closes a ${...}.
  Result<void> read(std::string& out, int nesting, bool in_braces) {
    if (nesting > kMaxNesting) return invalid(word_, "too many nested braces");
    char quote = 0;
    while (at_ < word_.size()) {
      char c = word_[at_];
      if (in_braces && quote == 0 && c == '}') return {};
      if (out.size() > kMaxExpanded) return invalid(word_, "the result is larger than 1 MiB");
      ++at_;
      if (quote == 0 && (c == '\'' || c == '"')) {
        quote = c;
      } else if (c == quote) {
        quote = 0;
      } else if (c == '\\' && quote != '\'') {
        read_escape(out, quote);
      } else if (c == '$' && quote != '\'') {
        TRY_VOID(read_variable(out, nesting));
      } else {
        out += c;
      }
    }
    if (quote != 0) return invalid(word_, "a quote is not closed");
    if (in_braces) return invalid(word_, "a brace is not closed");
    return {};
  }

  // Within double quotes a backslash escapes only what would end or expand there.
  void read_escape(std::string& out, char quote) {
    if (at_ == word_.size()) {
      out += '\\';
      return;
    }
    char c = word_[at_++];
    if (quote == '"' && c != '"' && c != '$' && c != '\\') out += '\\';
    out += c;
  }

  std::string_view read_name() {
    size_t begin = at_;
    if (at_ < word_.size() && is_name_start(word_[at_]))
      while (at_ < word_.size() && is_name(word_[at_])) ++at_;
    return word_.substr(begin, at_ - begin);
  }

  Result<void> read_variable(std::string& out, int nesting) {
    if (at_ == word_.size() || (word_[at_] != '{' && !is_name_start(word_[at_]))) {
      out += '$';
      return {};
    }
    if (word_[at_] != '{') {
      out += lookup(read_name(), env_);
      return {};
    }
    ++at_;
    std::string_view name = read_name();
    if (name.empty()) return invalid(word_, "a ${...} has no name");
    std::string value(lookup(name, env_));
    if (word_.substr(at_, 2) == ":-" || word_.substr(at_, 2) == ":+") {
      bool use_when_set = word_[at_ + 1] == '+';
      at_ += 2;
      std::string alternative;
      TRY_VOID(read(alternative, nesting + 1, /*in_braces=*/true));
      if (value.empty() != use_when_set) value = std::move(alternative);
    }
    if (at_ == word_.size()) return invalid(word_, "a brace is not closed");
    if (word_[at_] != '}')
      return invalid(word_, "only ${NAME}, ${NAME:-word} and ${NAME:+word} are known");
    ++at_;
    out += value;
    return {};
  }

  std::string_view word_;
  const std::vector<std::string>& env_;
  size_t at_ = 0;
};

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote == 0 && is_space(c)) {
      if (inside) words.push_back(std::move(word));
      word.clear();
      inside = false;
      continue;
    }
    inside = true;
    word += c;
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
  }
  if (inside) words.push_back(std::move(word));
  return words;
}

Result<std::string> expand_word(std::string_view word, const std::vector<std::string>& env) {
  return Expander(word, env).run();
}

}  // namespace wherry::oci
