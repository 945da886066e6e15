#include <fmt/format.h>

#include <cctype>
#include <charconv>

#include "base/text.h"
#include "cli/template_ast.h"

namespace wherry::cli::internal {
namespace {

using Nodes = std::vector<std::unique_ptr<TemplateNode>>;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::unique_ptr<TemplateNode>> run() {
    auto root = std::make_unique<TemplateNode>();
    TRY(std::string ended, list(root->body, 0));
    if (!ended.empty()) return template_error(fmt::format("unexpected {{{{{}}}}}", ended));
    return root;
  }

 private:
  // Nodes up to {{end}}, {{else...}} (returned as "end" or "else", the rest of the action unread)
  // or the end of the text ("").
  Result<std::string> list(Nodes& out, int depth) {
    if (depth > kMaxTemplateDepth) return template_error("too deeply nested");
    for (;;) {
      take_text(out);
      if (at_ >= text_.size()) return std::string();
      TRY_VOID(open_action());
      if (comment_) continue;
      skip_space();
      std::string keyword = peek_word();
      if (keyword == "end") {
        take_word();
        TRY_VOID(close_action());
        return keyword;
      }
      if (keyword == "else") {
        take_word();
        return keyword;
      }
      TRY_VOID(action(out, keyword, depth));
    }
  }

  void take_text(Nodes& out) {
    size_t open = text_.find("{{", at_);
    size_t end = open == text_.npos ? text_.size() : open;
    std::string_view piece = text_.substr(at_, end - at_);
    if (trim_left_)
      while (!piece.empty() && is_space(piece.front())) piece.remove_prefix(1);
    trim_left_ = false;
    bool trim_right = open != text_.npos && open + 3 < text_.size() && text_[open + 2] == '-' &&
                      is_space(text_[open + 3]);
    if (trim_right)
      while (!piece.empty() && is_space(piece.back())) piece.remove_suffix(1);
    at_ = end;
    if (piece.empty()) return;
    auto node = std::make_unique<TemplateNode>();
    node->kind = TemplateNode::Kind::kText;
    node->text = std::string(piece);
    out.push_back(std::move(node));
  }

  Result<void> open_action() {
    at_ += 2;
    if (at_ + 1 < text_.size() && text_[at_] == '-' && is_space(text_[at_ + 1])) at_ += 2;
    comment_ = false;
    size_t begin = at_;
    skip_space();
    if (!text_.substr(at_).starts_with("/*")) {
      at_ = begin;
      return {};
    }
    size_t end = text_.find("*/", at_ + 2);
    if (end == text_.npos) return template_error("unclosed comment");
    at_ = end + 2;
    comment_ = true;
    return close_action();
  }

  Result<void> close_action() {
    // The operands before may have read the space that a trim marker needs.
    bool space = (at_ < text_.size() && is_space(text_[at_])) || is_space(text_[at_ - 1]);
    skip_space();
    if (space && text_.substr(at_).starts_with("-}}")) {
      trim_left_ = true;
      at_ += 3;
      return {};
    }
    if (text_.substr(at_).starts_with("}}")) {
      at_ += 2;
      return {};
    }
    if (at_ >= text_.size()) return template_error("unclosed action");
    return template_error(fmt::format("unexpected '{}' in an action", text_.substr(at_, 1)));
  }

  Result<void> action(Nodes& out, const std::string& keyword, int depth) {
    for (std::string_view word : {"define", "template", "block", "break", "continue"})
      if (keyword == word)
        return Error(ErrorKind::kUnsupported,
                     fmt::format("template parsing error: '{}' is not supported", word));
    auto node = std::make_unique<TemplateNode>();
    if (keyword == "if" || keyword == "range" || keyword == "with") {
      take_word();
      TRY_VOID(branch(*node, keyword, depth));
    } else {
      node->kind = TemplateNode::Kind::kAction;
      TRY_VOID(pipeline(node->pipeline, 0));
      if (node->pipeline.variables.size() > 1) return template_error("too many variables");
      TRY_VOID(close_action());
    }
    out.push_back(std::move(node));
    return {};
  }

  // After the keyword: the pipeline, the body, any else branches, and the end.
  Result<void> branch(TemplateNode& node, std::string_view keyword, int depth) {
    node.kind = keyword == "if"      ? TemplateNode::Kind::kIf
                : keyword == "range" ? TemplateNode::Kind::kRange
                                     : TemplateNode::Kind::kWith;
    TRY_VOID(pipeline(node.pipeline, 0));
    if (node.pipeline.variables.size() > (keyword == "range" ? 2U : 1U))
      return template_error("too many variables");
    TRY_VOID(close_action());
    TRY(std::string ended, list(node.body, depth + 1));
    if (ended == "else") {
      skip_space();
      std::string next = peek_word();
      if (next == "if" || next == "with") {
        take_word();
        auto inner = std::make_unique<TemplateNode>();
        if (depth + 1 > kMaxTemplateDepth) return template_error("too deeply nested");
        TRY_VOID(branch(*inner, next, depth + 1));
        node.otherwise.push_back(std::move(inner));
        return {};
      }
      TRY_VOID(close_action());
      TRY(ended, list(node.otherwise, depth + 1));
    }
    if (ended != "end") return template_error(fmt::format("'{}' without {{{{end}}}}", keyword));
    return {};
  }

  Result<void> pipeline(Pipeline& out, int depth) {
    if (depth > kMaxTemplateDepth) return template_error("too deeply nested");
    TRY_VOID(declaration(out));
    for (;;) {
      Command command;
      TRY_VOID(operands(command, depth));
      if (command.operands.empty()) return template_error("missing value for command");
      if (!out.commands.empty() && command.operands[0].kind == Operand::Kind::kLiteral)
        return template_error("a literal cannot take the value of a pipeline");
      out.commands.push_back(std::move(command));
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '|') return {};
      ++at_;
    }
  }

  // "$x :=", "$x =", "$i, $x :=" or nothing.
  Result<void> declaration(Pipeline& out) {
    size_t begin = at_;
    std::vector<std::string> names;
    for (;;) {
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '$') break;
      ++at_;
      names.push_back("$" + take_word());
      skip_space();
      std::string_view rest = text_.substr(at_);
      if (rest.starts_with(",")) {
        ++at_;
        continue;
      }
      if (rest.starts_with(":=") || (rest.starts_with("=") && !rest.starts_with("=="))) {
        out.declares = rest[0] == ':';
        at_ += out.declares ? 2 : 1;
        out.variables = std::move(names);
        return {};
      }
      break;
    }
    if (names.size() > 1) return template_error("expected :=");
    at_ = begin;
    return {};
  }

  Result<void> operands(Command& out, int depth) {
    for (;;) {
      skip_space();
      if (at_ >= text_.size()) return template_error("unclosed action");
      char c = text_[at_];
      std::string_view rest = text_.substr(at_);
      if (c == '|' || c == ')' || rest.starts_with("}}")) return {};
      if (rest.starts_with("-}}")) return {};
      Operand operand;
      TRY_VOID(one_operand(operand, depth));
      TRY_VOID(fields(operand));
      out.operands.push_back(std::move(operand));
      if (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != '|' && text_[at_] != ')' &&
          !text_.substr(at_).starts_with("}}"))
        return template_error(fmt::format("unexpected '{}' in an operand", text_[at_]));
    }
  }

  Result<void> one_operand(Operand& out, int depth) {
    char c = text_[at_];
    if (c == '.') {
      if (at_ + 1 < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) != 0)
        return number(out);
      out.kind = Operand::Kind::kDot;
      if (at_ + 1 >= text_.size() || !is_word(text_[at_ + 1])) ++at_;
      return {};
    }
    if (c == '$') {
      ++at_;
      out.kind = Operand::Kind::kVariable;
      out.name = "$" + take_word();
      return {};
    }
    if (c == '(') {
      ++at_;
      out.kind = Operand::Kind::kGroup;
      out.group = std::make_unique<Pipeline>();
      TRY_VOID(pipeline(*out.group, depth + 1));
      skip_space();
      if (at_ >= text_.size() || text_[at_] != ')') return template_error("unclosed '('");
      ++at_;
      return {};
    }
    if (c == '"' || c == '\'') return quoted(out, c);
    if (c == '`') {
      size_t end = text_.find('`', at_ + 1);
      if (end == text_.npos) return template_error("unterminated raw string");
      return literal(out, std::string(text_.substr(at_ + 1, end - at_ - 1)), end + 1);
    }
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+')
      return number(out);
    if (!is_word(c)) return template_error(fmt::format("unexpected '{}' in a command", c));
    return identifier(out);
  }

  Result<void> identifier(Operand& out) {
    std::string word = take_word();
    if (word == "true" || word == "false") return literal(out, word == "true", at_);
    if (word == "nil") return literal(out, nullptr, at_);
    if (!is_function(word)) {
      Error error = template_error(fmt::format("function \"{}\" not defined", word));
      if (word.size() > 0 && std::isupper(static_cast<unsigned char>(word[0])) != 0)
        error.set_hint(fmt::format("a field is written with a dot: '.{}'", word));
      return error;
    }
    out.kind = Operand::Kind::kFunction;
    out.name = std::move(word);
    return {};
  }

  Result<void> fields(Operand& out) {
    while (at_ + 1 < text_.size() && text_[at_] == '.' && is_word(text_[at_ + 1])) {
      if (out.kind == Operand::Kind::kLiteral || out.kind == Operand::Kind::kFunction)
        return template_error("a field needs an object before its dot");
      ++at_;
      out.fields.push_back(take_word());
      if (out.fields.size() > static_cast<size_t>(kMaxTemplateDepth))
        return template_error("too long a chain of fields");
    }
    return {};
  }

  Result<void> number(Operand& out) {
    size_t end = at_ + 1;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.')) ++end;
    std::string_view word = text_.substr(at_, end - at_);
    std::string_view digits = word.starts_with('+') ? word.substr(1) : word;
    if (auto whole = parse_i64(digits)) return literal(out, *whole, end);
    bool negative = digits.starts_with('-');
    std::string_view magnitude = negative ? digits.substr(1) : digits;
    if (magnitude.starts_with("0x") || magnitude.starts_with("0X")) {
      int64_t value = 0;
      auto [stop, error] =
          std::from_chars(magnitude.data() + 2, magnitude.data() + magnitude.size(), value, 16);
      if (error == std::errc{} && stop == magnitude.data() + magnitude.size() &&
          magnitude.size() > 2 && value >= 0)
        return literal(out, negative ? -value : value, end);
    }
    double real = 0;
    auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), real);
    if (error != std::errc{} || stop != digits.data() + digits.size())
      return template_error(fmt::format("bad number '{}'", word));
    return literal(out, real, end);
  }

  Result<void> quoted(Operand& out, char quote) {
    std::string value;
    size_t i = at_ + 1;
    for (; i < text_.size() && text_[i] != quote && text_[i] != '\n'; ++i) {
      if (text_[i] != '\\') {
        value += text_[i];
        continue;
      }
      TRY_VOID(escape(value, i));
    }
    if (i >= text_.size() || text_[i] != quote)
      return template_error(quote == '"' ? "unterminated quoted string"
                                         : "unterminated character constant");
    if (quote == '"') return literal(out, std::move(value), i + 1);
    if (value.empty()) return template_error("empty character constant");
    return literal(out, static_cast<int64_t>(static_cast<unsigned char>(value[0])), i + 1);
  }

  // At a backslash; leaves `i` on the escape's last character.
  Result<void> escape(std::string& value, size_t& i) {
    constexpr std::string_view kNames = "abfnrtv\\'\"";
    constexpr std::string_view kCodes = "\a\b\f\n\r\t\v\\'\"";
    if (++i >= text_.size()) return template_error("unterminated quoted string");
    if (size_t known = kNames.find(text_[i]); known != kNames.npos) {
      value += kCodes[known];
      return {};
    }
    size_t length = text_[i] == 'x' ? 2 : text_[i] == 'u' ? 4 : text_[i] == 'U' ? 8 : 0;
    uint32_t code = 0;
    std::string_view hex = text_.substr(i + 1, length);
    auto [stop, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (length == 0 || hex.size() != length || error != std::errc{} ||
        stop != hex.data() + hex.size() || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      return template_error("bad escape in a quoted string");
    append_utf8(value, code);
    i += length;
    return {};
  }

  Result<void> literal(Operand& out, Json value, size_t next) {
    out.kind = Operand::Kind::kLiteral;
    out.literal = make_value(std::move(value));
    at_ = next;
    return {};
  }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  std::string peek_word() const {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return std::string(text_.substr(at_, end - at_));
  }
  std::string take_word() {
    std::string word = peek_word();
    at_ += word.size();
    return word;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool trim_left_ = false;
  bool comment_ = false;
};

}  // namespace

Error template_error(std::string_view what) {
  return Error(ErrorKind::kInvalidArgument, fmt::format("template parsing error: {}", what));
}

Result<std::unique_ptr<TemplateNode>> parse_template(std::string_view text) {
  if (text.size() > kMaxTemplateText)
    return template_error(fmt::format("longer than {} bytes", kMaxTemplateText));
  return Parser(text).run();
}

}  // namespace wherry::cli::internal
