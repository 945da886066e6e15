#include "build/expand.h"

#include "build/pattern.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxExpanded = 1u << 20;
constexpr int kMaxNesting = 16;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// Text, and which of its bytes are blanks that split words.
struct Piece {
  std::string text;
  std::vector<bool> splits;

  void add(char c, bool quoted) {
    text += c;
    splits.push_back(!quoted && is_space(c));
  }
  void add(std::string_view more, bool quoted) {
    for (char c : more) add(c, quoted);
  }
};

class Reader {
 public:
  Reader(std::string_view word, const Expander& expander, bool quotes)
      : word_(word), expander_(expander), quotes_(quotes) {}

  Result<Piece> run() {
    Piece out;
    TRY_VOID(read(out, '\0', /*raw=*/false));
    return out;
  }

 private:
  bool at_end() const { return at_ == word_.size(); }
  char peek() const { return at_end() ? '\0' : word_[at_]; }

  // Up to `stop`, which is taken, or to the end when there is none. `raw`: escapes stay, for a
  // pattern to understand.
  Result<void> read(Piece& out, char stop, bool raw) {
    while (!at_end()) {
      if (out.text.size() > kMaxExpanded) return invalid("the result is larger than 1 MiB");
      char c = word_[at_++];
      if (stop != '\0' && c == stop) return {};
      if (c == '$') {
        TRY(std::string value, dollar());
        out.add(value, /*quoted=*/false);
      } else if (quotes_ && c == '\'') {
        TRY_VOID(single_quoted(out));
      } else if (quotes_ && c == '"') {
        TRY_VOID(double_quoted(out, raw));
      } else if (c == expander_.escape) {
        if (raw) out.add(c, /*quoted=*/true);
        if (!at_end()) out.add(word_[at_++], /*quoted=*/true);
      } else {
        out.add(c, /*quoted=*/false);
      }
    }
    if (stop == '/') return invalid("syntax error: missing '/' in ${}");
    if (stop != '\0') return invalid("syntax error: missing '}'");
    if (out.text.size() > kMaxExpanded) return invalid("the result is larger than 1 MiB");
    return {};
  }

  Result<void> single_quoted(Piece& out) {
    size_t end = word_.find('\'', at_);
    if (end == word_.npos)
      return invalid("unexpected end of statement while looking for matching single-quote");
    out.add(word_.substr(at_, end - at_), /*quoted=*/true);
    at_ = end + 1;
    return {};
  }

  Result<void> double_quoted(Piece& out, bool raw) {
    while (!at_end()) {
      if (out.text.size() > kMaxExpanded) return invalid("the result is larger than 1 MiB");
      char c = word_[at_++];
      if (c == '"') return {};
      if (c == '$') {
        TRY(std::string value, dollar());
        out.add(value, /*quoted=*/true);
        continue;
      }
      if (c == expander_.escape && !at_end()) {
        char next = peek();
        if (next == '"' || next == '$' || next == expander_.escape) {
          if (raw) out.add(c, /*quoted=*/true);
          c = next;
          ++at_;
        }
      }
      out.add(c, /*quoted=*/true);
    }
    return invalid("unexpected end of statement while looking for matching double-quote");
  }

  // A name, a number, or one of the shell's special parameters, which are never set here.
  std::string_view name() {
    size_t begin = at_;
    if (is_digit(peek())) {
      while (is_digit(peek())) ++at_;
    } else if (!at_end() && std::string_view("@*#?-$!").find(peek()) != std::string_view::npos) {
      ++at_;
    } else {
      while (is_name(peek())) ++at_;
    }
    return word_.substr(begin, at_ - begin);
  }

  std::optional<std::string> value_of(std::string_view name, bool missed) {
    std::optional<std::string> value = expander_.lookup(name);
    if (!value && missed && expander_.unset != nullptr) expander_.unset->emplace(name);
    return value;
  }

  // Behind a '$'.
  Result<std::string> dollar() {
    if (peek() != '{') {
      std::string_view variable = name();
      if (variable.empty()) return std::string("$");
      return value_of(variable, /*missed=*/true).value_or("");
    }
    ++at_;
    if (at_end()) return invalid("syntax error: missing '}'");
    std::string_view variable = name();
    if (variable.empty()) return invalid("syntax error: bad substitution");
    if (at_end()) return invalid("syntax error: missing '}'");
    if (peek() == '}') {
      ++at_;
      return value_of(variable, /*missed=*/true).value_or("");
    }
    if (++nesting_ > kMaxNesting) return invalid("more than 16 nested braces");
    Result<std::string> value = modified(variable);
    --nesting_;
    return value;
  }

  // Behind ${name.
  Result<std::string> modified(std::string_view variable) {
    char modifier = word_[at_++];
    bool empty_is_unset = modifier == ':';
    std::string shown(1, modifier);
    if (empty_is_unset) {
      if (at_end()) return invalid("syntax error: missing '}'");
      modifier = word_[at_++];
      shown += modifier;
    }
    if (modifier == '-' || modifier == '+' || modifier == '?')
      return alternative(variable, modifier, empty_is_unset);
    if (!empty_is_unset && (modifier == '#' || modifier == '%')) return trimmed(variable, modifier);
    if (!empty_is_unset && modifier == '/') return replaced(variable);
    return invalid("unsupported modifier (" + shown + ") in substitution");
  }

  Result<std::string> alternative(std::string_view variable, char modifier, bool empty_is_unset) {
    Piece word;
    TRY_VOID(read(word, '}', /*raw=*/false));
    std::optional<std::string> value = value_of(variable, /*missed=*/false);
    bool is_set = value && !(empty_is_unset && value->empty());
    if (modifier == '+') return is_set ? std::move(word.text) : std::string();
    if (is_set) return std::move(*value);
    if (modifier == '-') return std::move(word.text);
    if (word.text.empty())
      word.text = value ? "is not allowed to be empty" : "is not allowed to be unset";
    return invalid(std::string(variable) + ": " + word.text);
  }

  Result<std::string> trimmed(std::string_view variable, char modifier) {
    bool longest = peek() == modifier;
    if (longest) ++at_;
    Piece word;
    TRY_VOID(read(word, '}', /*raw=*/true));
    TRY(Pattern pattern, Pattern::compile(word.text));
    std::string value = value_of(variable, /*missed=*/true).value_or("");
    auto length = modifier == '#' ? pattern.prefix(value, longest) : pattern.suffix(value, longest);
    if (!length) return value;
    return modifier == '#' ? value.substr(*length) : value.substr(0, value.size() - *length);
  }

  Result<std::string> replaced(std::string_view variable) {
    bool all = peek() == '/';
    if (all) ++at_;
    Piece word;
    TRY_VOID(read(word, '/', /*raw=*/true));
    Piece by;
    TRY_VOID(read(by, '}', /*raw=*/true));
    TRY(Pattern pattern, Pattern::compile(word.text));
    std::string value = value_of(variable, /*missed=*/true).value_or("");
    std::string result = pattern.replaced(value, by.text, all, kMaxExpanded);
    if (result.size() > kMaxExpanded) return invalid("the result is larger than 1 MiB");
    return result;
  }

  std::string_view word_;
  const Expander& expander_;
  bool quotes_;
  size_t at_ = 0;
  int nesting_ = 0;
};

Result<Piece> expanded(std::string_view word, const Expander& expander, bool quotes) {
  Result<Piece> piece = Reader(word, expander, quotes).run();
  if (!piece)
    return fail(std::move(piece), "failed to process '" + std::string(word.substr(0, 200)) + "'");
  return piece;
}

}  // namespace

Expander env_expander(const std::vector<std::string>& env, char escape) {
  auto lookup = [&env](std::string_view name) -> std::optional<std::string> {
    for (auto variable = env.rbegin(); variable != env.rend(); ++variable)
      if (variable->size() > name.size() && variable->starts_with(name) &&
          (*variable)[name.size()] == '=')
        return variable->substr(name.size() + 1);
    return std::nullopt;
  };
  return {lookup, escape, nullptr};
}

Result<std::string> expand_word(std::string_view word, const Expander& expander) {
  TRY(Piece piece, expanded(word, expander, /*quotes=*/true));
  return std::move(piece.text);
}

Result<std::vector<std::string>> expand_words(std::string_view word, const Expander& expander) {
  TRY(Piece piece, expanded(word, expander, /*quotes=*/true));
  std::vector<std::string> words;
  std::string current;
  for (size_t i = 0; i <= piece.text.size(); ++i) {
    bool ends = i == piece.text.size() || piece.splits[i];
    if (!ends) {
      current += piece.text[i];
    } else if (!current.empty()) {
      words.push_back(std::move(current));
      current.clear();
    }
  }
  return words;
}

Result<std::string> expand_text(std::string_view text, const Expander& expander) {
  TRY(Piece piece, expanded(text, expander, /*quotes=*/false));
  return std::move(piece.text);
}

}  // namespace wherry::build
