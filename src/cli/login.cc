// login and logout: asking for a password, and Docker's words about where it is kept.
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/scope.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/registry_commands.h"
#include "cli/stream.h"
#include "cli/terminal.h"
#include "sys/fd.h"
#include "transfer/auth_file.h"

namespace wherry::cli {
namespace {

constexpr Flag kLogin[] = {
    {"password", 'p', FlagKind::kString, "Password; --password-stdin keeps it out of the history"},
    {"password-stdin", 0, FlagKind::kBool, "Read the password from stdin"},
    {"username", 'u', FlagKind::kString, "User name"},
};

constexpr size_t kMaxPassword = 64u << 10;
constexpr int kSignalExit = 128;

Error usage(std::string message, std::string hint) {
  return Error(ErrorKind::kInvalidArgument, std::move(message)).set_hint(std::move(hint));
}

// nullopt: a signal asked us to end, with its number in `signal`.
Result<std::optional<std::string>> read_line(int signals, int& signal) {
  std::string line;
  for (;;) {
    pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "cannot read from the terminal");
    }
    if (fds[1].revents != 0) {
      signalfd_siginfo info{};
      if (read(signals, &info, sizeof info) != sizeof info) continue;
      // A new size and job control are no reasons to end.
      if (info.ssi_signo == SIGWINCH || info.ssi_signo == SIGTSTP || info.ssi_signo == SIGCONT)
        continue;
      signal = static_cast<int>(info.ssi_signo);
      return std::optional<std::string>();
    }
    char c = 0;
    ssize_t got = read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read from the terminal");
    if (got == 0 || c == '\n') return std::optional<std::string>(std::move(line));
    line += c;
    if (line.size() > kMaxPassword) return usage("what was typed is too long", "");
  }
}

// Asks on the terminal; `echo` false: nobody sees the answer, and the echo comes back whatever
// ends the question.
Result<std::optional<std::string>> ask(const std::string& question, bool echo, int& signal) {
  SignalMask mask;
  sys::Fd signals(signalfd(-1, &mask.set(), SFD_CLOEXEC));
  if (!signals) return Error::from_errno(errno, "cannot wait for signals");
  termios before{};
  bool changed = !echo && tcgetattr(STDIN_FILENO, &before) == 0;
  if (changed) {
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
      return Error::from_errno(errno, "cannot hide what is typed");
  }
  auto restore = on_exit([&] {
    if (!changed) return;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    print_error_text("\n");
  });
  // After the echo is off: who answers at once is not seen, and loses nothing to the flush.
  TRY_VOID(print(question));
  return read_line(signals.get(), signal);
}

Result<void> check_flags(const ParsedFlags& flags) {
  bool from_stdin = flags.boolean("password-stdin");
  if (from_stdin && flags.has("password"))
    return usage("--password and --password-stdin are mutually exclusive", "leave out --password");
  if (from_stdin && flags.text("username").empty())
    return usage("the --password-stdin option requires --username to be set", "add -u USER");
  if (flags.has("password") && flags.text("username").empty() && !is_terminal(STDIN_FILENO))
    return usage("--password needs --username", "add -u USER");
  return {};
}

Error no_terminal() {
  return usage("cannot perform an interactive login from a non-TTY device",
               "use -u USER --password-stdin");
}

// What is not given is asked for. False: a signal ended the question.
Result<bool> complete(engine::LoginRequest& request, int& signal) {
  bool terminal = is_terminal(STDIN_FILENO);
  if (request.username.empty()) {
    if (!terminal) return no_terminal();
    TRY(auto name, ask("Username: ", true, signal));
    if (!name) return false;
    request.username = trim(*name);
    if (request.username.empty()) return usage("username is required", "");
  }
  if (request.password.empty()) {
    if (!terminal) return no_terminal();
    TRY(auto password, ask("Password: ", false, signal));
    if (!password) return false;
    request.password = std::move(*password);
  }
  if (request.password.empty()) return usage("password is required", "");
  return true;
}

std::string shown_server(const std::string& server) {
  return transfer::auth_key(transfer::domain_of_server(server));
}

Result<void> report_success(const engine::Engine::LoggedIn& kept) {
  if (!kept.file.empty())
    print_error_text(
        fmt::format("\nWARNING! Your credentials are stored unencrypted in '{}'.\n"
                    "Configure a credential helper to remove this warning.\n\n",
                    kept.file));
  return print("Login Succeeded\n");
}

// Those that are kept, when there are any and the registry still takes them.
Result<std::optional<engine::Engine::LoggedIn>> try_kept(engine::Engine& engine,
                                                         const std::string& server) {
  auto kept = engine.login({server, {}, {}});
  if (kept) {
    TRY_VOID(print("Authenticating with existing credentials...\n"));
    return std::optional(std::move(*kept));
  }
  ErrorKind kind = kept.error().kind();
  if (kind == ErrorKind::kNotFound) return std::optional<engine::Engine::LoggedIn>();
  if (kind != ErrorKind::kPermissionDenied || !is_terminal(STDIN_FILENO))
    return std::move(kept.error());
  report_error(kept.error());
  return std::optional<engine::Engine::LoggedIn>();
}

}  // namespace

constinit const FlagTable kLoginFlags{kLogin};

Result<int> log_in(Invocation& call) {
  TRY_VOID(check_flags(call.flags));
  engine::LoginRequest request;
  if (!call.arguments().empty()) request.server = call.arguments()[0];
  request.username = call.flags.text("username");
  request.password = call.flags.text("password");
  if (call.flags.has("password"))
    print_error_text("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
  if (call.flags.boolean("password-stdin")) {
    TRY_CTX(request.password, sys::read_all(STDIN_FILENO, kMaxPassword),
            "cannot read the password");
    // The line's end, not what belongs to the password.
    while (request.password.ends_with('\n') || request.password.ends_with('\r'))
      request.password.pop_back();
    if (request.password.empty()) return usage("password is empty", "");
  }
  TRY(engine::Engine * engine, call.context.engine());
  if (request.username.empty() && request.password.empty()) {
    TRY(auto kept, try_kept(*engine, request.server));
    if (kept) {
      TRY_VOID(report_success(*kept));
      return 0;
    }
  }
  int signal = 0;
  TRY(bool whole, complete(request, signal));
  if (!whole) return kSignalExit + signal;
  TRY(engine::Engine::LoggedIn kept, engine->login(request));
  TRY_VOID(report_success(kept));
  return 0;
}

Result<int> log_out(Invocation& call) {
  std::string server = call.arguments().empty() ? "" : call.arguments()[0];
  TRY(engine::Engine * engine, call.context.engine());
  TRY(bool there, engine->logout(server));
  TRY_VOID(
      print(fmt::format("{} {}\n", there ? "Removing login credentials for" : "Not logged in to",
                        shown_server(server))));
  return 0;
}

std::string docker_config_path(EnvironmentLookup lookup) {
  if (auto folder = lookup("DOCKER_CONFIG")) {
    std::string path = *folder + "/config.json";
    if (path.starts_with('/')) return path;
    std::unique_ptr<char, void (*)(void*)> here(get_current_dir_name(), &free);
    return here ? std::string(here.get()) + "/" + path : std::string();
  }
  auto home = lookup("HOME");
  return home && home->starts_with('/') ? *home + "/.docker/config.json" : std::string();
}

}  // namespace wherry::cli
