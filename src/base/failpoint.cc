#include "base/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace wherry {
namespace {

struct Armed {
  std::string name;
  std::string action;
  int only_hit = 0;  // 0: each hit
  int hits = 0;
};

std::vector<Armed>& armed() {
  static std::vector<Armed> list;
  return list;
}

int list_fd = -1;

void parse(std::string_view text) {
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    text = comma == text.npos ? std::string_view{} : text.substr(comma + 1);
    size_t colon = item.find(':');
    if (colon == item.npos) continue;
    Armed entry{std::string(item.substr(0, colon)), std::string(item.substr(colon + 1))};
    if (size_t at = entry.action.find('@'); at != std::string::npos) {
      std::from_chars(entry.action.data() + at + 1, entry.action.data() + entry.action.size(),
                      entry.only_hit);
      entry.action.resize(at);
    }
    armed().push_back(std::move(entry));
  }
}

Result<void> act(const Armed& entry) {
  std::string what = "failpoint '" + entry.name + "'";
  if (entry.action == "kill") kill(getpid(), SIGKILL);
  if (entry.action == "stop") kill(getpid(), SIGSTOP);
  if (entry.action == "enospc") return Error::from_errno(ENOSPC, what);
  if (entry.action == "eio") return Error::from_errno(EIO, what);
  if (entry.action == "enomem") return Error::from_errno(ENOMEM, what);
  return {};
}

}  // namespace

namespace internal {

bool failpoints_armed = false;

Result<void> hit_failpoint(const char* name) {
  if (list_fd >= 0) {
    std::string line = std::string(name) + "\n";
    [[maybe_unused]] ssize_t written = write(list_fd, line.data(), line.size());
  }
  for (Armed& entry : armed()) {
    if (entry.name != name) continue;
    ++entry.hits;
    if (entry.only_hit == 0 || entry.only_hit == entry.hits) return act(entry);
  }
  return {};
}

}  // namespace internal

void arm_failpoints() {
  const char* points = getenv("WHERRY_FAILPOINT");
  const char* list = getenv("WHERRY_FAILPOINT_LIST");
  if (points == nullptr && list == nullptr) return;
  const char* only = getenv("WHERRY_FAILPOINT_PROGRAM");
  if (only != nullptr && std::string_view(only) != program_invocation_short_name) return;
  if (points != nullptr) parse(points);
  if (list != nullptr) list_fd = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  internal::failpoints_armed = true;
}

}  // namespace wherry
