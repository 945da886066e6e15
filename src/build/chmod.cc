#include "build/chmod.h"

#include <optional>

#include "base/text.h"

namespace wherry::build {
namespace {

constexpr uint32_t kUser = 04700, kGroup = 02070, kOther = 01007;
constexpr uint32_t kAll = 07777;
constexpr uint32_t kExecute = 0111;

uint32_t who_of(char c) {
  return c == 'u' ? kUser : c == 'g' ? kGroup : c == 'o' ? kOther : c == 'a' ? kAll : 0;
}

uint32_t bits_of(char c) {
  switch (c) {
    case 'r':
      return 0444;
    case 'w':
      return 0222;
    case 'x':
      return kExecute;
    case 's':
      return 06000;
    case 't':
      return 01000;
    default:
      return 0;
  }
}

// rwx of one class, for all three.
uint32_t copied_bits(uint32_t mode, char from) {
  uint32_t three = from == 'u' ? mode >> 6 : from == 'g' ? mode >> 3 : mode;
  return (three & 7) * kExecute;
}

}  // namespace

void ModeChange::parse_permissions(std::string_view& rest, Action& action) {
  if (!rest.empty() && (rest[0] == 'u' || rest[0] == 'g' || rest[0] == 'o')) {
    action.copy_from = rest[0];
    rest.remove_prefix(1);
    return;
  }
  for (; !rest.empty(); rest.remove_prefix(1)) {
    if (rest[0] == 'X') {
      action.execute_if = true;
    } else if (uint32_t bits = bits_of(rest[0])) {
      action.bits |= bits;
    } else {
      break;
    }
  }
}

bool ModeChange::parse_clause(std::string_view rest, std::vector<Action>& actions) {
  uint32_t who = 0;
  for (; !rest.empty() && who_of(rest[0]) != 0; rest.remove_prefix(1)) who |= who_of(rest[0]);
  if (who == 0) who = kAll;
  if (rest.empty()) return false;
  while (!rest.empty()) {
    Action action;
    action.who = who;
    action.operation = rest[0];
    if (action.operation != '+' && action.operation != '-' && action.operation != '=') return false;
    rest.remove_prefix(1);
    parse_permissions(rest, action);
    actions.push_back(action);
  }
  return true;
}

Result<ModeChange> ModeChange::parse(const std::string& words) {
  ModeChange change;
  bool good = !words.empty();
  if (good && words[0] >= '0' && words[0] <= '9') {
    std::optional<uint64_t> number = parse_octal(words);
    good = number && *number <= kAll;
    if (good) change.actions_.push_back({kAll, 'o', static_cast<uint32_t>(*number), false, 0});
  } else if (good) {
    for (std::string_view clause : split(words, ','))
      good = good && parse_clause(clause, change.actions_);
  }
  if (good) return change;
  return Error(ErrorKind::kInvalidArgument,
               "invalid chmod parameter: '" + words +
                   "'. it should be octal string and between 0 and 07777")
      .set_hint("or symbolic, as for chmod: --chmod=u=rwX,go=rX");
}

uint32_t ModeChange::apply(uint32_t mode, bool directory) const {
  mode &= kAll;
  for (const Action& action : actions_) {
    if (action.operation == 'o') {
      mode = action.bits;
      continue;
    }
    uint32_t bits = action.bits;
    if (action.execute_if && (directory || (mode & kExecute) != 0)) bits |= kExecute;
    if (action.copy_from != 0) bits |= copied_bits(mode, action.copy_from);
    bits &= action.who;
    if (action.operation == '+') mode |= bits;
    if (action.operation == '-') mode &= ~bits;
    if (action.operation == '=') mode = (mode & ~action.who) | bits;
  }
  return mode;
}

}  // namespace wherry::build
