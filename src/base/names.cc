#include "base/names.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace wherry {
namespace {

constexpr std::string_view kAdjectives[] = {
    "able",   "agile",  "amber",   "ample",  "azure",  "bold",    "brave",  "breezy",
    "bright", "brisk",  "calm",    "clear",  "clever", "coastal", "crisp",  "deft",
    "eager",  "early",  "fair",    "fleet",  "fond",   "frank",   "fresh",  "gentle",
    "glad",   "golden", "grand",   "handy",  "happy",  "hardy",   "jolly",  "keen",
    "kind",   "light",  "lively",  "loyal",  "lucid",  "merry",   "misty",  "modest",
    "nimble", "noble",  "patient", "placid", "plucky", "proud",   "quick",  "quiet",
    "rapid",  "ready",  "river",   "robust", "salty",  "serene",  "silver", "steady",
    "still",  "sunny",  "swift",   "tidal",  "tidy",   "trusty",  "vivid",  "windy"};
// People of ships, rivers, maps and computing.
constexpr std::string_view kSurnames[] = {
    "amundsen",   "anning",   "babbage",  "baret",       "beaufort",  "bering",   "boole",
    "bowditch",   "brunel",   "cabot",    "carson",      "chaplygin", "cook",     "cousteau",
    "curie",      "dijkstra", "drake",    "earhart",     "earle",     "einstein", "euler",
    "faraday",    "fitzroy",  "franklin", "froude",      "gauss",     "hamming",  "harrison",
    "henson",     "hooke",    "hopper",   "hubble",      "hypatia",   "johnson",  "kepler",
    "knuth",      "lamarr",   "liskov",   "lovelace",    "magellan",  "maury",    "mccarthy",
    "meitner",    "mercator", "nansen",   "nightingale", "noether",   "pascal",   "polo",
    "ptolemy",    "raman",    "ritchie",  "ross",        "sandwith",  "shannon",  "slocum",
    "somerville", "tasman",   "tharp",    "thompson",    "turing",    "vaughan",  "watt",
    "zheng"};

template <size_t N>
std::string_view pick(const std::string_view (&words)[N]) {
  unsigned char byte[2] = {};
  [[maybe_unused]] ssize_t got = getrandom(byte, sizeof byte, 0);
  return words[(byte[0] * 256u + byte[1]) % N];
}

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Result<void> check_container_name(std::string_view name) {
  bool valid = name.size() >= 2 && name.size() <= 255 && name_char(name[0]) &&
               std::ranges::all_of(
                   name, [](char c) { return name_char(c) || c == '_' || c == '.' || c == '-'; });
  if (valid) return {};
  return Error(ErrorKind::kInvalidArgument,
               "invalid container name '" + std::string(name.substr(0, 300)) +
                   "': only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to 255 characters");
}

std::string random_container_name(int attempt) {
  std::string name = std::string(pick(kAdjectives)) + "_" + std::string(pick(kSurnames));
  if (attempt > 0) name += std::to_string(attempt);
  return name;
}

std::string random_id() {
  std::array<unsigned char, 32> bytes{};
  [[maybe_unused]] ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
  return to_hex(bytes);
}

}  // namespace wherry
