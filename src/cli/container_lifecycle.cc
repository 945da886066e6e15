// stop, restart, kill, rm, wait, and the hidden __settle.
#include <fmt/format.h>
#include <unistd.h>

#include <sys/wait.h>

#include "cli/container_commands.h"
#include "cli/output.h"
#include "engine/signals.h"

namespace wherry::cli {
namespace {

constexpr Flag kStop[] = {
    {"signal", 's', FlagKind::kString, "Signal to ask with, instead of the container's"},
    {"timeout", 't', FlagKind::kInt, "Seconds until SIGKILL; -1 for ever", {}, "time"},
};
constexpr Flag kKill[] = {{"signal", 's', FlagKind::kString, "Signal to send", "KILL"}};
constexpr Flag kRemove[] = {
    {"force", 'f', FlagKind::kBool, "Kill it first when it runs"},
    {"volumes", 'v', FlagKind::kBool, "Remove its anonymous volumes too"},
};
constexpr RefusedFlag kRemoveLater[] = {{"link", 'l'}};

constexpr size_t kParallel = 16;

// Waiting for many containers to stop takes as long as for one: each in a process of its own, since
// an engine belongs to one thread. Names are printed in the order of the arguments.
Result<int> in_parallel(Invocation& call,
                        const std::function<Result<void>(const std::string&)>& action) {
  const std::vector<std::string>& names = call.arguments();
  if (names.size() == 1)
    return for_each_argument(call, [&](const std::string& name) -> Result<void> {
      TRY_VOID(action(name));
      return print(name + "\n");
    });
  int code = 0;
  for (size_t begin = 0; begin < names.size(); begin += kParallel) {
    size_t end = std::min(names.size(), begin + kParallel);
    std::vector<pid_t> children;
    for (size_t i = begin; i < end; ++i) {
      pid_t child = fork();
      if (child == 0) {
        Result<void> done = action(names[i]);
        if (!done) report_error(done.error());
        _exit(done ? 0 : 1);
      }
      if (child < 0)
        report_error(Error::from_errno(errno, fmt::format("cannot handle '{}'", names[i])));
      children.push_back(child);
    }
    for (size_t i = begin; i < end; ++i) {
      int status = 1;
      pid_t child = children[i - begin];
      while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        TRY_VOID(print(names[i] + "\n"));
      else
        code = 1;
    }
  }
  return code;
}

struct StopOptions {
  std::optional<int> timeout;
  std::string signal;
};

Result<StopOptions> stop_options(const ParsedFlags& flags) {
  StopOptions options;
  options.signal = flags.text("signal");
  if (!options.signal.empty()) TRY_VOID(engine::parse_signal(options.signal));
  if (!flags.has("timeout")) return options;
  int64_t seconds = flags.integer("timeout");
  if (seconds < -1 || seconds > INT32_MAX)
    return Error(ErrorKind::kInvalidArgument, fmt::format("invalid --timeout: {}", seconds))
        .set_hint("use a number of seconds, or -1 for ever");
  options.timeout = static_cast<int>(seconds);
  return options;
}

}  // namespace

constinit const FlagTable kNoFlags{};
constinit const FlagTable kStopFlags{kStop};
constinit const FlagTable kKillFlags{kKill};
constinit const FlagTable kRemoveFlags{kRemove, kRemoveLater};

Result<int> for_each_argument(Invocation& call,
                              const std::function<Result<void>(const std::string&)>& action) {
  int code = 0;
  for (const std::string& argument : call.arguments()) {
    Result<void> done = action(argument);
    if (done) continue;
    report_error(done.error());
    code = 1;
  }
  return code;
}

Result<int> stop_containers(Invocation& call) {
  TRY(StopOptions options, stop_options(call.flags));
  return in_parallel(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    return engine->stop(name, options.timeout, options.signal);
  });
}

Result<int> restart_containers(Invocation& call) {
  TRY(StopOptions options, stop_options(call.flags));
  return in_parallel(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    return engine->restart(name, options.timeout, options.signal);
  });
}

Result<int> kill_containers(Invocation& call) {
  std::string signal = call.flags.text("signal");
  TRY_VOID(engine::parse_signal(signal));
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY_VOID(engine->kill(name, signal));
    return print(name + "\n");
  });
}

Result<int> remove_containers(Invocation& call) {
  bool force = call.flags.boolean("force");
  bool volumes = call.flags.boolean("volumes");
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    Result<void> removed = engine->remove(name, force, volumes);
    if (removed) return print(name + "\n");
    if (!force || removed.error().kind() != ErrorKind::kNotFound) return removed;
    // As Docker: what is already gone is said and is no failure under -f.
    report_error(removed.error());
    return {};
  });
}

Result<int> wait_for_containers(Invocation& call) {
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY(int code, engine->wait(name));
    return print(fmt::format("{}\n", code));
  });
}

Result<int> settle_container(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY_VOID(engine->settle(call.arguments()[0]));
  return 0;
}

}  // namespace wherry::cli
