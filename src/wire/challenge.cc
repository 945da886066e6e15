#include "wire/challenge.h"

#include <optional>

#include "base/text.h"

namespace wherry::wire {
namespace {

constexpr size_t kMaxHeader = 8192;
constexpr size_t kMaxChallenges = 16;
constexpr size_t kMaxParameters = 16;

bool is_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ >= text_.size(); }
  bool skip(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  void skip_commas() {
    do skip_blanks();
    while (skip(','));
  }
  std::string_view token() {
    size_t begin = at_;
    while (!at_end() && is_token(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // A token or a quoted string without control characters.
  std::optional<std::string> value() {
    if (!skip('"')) {
      std::string_view plain = token();
      if (plain.empty()) return std::nullopt;
      return std::string(plain);
    }
    std::string text;
    while (!at_end()) {
      char c = text_[at_++];
      if (c == '"') return text;
      if (c == '\\' && !at_end()) c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
      text += c;
    }
    return std::nullopt;
  }
  // The name of a parameter when one is here; the place is kept when not.
  std::optional<std::string> parameter_name() {
    size_t begin = at_;
    std::string_view name = token();
    skip_blanks();
    if (!name.empty() && skip('=')) {
      skip_blanks();
      return to_lower(name);
    }
    at_ = begin;
    return std::nullopt;
  }
  // "Negotiate <token68>": not ours, but another challenge may follow.
  void skip_token68() {
    size_t begin = at_;
    while (!at_end() && (is_token(text_[at_]) || text_[at_] == '/')) ++at_;
    while (skip('=')) {
    }
    skip_blanks();
    if (!at_end() && text_[at_] != ',') at_ = begin;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// False: the rest cannot be read.
bool read_parameters(Scanner& scanner, Challenge& challenge) {
  for (;;) {
    scanner.skip_commas();
    std::optional<std::string> name = scanner.parameter_name();
    if (!name) return true;
    std::optional<std::string> value = scanner.value();
    if (!value || challenge.parameters.size() >= kMaxParameters) return false;
    challenge.parameters.emplace(std::move(*name), std::move(*value));
    scanner.skip_blanks();
  }
}

}  // namespace

std::string Challenge::parameter(const std::string& name) const {
  auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

std::vector<Challenge> parse_challenges(std::string_view value) {
  std::vector<Challenge> challenges;
  if (value.size() > kMaxHeader) return challenges;
  Scanner scanner(value);
  while (challenges.size() < kMaxChallenges) {
    scanner.skip_commas();
    std::string_view scheme = scanner.token();
    if (scheme.empty()) break;
    Challenge challenge{to_lower(scheme), {}};
    scanner.skip_blanks();
    if (challenge.scheme == "negotiate" || challenge.scheme == "ntlm") scanner.skip_token68();
    if (!read_parameters(scanner, challenge)) break;
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace wherry::wire
