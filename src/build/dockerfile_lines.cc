#include "build/dockerfile_lines.h"

#include <algorithm>

#include "base/text.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxFile = 4u << 20;
constexpr size_t kMaxLine = 1u << 20;
constexpr size_t kMaxHeredocs = 100;
constexpr std::string_view kBom = "\xEF\xBB\xBF";

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view without_leading_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

bool is_comment(std::string_view line) {
  return without_leading_space(line).starts_with('#');
}

bool has_heredocs(std::string_view word) {
  std::string name = to_lower(word);
  return name == "run" || name == "copy" || name == "add" || name == "onbuild";
}

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// UTF-8 without NUL: what an image's configuration can hold.
bool is_text(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto c = static_cast<unsigned char>(text[i]);
    size_t length = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    if (c == 0 || length == 0 || i + length > text.size()) return false;
    uint32_t code = length == 1 ? c : c & (0x7Fu >> length);
    for (size_t k = 1; k < length; ++k) {
      auto more = static_cast<unsigned char>(text[i + k]);
      if ((more & 0xC0) != 0x80) return false;
      code = code << 6 | (more & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    i += length;
  }
  return true;
}

// Reads line by line and knows where it is.
class LineReader {
 public:
  LineReader(std::string_view text, bool directives) : text_(text), window_(directives) {}

  Result<Lines> run() {
    if (text_.size() > kMaxFile)
      return Error(ErrorKind::kResourceExhausted, "the Dockerfile is larger than 4 MiB");
    if (text_.starts_with(kBom)) text_.remove_prefix(kBom.size());
    while (at_ < text_.size()) {
      Result<void> read = read_one();
      if (!read) return at_line(std::move(read.error()), start_ > 0 ? start_ : line_);
    }
    return std::move(result_);
  }

 private:
  Result<std::string_view> next() {
    size_t end = text_.find('\n', at_);
    std::string_view line = text_.substr(at_, end == text_.npos ? end : end - at_);
    at_ = end == text_.npos ? text_.size() : end + 1;
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > kMaxLine)
      return Error(ErrorKind::kResourceExhausted, "the line is longer than 1 MiB");
    return line;
  }

  // One logical line, a comment or a blank line.
  Result<void> read_one() {
    start_ = 0;
    TRY(std::string_view physical, next());
    std::string_view line = without_leading_space(physical);
    if (window_) TRY_VOID(directive(line));
    if (line.empty() || line.front() == '#') return {};
    window_ = false;
    start_ = line_;
    LogicalLine logical;
    std::string joined;
    bool more = take(line, joined);
    while (more && at_ < text_.size()) {
      TRY(std::string_view continued, next());
      if (is_comment(continued)) continue;
      if (without_leading_space(continued).empty()) {
        logical.empty_continuation = true;
        continue;
      }
      more = take(continued, joined);
      if (joined.size() > kMaxLine)
        return Error(ErrorKind::kResourceExhausted, "the instruction is longer than 1 MiB");
    }
    std::string_view whole = trim(joined);
    if (whole.empty()) return {};
    if (!is_text(whole)) return invalid("the instruction is not UTF-8 text");
    size_t end = std::ranges::find_if(whole, is_space) - whole.begin();
    logical.word = whole.substr(0, end);
    logical.rest = trim(whole.substr(end));
    if (has_heredocs(logical.word)) TRY_VOID(read_heredocs(logical));
    logical.place = {start_, line_};
    result_.lines.push_back(std::move(logical));
    return {};
  }

  // Appends the line without its continuation mark; true when it had one.
  bool take(std::string_view line, std::string& joined) const {
    std::string_view text = line;
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    bool marked = text.ends_with(result_.escape);
    if (marked && text.size() > 1 && text[text.size() - 2] == result_.escape) marked = false;
    if (marked) text.remove_suffix(1);
    joined += marked ? text : line;
    return marked;
  }

  Result<void> read_heredocs(LogicalLine& logical) {
    logical.heredocs = find_heredocs(logical.rest);
    if (logical.heredocs.size() > kMaxHeredocs)
      return Error(ErrorKind::kResourceExhausted, "more than 100 heredocs");
    for (Heredoc& heredoc : logical.heredocs) {
      bool closed = false;
      while (!closed && at_ < text_.size()) {
        TRY(std::string_view line, next());
        if (line.find('\0') != line.npos) return invalid("a heredoc has a NUL byte");
        if (heredoc.strip_tabs)
          line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
        closed = line == heredoc.name;
        if (!closed) heredoc.body.append(line) += '\n';
      }
      if (!closed)
        return invalid("unterminated heredoc")
            .set_hint("a line with '" + heredoc.name + "' alone ends it");
    }
    return {};
  }

  // "# name=value" above the first instruction, comment or blank line.
  Result<void> directive(std::string_view line) {
    if (line_ == 1 && line.starts_with("#!")) return {};
    bool slashes = line.starts_with("//");
    window_ = false;
    if (!slashes && !line.starts_with('#')) return {};
    auto [left, right] = split_once(line.substr(slashes ? 2 : 1), '=');
    std::string name = to_lower(trim(left));
    if (!right || trim(*right).empty()) return {};
    std::string value(trim(*right));
    if (slashes) {
      if (name == "syntax") result_.syntax = value;
      return {};
    }
    if (name != "syntax" && name != "escape" && name != "check") return {};
    start_ = line_;
    if (std::ranges::find(seen_, name) != seen_.end())
      return invalid("only one " + name + " parser directive can be used");
    seen_.push_back(name);
    window_ = true;
    if (name == "syntax") result_.syntax = value;
    if (name == "check") return read_checks(value);
    if (name != "escape") return {};
    if (value != "\\" && value != "`")
      return invalid("invalid ESCAPE '" + value + "'. Must be ` or \\");
    result_.escape = value.front();
    return {};
  }

  Result<void> read_checks(const std::string& text) {
    for (std::string_view part : split(text, ';')) {
      auto [left, value] = split_once(trim(part), '=');
      std::string key = to_lower(trim(left));
      std::string setting = value ? to_lower(trim(*value)) : std::string();
      if (key == "skip" && value) {
        for (std::string_view rule : split(setting, ',')) result_.checks.skip.emplace(trim(rule));
        result_.checks.skip_all = result_.checks.skip.contains("all");
      } else if (key == "error" && (setting == "true" || setting == "false")) {
        result_.checks.error = setting == "true";
      } else {
        return invalid("invalid check option '" + std::string(trim(part)) + "'")
            .set_hint("known are skip=RULE,RULE and error=true, separated by ';'");
      }
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 0;
  int start_ = 0;  // of the instruction that is read; 0: none
  bool window_;
  std::vector<std::string> seen_;
  Lines result_;
};

// The word at `at`, quotes with their contents taken as they are.
std::string_view shell_word(std::string_view text, size_t& at) {
  size_t begin = at;
  char quote = 0;
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (quote == 0 && is_space(c)) break;
    if (c == '\\' && quote != '\'') {
      ++at;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
  }
  at = std::min(at, text.size());
  return text.substr(begin, at - begin);
}

}  // namespace

Error at_line(Error error, int line) {
  return std::move(error).wrap("dockerfile parse error on line " + std::to_string(line));
}

std::optional<Heredoc> as_heredoc(std::string_view word) {
  while (!word.empty() && word.front() >= '0' && word.front() <= '9') word.remove_prefix(1);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  Heredoc heredoc;
  heredoc.strip_tabs = word.starts_with('-');
  if (heredoc.strip_tabs) word.remove_prefix(1);
  word = without_leading_space(word);
  if (word.find('<') != word.npos) return std::nullopt;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\'' || word[i] == '"') {
      size_t end = word.find(word[i], i + 1);
      if (end == word.npos) return std::nullopt;
      heredoc.name += word.substr(i + 1, end - i - 1);
      heredoc.expand = false;
      i = end;
    } else if (word[i] == '\\' && i + 1 < word.size()) {
      heredoc.name += word[++i];
      heredoc.expand = false;
    } else if (is_space(word[i])) {
      return std::nullopt;
    } else {
      heredoc.name += word[i];
    }
  }
  if (heredoc.name.empty()) return std::nullopt;
  return heredoc;
}

std::vector<Heredoc> find_heredocs(std::string_view rest) {
  std::vector<Heredoc> found;
  if (rest.find("<<") == rest.npos) return found;
  size_t at = 0;
  while (at < rest.size()) {
    if (is_space(rest[at])) {
      ++at;
      continue;
    }
    size_t begin = at;
    std::string_view word = shell_word(rest, at);
    // "<< EOF" is one word.
    if (word.ends_with("<<") || word.ends_with("<<-")) {
      while (at < rest.size() && is_space(rest[at])) ++at;
      shell_word(rest, at);
      word = rest.substr(begin, at - begin);
    }
    if (auto heredoc = as_heredoc(word)) found.push_back(std::move(*heredoc));
  }
  return found;
}

Result<Lines> read_lines(std::string_view text, bool directives) {
  return LineReader(text, directives).run();
}

}  // namespace wherry::build
