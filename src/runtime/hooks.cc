#include "runtime/hooks.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

constexpr size_t kOutputLimit = 2048;
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000 * kMillisecond;
constexpr int64_t kLongestTimeout = 365LL * 24 * 3600;

// A file and not a pipe: a hook that does not read its state cannot make us wait.
Result<sys::Fd> state_file(const std::string& state) {
  sys::Fd file(memfd_create("state", MFD_CLOEXEC));
  if (!file) return Error::from_errno(errno, "cannot make a file for the state");
  TRY_VOID(sys::write_all(file.get(), state));
  if (lseek(file.get(), 0, SEEK_SET) != 0)
    return Error::from_errno(errno, "cannot rewind the state");
  return file;
}

// What is there to read now; false at the end of the stream.
bool drain(int fd, std::string& output) {
  char buffer[4096];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    size_t room = kOutputLimit - std::min(output.size(), kOutputLimit);
    output.append(buffer, std::min(static_cast<size_t>(got), room));
  }
}

// Waits for the hook's end while reading what it prints; false at the deadline (0: none). Its end
// and not the stream's: a child in the background may hold the stream open.
Result<bool> hear_out(const sys::Child& child, int output_fd, int64_t deadline_ns,
                      std::string& output) {
  pollfd polls[2] = {{child.pidfd(), POLLIN, 0}, {output_fd, POLLIN, 0}};
  for (;;) {
    int timeout = -1;
    if (deadline_ns != 0) {
      int64_t left = (deadline_ns - monotonic_ns() + kMillisecond - 1) / kMillisecond;
      if (left <= 0) return false;
      timeout = static_cast<int>(std::min<int64_t>(left, 1 << 30));
    }
    if (poll(polls, 2, timeout) < 0 && errno != EINTR)
      return Error::from_errno(errno, "cannot wait for it");
    if (polls[1].revents != 0 && !drain(output_fd, output)) polls[1].fd = -1;
    if (polls[0].revents == 0) continue;
    if (polls[1].fd >= 0) drain(output_fd, output);
    return true;
  }
}

Error ended_badly(int code, const std::string& output) {
  std::string how = code > 128 ? fmt::format("it was killed by signal {}", code - 128)
                               : fmt::format("exit status {}", code);
  std::string_view words = trim(output);
  return Error(ErrorKind::kInternal, words.empty() ? how : fmt::format("{}: {}", how, words));
}

Result<void> run_hook(const oci::Hook& hook, const std::string& state,
                      const std::string& directory) {
  TRY(sys::Fd input, state_file(state));
  TRY(sys::Pipe output, sys::make_pipe());
  if (fcntl(output.read.get(), F_SETFL, O_NONBLOCK) != 0)
    return Error::from_errno(errno, "cannot prepare a pipe");
  sys::SpawnOptions options;
  options.program = hook.path;
  options.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  options.environment = hook.env;
  options.directory = directory;
  options.fds = {{input.get(), 0}, {output.write.get(), 1}, {output.write.get(), 2}};
  int64_t deadline =
      hook.timeout ? monotonic_ns() + std::min(*hook.timeout, kLongestTimeout) * kSecond : 0;
  TRY(sys::Child child, sys::spawn(std::move(options)));
  output.write.reset();
  std::string words;
  Result<bool> heard = hear_out(child, output.read.get(), deadline, words);
  if (!heard || !*heard) [[maybe_unused]]
    Result<void> killed = child.signal(SIGKILL);
  TRY(int code, child.wait());
  if (!heard) return Error(std::move(heard.error()));
  if (!*heard)
    return Error(ErrorKind::kUnavailable,
                 fmt::format("it was killed after its timeout of {} s", *hook.timeout));
  if (code != 0) return ended_badly(code, words);
  return {};
}

std::string context_of(const char* kind, size_t index, const oci::Hook& hook) {
  return fmt::format("error running {} hook #{} '{}'", kind, index, hook.path);
}

}  // namespace

std::string to_json(const HookState& state) {
  nlohmann::ordered_json object = {
      {"ociVersion", state.oci_version}, {"id", state.id}, {"status", state.status}};
  if (state.pid != 0) object["pid"] = state.pid;
  object["bundle"] = state.bundle;
  if (state.annotations != nullptr && !state.annotations->empty())
    object["annotations"] = *state.annotations;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<void> run_hooks(const char* kind, const std::vector<oci::Hook>& hooks,
                       const HookState& state) {
  if (hooks.empty()) return {};
  const std::string text = to_json(state);
  for (size_t i = 0; i < hooks.size(); ++i)
    TRY_VOID_CTX(run_hook(hooks[i], text, state.directory), context_of(kind, i, hooks[i]));
  return {};
}

void run_all_hooks(const char* kind, const std::vector<oci::Hook>& hooks, const HookState& state,
                   std::vector<std::string>& warnings) {
  const std::string text = to_json(state);
  for (size_t i = 0; i < hooks.size(); ++i) {
    Result<void> done = run_hook(hooks[i], text, state.directory);
    if (!done) warnings.push_back(context_of(kind, i, hooks[i]) + ": " + done.error().message());
  }
}

}  // namespace wherry::runtime
