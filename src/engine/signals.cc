#include "engine/signals.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace wherry::engine {
namespace {

constexpr auto kNames = std::to_array<std::pair<std::string_view, int>>({
    {"ABRT", SIGABRT},     {"ALRM", SIGALRM}, {"BUS", SIGBUS},   {"CHLD", SIGCHLD},
    {"CONT", SIGCONT},     {"FPE", SIGFPE},   {"HUP", SIGHUP},   {"ILL", SIGILL},
    {"INT", SIGINT},       {"IO", SIGIO},     {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
    {"PROF", SIGPROF},     {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},
    {"STKFLT", SIGSTKFLT}, {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},
    {"TRAP", SIGTRAP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM},
    {"WINCH", SIGWINCH},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"CLD", SIGCHLD},
    {"POLL", SIGIO},       {"IOT", SIGABRT},
});
// Docker's numbering of real-time signals: the C library keeps 32 and 33 for itself.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

int real_time(std::string_view name) {
  if (name == "RTMIN") return kRtMin;
  if (name == "RTMAX") return kRtMax;
  if (name.starts_with("RTMIN+"))
    if (auto offset = parse_u64(name.substr(6)); offset && *offset <= kRtMax - kRtMin)
      return kRtMin + static_cast<int>(*offset);
  if (name.starts_with("RTMAX-"))
    if (auto offset = parse_u64(name.substr(6)); offset && *offset <= kRtMax - kRtMin)
      return kRtMax - static_cast<int>(*offset);
  return 0;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (auto number = parse_u64(text); number && *number >= 1 && *number <= kRtMax)
    return static_cast<int>(*number);
  std::string upper(text);
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (auto [known, number] : kNames)
    if (name == known) return number;
  if (int number = real_time(name)) return number;
  return Error(ErrorKind::kInvalidArgument, "invalid signal: " + std::string(text.substr(0, 64)));
}

std::string signal_name(int number) {
  for (auto [known, value] : kNames)
    if (value == number) return "SIG" + std::string(known);
  if (number >= kRtMin && number <= kRtMax)
    return number == kRtMin ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(number - kRtMin);
  return {};
}

}  // namespace wherry::engine
