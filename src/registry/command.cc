#include "registry/command.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/text.h"
#include "registry/api.h"
#include "registry/collect.h"
#include "registry/http_server.h"
#include "registry/log.h"
#include "sys/file.h"

namespace wherry::registry {
namespace {

constexpr int kFailed = 1, kUsage = 2;
constexpr uint64_t kMostConnections = 1'000'000;

constexpr const char* kHelp =
    R"(Usage:  wherry-registry serve --addr HOST:PORT --root DIR [OPTIONS]
        wherry-registry gc --root DIR [--dry-run]
        wherry-registry version

A registry for container images (OCI distribution 1.1).

Options of serve:
      --addr HOST:PORT       Where to listen; port 0 takes a free one, no host means all addresses
      --root DIR             The registry's directory, made when missing
      --htpasswd FILE        Let in only the users of this file (bcrypt, 'htpasswd -B')
      --tls-cert FILE        Certificate chain (PEM); needs --tls-key
      --tls-key FILE         Private key (PEM)
      --user NAME            Started as root: go on as this user
      --upload-expiry TIME   Forget uploads without activity for so long (default 24h)
      --head-timeout TIME    How long a request's head may take (default 30s)
      --body-timeout TIME    How long a body, either way, may stand still (default 60s)
      --idle-timeout TIME    How long a connection may wait for its next request (default 120s)
      --max-connections N    More wait until one ends; idle ones make room (default 1024)
      --log-level LEVEL      error, warning, info or debug (default info)

gc removes blobs that no manifest names, also beside a running server; with --dry-run it only counts.
The first line of serve on stdout is 'listening on HOST:PORT'.
)";

struct Settings {
  std::string address, root, htpasswd, tls_certificate, tls_key, user;
  std::string upload_expiry = "24h", log_level = "info";
  std::string head_timeout = "30s", body_timeout = "60s", idle_timeout = "120s";
  std::string max_connections = "1024";
  bool dry_run = false;
};

struct Flag {
  std::string_view name;
  std::string Settings::* target;
};
constexpr std::array kFlags = {
    Flag{"--addr", &Settings::address},
    Flag{"--root", &Settings::root},
    Flag{"--htpasswd", &Settings::htpasswd},
    Flag{"--tls-cert", &Settings::tls_certificate},
    Flag{"--tls-key", &Settings::tls_key},
    Flag{"--user", &Settings::user},
    Flag{"--upload-expiry", &Settings::upload_expiry},
    Flag{"--head-timeout", &Settings::head_timeout},
    Flag{"--body-timeout", &Settings::body_timeout},
    Flag{"--idle-timeout", &Settings::idle_timeout},
    Flag{"--max-connections", &Settings::max_connections},
    Flag{"--log-level", &Settings::log_level},
};

Error usage(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message))
      .set_hint("'wherry-registry --help' lists the flags");
}

Error unknown_flag(std::string_view word) {
  std::vector<std::string_view> names;
  for (const Flag& flag : kFlags) names.push_back(flag.name);
  Error error = usage(fmt::format("unknown flag '{}'", word));
  if (auto near = nearest(word, names)) error.set_hint(fmt::format("did you mean '{}'?", *near));
  return error;
}

// `collects`: the flags of gc, else those of serve.
Result<Settings> parse_flags(const std::vector<std::string>& words, bool collects) {
  Settings settings;
  for (size_t i = 1; i < words.size(); ++i) {
    auto [name, value] = split_once(words[i], '=');
    if (collects && words[i] == "--dry-run") {
      settings.dry_run = true;
      continue;
    }
    const Flag* known = nullptr;
    for (const Flag& flag : kFlags)
      if (flag.name == name && (!collects || flag.target == &Settings::root)) known = &flag;
    if (known == nullptr && name.starts_with('-')) return unknown_flag(name);
    if (known == nullptr) return usage(fmt::format("unexpected argument '{}'", words[i]));
    if (!value && i + 1 == words.size()) return usage(fmt::format("'{}' needs a value", name));
    settings.*known->target = value ? std::string(*value) : words[++i];
  }
  if (settings.address.empty() && !collects) return usage("'--addr' is missing");
  if (settings.root.empty()) return usage("'--root' is missing");
  if (settings.tls_certificate.empty() != settings.tls_key.empty())
    return usage("'--tls-cert' and '--tls-key' go together");
  return settings;
}

// "127.0.0.1:5000", "[::1]:5000", ":5000".
Result<void> parse_address(const std::string& text, ServerOptions& options) {
  size_t colon = text.rfind(':');
  std::optional<uint64_t> port =
      colon == text.npos ? std::nullopt : parse_u64(std::string_view(text).substr(colon + 1));
  if (!port || *port > 65535)
    return usage(fmt::format("invalid address '{}' for '--addr': not HOST:PORT", text));
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.contains('[') || host.contains(']'))
    return usage(fmt::format("invalid address '{}' for '--addr': unbalanced brackets", text));
  options.host = std::move(host);
  options.port = static_cast<uint16_t>(*port);
  return {};
}

// Whole seconds, at least one.
Result<int64_t> parse_time(std::string_view flag, const std::string& text) {
  constexpr int64_t kSecond = 1'000'000'000;
  std::optional<int64_t> ns = parse_go_duration(text);
  if (!ns || *ns < kSecond)
    return usage(fmt::format("invalid '{}' '{}': not a time like '30s' or '24h'", flag, text));
  return *ns / kSecond;
}

Result<void> parse_limits(const Settings& settings, ServerOptions& options) {
  TRY(options.head_seconds, parse_time("--head-timeout", settings.head_timeout));
  TRY(options.body_seconds, parse_time("--body-timeout", settings.body_timeout));
  TRY(options.idle_seconds, parse_time("--idle-timeout", settings.idle_timeout));
  std::optional<uint64_t> most = parse_u64(settings.max_connections);
  if (!most || *most == 0 || *most > kMostConnections)
    return usage(fmt::format("invalid '--max-connections' '{}': not a number from 1 to {}",
                             settings.max_connections, kMostConnections));
  options.max_connections = *most;
  return {};
}

// Started as root with --user: the root directory becomes that user's, then this process does.
Result<void> become_user(const std::string& name, const std::string& root) {
  std::string context = fmt::format("cannot go on as user '{}'", name);
  if (geteuid() != 0)
    return Error(ErrorKind::kPermissionDenied, context + ": not started as root")
        .set_hint("leave out --user, or start it as root");
  errno = 0;
  const passwd* user = getpwnam(name.c_str());
  if (user == nullptr) return Error(ErrorKind::kNotFound, context + ": there is no such user");
  TRY_CTX(sys::Fd dir, sys::make_dirs(root, 0700), context);
  // Only an empty one: what is in it has an owner who may be meant to keep it.
  TRY_CTX(std::vector<std::string> names, sys::list_dir(dir.get()), context);
  if (names.empty() && fchown(dir.get(), user->pw_uid, user->pw_gid) != 0)
    return Error::from_errno(errno, context);
  if (initgroups(name.c_str(), user->pw_gid) != 0 ||
      setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
      setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
    return Error::from_errno(errno, context);
  return {};
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// Each connection has a descriptor, and often one of a file.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void warn_about_passwords(const Settings& settings, const ServerOptions& options) {
  if (!settings.htpasswd.empty() && settings.tls_key.empty() && !is_loopback(options.host))
    log(Level::kWarning, "passwords travel in the clear: give --tls-cert and --tls-key");
}

void sweep(Uploads& uploads) {
  Result<size_t> swept = uploads.sweep();
  if (!swept) return log(Level::kError, "cannot sweep uploads: " + swept.error().message());
  if (*swept > 0) log(Level::kInfo, fmt::format("{} abandoned uploads removed", *swept));
}

Result<void> serve(const Settings& settings) {
  std::optional<Level> level = parse_level(settings.log_level);
  if (!level) return usage(fmt::format("invalid '--log-level' '{}'", settings.log_level));
  set_log_level(*level);
  ServerOptions options;
  options.tls_certificate = settings.tls_certificate;
  options.tls_key = settings.tls_key;
  options.common_headers = {{"Docker-Distribution-Api-Version", "registry/2.0"},
                            {"X-Content-Type-Options", "nosniff"}};
  TRY_VOID(parse_address(settings.address, options));
  TRY_VOID(parse_limits(settings, options));
  TRY(int64_t expiry, parse_time("--upload-expiry", settings.upload_expiry));
  TRY(std::unique_ptr<HttpServer> server, HttpServer::bind(options));
  if (!settings.user.empty()) TRY_VOID(become_user(settings.user, settings.root));
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // passwords and the key pass through this memory
  std::unique_ptr<Authenticator> users;
  if (!settings.htpasswd.empty()) {
    TRY(users, Authenticator::open(settings.htpasswd));
  }
  TRY(StoreRoot root, StoreRoot::open(settings.root, StoreRoot::Use::kServe));
  Blobs blobs(root);
  Uploads uploads(root, blobs, std::chrono::seconds(expiry));
  Repositories repositories(root, blobs);
  Api api(blobs, uploads, repositories, users.get());
  sweep(uploads);
  raise_file_limit();
  warn_about_passwords(settings, options);
  TRY_VOID(sys::write_all(STDOUT_FILENO, "listening on " + server->address() + "\n"));
  server->run(api, [&] { sweep(uploads); });
  return {};
}

Result<void> collect(const Settings& settings) {
  TRY(StoreRoot root, StoreRoot::open(settings.root, StoreRoot::Use::kCollect));
  TRY_CTX(Collected done, collect_garbage(root, settings.dry_run),
          fmt::format("cannot collect the garbage of '{}'", settings.root));
  return sys::write_all(STDOUT_FILENO,
                        fmt::format("{} {} blobs from repositories, {} contents of {} bytes\n",
                                    settings.dry_run ? "would remove" : "removed", done.marks,
                                    done.blobs, done.bytes));
}

int tell(const Error& error) {
  std::string text = "wherry-registry: " + error.message() + "\n";
  if (!error.hint().empty()) text += "hint: " + error.hint() + "\n";
  (void)sys::write_all(STDERR_FILENO, text);
  return kFailed;
}

int print(std::string_view text) {
  return sys::write_all(STDOUT_FILENO, text) ? 0 : kFailed;
}

}  // namespace

int run_main(const std::vector<std::string>& words) {
  for (const std::string& word : words)
    if (word == "--help" || word == "-h") return print(kHelp);
  std::string verb = words.empty() ? "" : words.front();
  if (verb == "help") return print(kHelp);
  if ((verb == "version" || verb == "--version") && words.size() == 1)
    return print("wherry-registry " WHERRY_VERSION "\n");
  if (verb != "serve" && verb != "gc") {
    tell(usage(verb.empty() ? "a command is missing: 'serve', 'gc' or 'version'"
                            : fmt::format("unknown command '{}'", verb)));
    return kUsage;
  }
  Result<Settings> settings = parse_flags(words, verb == "gc");
  if (!settings) {
    tell(settings.error());
    return kUsage;
  }
  Result<void> done = verb == "gc" ? collect(*settings) : serve(*settings);
  return done ? 0 : tell(done.error());
}

}  // namespace wherry::registry
