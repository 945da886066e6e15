#include "runtime/seccomp_shrink.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>

namespace wherry::runtime {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kQuarters[] = {0, kX32Bit, 2 * kX32Bit, 3 * kX32Bit};
constexpr size_t kLongestJump = 255;

using Program = std::vector<sock_filter>;

struct Question {
  uint32_t architecture;
  uint32_t number;
};

// From `first` on a program says the same, in these instructions: one verdict, or looks at
// arguments.
struct Range {
  uint32_t first;
  Program answer;
};

sock_filter instruction(int code, uint32_t value, uint8_t then = 0, uint8_t otherwise = 0) {
  return {static_cast<uint16_t>(code), then, otherwise, value};
}

bool loads(const sock_filter& line) {
  return line.code == (BPF_LD | BPF_W | BPF_ABS);
}

bool masks(const sock_filter& line) {
  return line.code == (BPF_ALU | BPF_AND | BPF_K);
}

bool loads_argument(const sock_filter& line) {
  return loads(line) && line.k != offsetof(seccomp_data, nr) &&
         line.k != offsetof(seccomp_data, arch);
}

// nullopt: no comparison that is understood.
std::optional<bool> compare(const sock_filter& line, uint32_t value) {
  switch (line.code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
      return value == line.k;
    case BPF_JMP | BPF_JGT | BPF_K:
      return value > line.k;
    case BPF_JMP | BPF_JGE | BPF_K:
      return value >= line.k;
    case BPF_JMP | BPF_JSET | BPF_K:
      return (value & line.k) != 0;
    default:
      return std::nullopt;
  }
}

// What is left of a program when architecture and number are known: everything about them is
// worked out, instructions about arguments stay.
class Residue {
 public:
  Residue(const Program& program, Question question) : program_(program), question_(question) {}

  // nullopt: an instruction that is not understood, or a jump too far for one.
  std::optional<Program> compute() {
    const std::optional<State> first = advance({0, 0});
    if (!first) return std::nullopt;
    // Most numbers have a verdict, whatever the arguments.
    const sock_filter& line = program_[first->at];
    if (line.code == (BPF_RET | BPF_K)) return Program{line};
    if (!collect(*first)) return std::nullopt;
    return lay_out();
  }

 private:
  // A place in the program and what the accumulator holds there; nullopt: part of an argument.
  struct State {
    size_t at;
    std::optional<uint32_t> accumulator;
    auto operator<=>(const State&) const = default;
  };
  struct Step {
    sock_filter line;
    std::vector<State> next;  // none: the end; two: of a comparison
  };

  // Over all that is known, to an instruction that has to stay.
  std::optional<State> advance(State state) const {
    while (state.at < program_.size()) {
      const sock_filter& line = program_[state.at];
      if (loads_argument(line) || line.code == (BPF_RET | BPF_K)) return State{state.at, {}};
      if (line.code == (BPF_JMP | BPF_JA)) {
        state.at += line.k;
      } else if (loads(line)) {
        state.accumulator =
            line.k == offsetof(seccomp_data, nr) ? question_.number : question_.architecture;
      } else if (!state.accumulator) {
        return state;
      } else if (masks(line)) {
        *state.accumulator &= line.k;
      } else {
        const std::optional<bool> holds = compare(line, *state.accumulator);
        if (!holds) return std::nullopt;
        state.at += *holds ? line.jt : line.jf;
      }
      ++state.at;
    }
    return std::nullopt;
  }

  // All steps that can be reached; in the order of their places every jump goes forward.
  bool collect(const State& first) {
    std::vector<State> open{first};
    while (!open.empty()) {
      const State state = open.back();
      open.pop_back();
      if (steps_.contains(state)) continue;
      Step step{program_[state.at], {}};
      std::vector<size_t> targets;
      if (loads(step.line) || masks(step.line)) {
        targets = {state.at + 1};
      } else if (compare(step.line, 0)) {
        targets = {state.at + 1 + step.line.jt, state.at + 1 + step.line.jf};
      } else if (step.line.code != (BPF_RET | BPF_K)) {
        return false;
      }
      for (const size_t target : targets) {
        const std::optional<State> next = advance({target, std::nullopt});
        if (!next) return false;
        step.next.push_back(*next);
        open.push_back(*next);
      }
      steps_.emplace(state, std::move(step));
    }
    return true;
  }

  std::optional<Program> lay_out() const {
    std::map<State, size_t> places;
    size_t size = 0;
    for (auto step = steps_.begin(); step != steps_.end(); ++step) {
      places[step->first] = size;
      size += 1 + (needs_jump(step) ? 1 : 0);
    }
    Program code;
    for (auto step = steps_.begin(); step != steps_.end(); ++step) {
      sock_filter line = step->second.line;
      const auto distance = [&](size_t which) {
        return places[step->second.next[which]] - code.size() - 1;
      };
      if (step->second.next.size() == 2) {
        if (distance(0) > kLongestJump || distance(1) > kLongestJump) return std::nullopt;
        line.jt = static_cast<uint8_t>(distance(0));
        line.jf = static_cast<uint8_t>(distance(1));
      }
      code.push_back(line);
      if (needs_jump(step))
        code.push_back(instruction(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(0))));
    }
    return code;
  }
  // The one successor is not the next line.
  bool needs_jump(std::map<State, Step>::const_iterator step) const {
    const auto& next = step->second.next;
    return next.size() == 1 && std::next(step)->first != next[0];
  }

  const Program& program_;
  Question question_;
  std::map<State, Step> steps_;
};

// The numbers at which an answer may change: those that are compared with and their successors, in
// each quarter of the range, because a mask may have taken the x32 bit away. Arguments' values
// among them do no harm. nullopt: a mask of other bits, whose numbers would not be in rows.
std::optional<std::vector<uint32_t>> turning_points(const Program& program) {
  std::set<uint32_t> points(std::begin(kQuarters), std::end(kQuarters));
  bool of_argument = false;  // what the accumulator holds, in the order of the lines
  for (const sock_filter& line : program) {
    if (loads(line)) of_argument = loads_argument(line);
    const bool mask = masks(line) || line.code == (BPF_JMP | BPF_JSET | BPF_K);
    if (mask && !of_argument && line.k != kX32Bit && line.k != ~kX32Bit) return std::nullopt;
    if (!compare(line, 0)) continue;
    for (const uint32_t quarter : kQuarters)
      for (const uint32_t value : {line.k, line.k + 1})
        points.insert((value & (kX32Bit - 1)) | quarter);
  }
  return std::vector<uint32_t>(points.begin(), points.end());
}

bool same(const Program& a, const Program& b) {
  return std::ranges::equal(a, b, [](const sock_filter& x, const sock_filter& y) {
    return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
  });
}

std::optional<std::vector<Range>> ranges_of(const Program& program, uint32_t architecture,
                                            const std::vector<uint32_t>& points) {
  std::vector<Range> ranges;
  for (const uint32_t number : points) {
    std::optional<Program> answer = Residue(program, {architecture, number}).compute();
    if (!answer) return std::nullopt;
    if (ranges.empty() || !same(ranges.back().answer, *answer))
      ranges.push_back({number, std::move(*answer)});
  }
  return ranges;
}

void append(Program& code, const Program& more) {
  code.insert(code.end(), more.begin(), more.end());
}

// A binary tree over ranges; the number is in the accumulator.
Program tree_of(std::span<const Range> ranges) {
  if (ranges.size() == 1) return ranges.front().answer;
  const size_t middle = ranges.size() / 2;
  const Program low = tree_of(ranges.first(middle));
  Program code = {instruction(BPF_JMP | BPF_JGE | BPF_K, ranges[middle].first)};
  if (low.size() > kLongestJump) {
    code[0].jf = 1;
    code.push_back(instruction(BPF_JMP | BPF_JA, static_cast<uint32_t>(low.size())));
  } else {
    code[0].jt = static_cast<uint8_t>(low.size());
  }
  append(code, low);
  append(code, tree_of(ranges.subspan(middle)));
  return code;
}

std::optional<Program> shrunk(const Program& program, std::span<const uint32_t> architectures) {
  const auto points = turning_points(program);
  if (!points) return std::nullopt;
  // No kernel's architecture is 0.
  const auto others = ranges_of(program, 0, *points);
  if (!others || others->size() != 1) return std::nullopt;
  Program code = {instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch))};
  std::set<uint32_t> seen;
  for (const uint32_t architecture : architectures) {
    if (!seen.insert(architecture).second) continue;
    const auto ranges = ranges_of(program, architecture, *points);
    if (!ranges) return std::nullopt;
    Program tree = {instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    append(tree, tree_of(*ranges));
    code.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0));
    code.push_back(instruction(BPF_JMP | BPF_JA, static_cast<uint32_t>(tree.size())));
    append(code, tree);
  }
  append(code, others->front().answer);
  return code;
}

}  // namespace

std::vector<sock_filter> shrink_filter(std::vector<sock_filter> program,
                                       std::span<const uint32_t> architectures) {
  std::optional<Program> shorter = shrunk(program, architectures);
  if (shorter && shorter->size() < program.size()) return std::move(*shorter);
  return program;
}

}  // namespace wherry::runtime
