#include "transfer/credential_helper.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/scope.h"
#include "base/text.h"
#include "sys/process.h"

extern char** environ;

namespace wherry::transfer {
namespace {

using nlohmann::json;

constexpr size_t kMaxAnswer = 256u << 10;
constexpr const char* kTokenUser = "<token>";
constexpr std::string_view kNotThere = "credentials not found in native keychain";

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  return variables;
}

// Reads to the end of file until the deadline; kUnavailable after it.
Result<std::string> read_until(int fd, int64_t deadline_ns) {
  std::string text;
  char block[4096];
  for (;;) {
    int64_t left_ms = (deadline_ns - monotonic_ns()) / 1'000'000;
    pollfd waiting{fd, POLLIN, 0};
    int ready = left_ms <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Error::from_errno(errno, "cannot wait for its answer");
    if (ready == 0) return Error(ErrorKind::kUnavailable, "it did not answer in time");
    ssize_t got = read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read its answer");
    if (got == 0) return text;
    text.append(block, static_cast<size_t>(got));
    if (text.size() > kMaxAnswer)
      return Error(ErrorKind::kResourceExhausted, "its answer is longer than 256 KiB");
  }
}

}  // namespace

struct CredentialHelper::Answer {
  int code = 0;
  std::string text;
};

Result<CredentialHelper> CredentialHelper::find(const std::string& name,
                                                const std::string& search_path,
                                                std::chrono::milliseconds patience) {
  if (name.empty() || name.find('/') != name.npos)
    return Error(ErrorKind::kInvalidArgument,
                 "invalid name of a credential helper: '" + name + "'");
  std::string program = "docker-credential-" + name;
  for (std::string_view folder : split(search_path, ':')) {
    // A relative entry would take programs from wherever the user stands.
    if (!folder.starts_with('/')) continue;
    std::string path = std::string(folder) + "/" + program;
    if (access(path.c_str(), X_OK) == 0)
      return CredentialHelper(std::move(program), std::move(path), patience);
  }
  return Error(ErrorKind::kNotFound, "credential helper '" + program + "' is not in PATH")
      .set_hint("install it, or take it out of 'credsStore' and 'credHelpers' in config.json");
}

Result<CredentialHelper::Answer> CredentialHelper::run(const char* action,
                                                       const std::string& input) const {
  std::string context = "cannot " + std::string(action) + " credentials with '" + name_ + "'";
  int64_t deadline = monotonic_ns() + std::chrono::nanoseconds(patience_).count();
  TRY(sys::Pipe to, sys::make_pipe());
  TRY(sys::Pipe from, sys::make_pipe());
  sys::SpawnOptions options;
  options.program = path_;
  options.arguments = {name_, action};
  options.environment = own_environment();
  options.fds = {{to.read.get(), 0}, {from.write.get(), 1}};
  TRY_CTX(sys::Child child, sys::spawn(std::move(options)), context);
  auto end = on_exit([&] {
    [[maybe_unused]] Result<void> killed = child.signal(SIGKILL);
    [[maybe_unused]] Result<int> reaped = child.wait();
  });
  to.read.reset();
  from.write.reset();
  // What we send is far smaller than a pipe holds; a helper that does not read it is its own
  // affair.
  Result<void> sent = sys::write_all(to.write.get(), input);
  if (!sent && sent.error().errnum() != EPIPE) return fail(std::move(sent), context);
  to.write.reset();
  TRY_CTX(std::string text, read_until(from.read.get(), deadline), context);
  pollfd ended{child.pidfd(), POLLIN, 0};
  int64_t left_ms = std::max<int64_t>(0, (deadline - monotonic_ns()) / 1'000'000);
  if (poll(&ended, 1, static_cast<int>(left_ms)) != 1)
    return Error(ErrorKind::kUnavailable, context + ": it did not end in time");
  end.release();
  TRY_CTX(int code, child.wait(), context);
  return Answer{code, std::string(trim(text))};
}

Error CredentialHelper::refused(const char* action, const std::string& key,
                                const Answer& answer) const {
  std::string words = answer.text.empty() ? "it exited with " + std::to_string(answer.code)
                                          : answer.text.substr(0, 500);
  return Error(ErrorKind::kUnavailable, "cannot " + std::string(action) + " credentials of '" +
                                            key + "' with '" + name_ + "': " + words);
}

Result<std::optional<Credentials>> CredentialHelper::get(const std::string& key) const {
  TRY(Answer answer, run("get", key));
  std::string context = "cannot get credentials of '" + key + "' with '" + name_ + "'";
  if (answer.code != 0) {
    if (answer.text.starts_with(kNotThere)) return std::optional<Credentials>();
    return refused("get", key, answer);
  }
  json document = json::parse(answer.text, nullptr, /*allow_exceptions=*/false);
  bool whole = document.is_object() && document.contains("Username") &&
               document["Username"].is_string() && document.contains("Secret") &&
               document["Secret"].is_string();
  if (!whole) return Error(ErrorKind::kCorrupt, context + ": its answer is not understood");
  Credentials found{document["Username"].get<std::string>(), {}, {}};
  std::string secret = document["Secret"].get<std::string>();
  if (found.username == kTokenUser) {
    found.username.clear();
    found.identity_token = std::move(secret);
  } else {
    found.password = std::move(secret);
  }
  if (found.username.empty() && found.identity_token.empty()) return std::optional<Credentials>();
  return std::optional<Credentials>(std::move(found));
}

Result<void> CredentialHelper::store(const std::string& key, const Credentials& credentials) const {
  bool token = !credentials.identity_token.empty();
  json document = {{"ServerURL", key},
                   {"Username", token ? kTokenUser : credentials.username},
                   {"Secret", token ? credentials.identity_token : credentials.password}};
  TRY(Answer answer, run("store", document.dump(-1, ' ', false, json::error_handler_t::replace)));
  if (answer.code == 0) return {};
  return refused("store", key, answer);
}

Result<void> CredentialHelper::erase(const std::string& key) const {
  TRY(Answer answer, run("erase", key));
  if (answer.code == 0 || answer.text.starts_with(kNotThere)) return {};
  return refused("erase", key, answer);
}

}  // namespace wherry::transfer
