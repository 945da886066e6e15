// bootstrap: a base image from the distribution's signed packages. mmdebstrap writes a tar, the
// store imports it as it comes; its words go to the caller line by line.
#include "engine/bootstrap.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>

#include "base/scope.h"
#include "base/text.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "sys/file.h"
#include "sys/process.h"

namespace wherry::engine {
namespace {

constexpr size_t kMaxSources = 1 << 20;
constexpr size_t kTailLines = 8;
constexpr size_t kMaxLine = 4096;
constexpr auto kVariants =
    std::to_array<std::string_view>({"extract", "custom", "essential", "apt", "required", "minbase",
                                     "buildd", "important", "debootstrap", "-", "standard"});
constexpr auto kReleases = std::to_array<std::pair<std::string_view, std::string_view>>(
    {{"10", "buster"}, {"11", "bullseye"}, {"12", "bookworm"}, {"13", "trixie"}, {"14", "forky"}});

bool plain_word(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text[0] != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '+' || c == '_' || c == ':' || c == '~' || c == '/';
         });
}

// Sources of another suite still name a mirror that has this one.
std::vector<std::string> lines_for(const std::vector<AptSource>& host_sources,
                                   const std::string& suite) {
  std::vector<std::string> lines;
  for (const AptSource& source : sources_of_suite(host_sources, suite))
    lines.push_back(one_line(source));
  if (!lines.empty()) return lines;
  for (const AptSource& source : host_sources)
    if (source.uri.ends_with("/debian") || source.uri.ends_with("/debian/")) {
      AptSource same = source;
      same.suite = suite;
      return {one_line(same)};
    }
  return lines;
}

bool host_is_debian() {
  std::string release = "\n" + sys::read_file("/etc/os-release", 65536).value_or("");
  return release.contains("\nID=debian\n") || release.contains("\nID=\"debian\"\n");
}

std::vector<AptSource> read_host_sources() {
  std::vector<AptSource> sources;
  if (!host_is_debian()) return sources;
  auto add = [&](const std::string& path) {
    Result<std::string> text = sys::read_file(path, kMaxSources);
    if (!text) return;
    std::vector<AptSource> more = parse_apt_sources(*text, path.ends_with(".sources"));
    sources.insert(sources.end(), more.begin(), more.end());
  };
  add("/etc/apt/sources.list");
  if (Result<sys::Fd> dir = sys::open_file("/etc/apt/sources.list.d", O_RDONLY | O_DIRECTORY))
    for (const std::string& name : sys::list_dir(dir->get()).value_or(std::vector<std::string>()))
      if (name.ends_with(".list") || name.ends_with(".sources"))
        add("/etc/apt/sources.list.d/" + name);
  return sources;
}

Result<std::string> find_mmdebstrap() {
  const char* path = getenv("PATH");
  for (std::string_view directory : split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    std::string candidate = std::string(directory) + "/mmdebstrap";
    if (directory.starts_with('/') && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error(ErrorKind::kNotFound, "cannot find the program 'mmdebstrap'")
      .set_hint("install it: apt-get install mmdebstrap");
}

std::vector<std::string> builder_environment() {
  std::vector<std::string> environment = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
      "HOME=/root", "DEBIAN_FRONTEND=noninteractive"};
  for (const char* name : {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY",
                           "HTTPS_PROXY", "NO_PROXY", "TMPDIR"})
    if (const char* value = getenv(name)) environment.push_back(std::string(name) + "=" + value);
  return environment;
}

// Reads the builder's words until it closes them: each line to the caller, the last ones kept for
// an error.
class Listener {
 public:
  Listener(sys::Fd source, std::function<void(std::string_view)> progress)
      : source_(std::move(source)), progress_(std::move(progress)), thread_([this] { listen(); }) {}
  // After the builder has ended.
  std::vector<std::string> finish() {
    thread_.join();
    return std::move(tail_);
  }

 private:
  void listen() {
    std::string line;
    char buffer[4096];
    for (;;) {
      ssize_t got = read(source_.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      for (char c : std::string_view(buffer, static_cast<size_t>(got))) {
        if (c == '\n' || c == '\r' || line.size() >= kMaxLine) take(line);
        if (c != '\n' && c != '\r') line += c;
      }
    }
    take(line);
  }
  void take(std::string& line) {
    if (!line.empty()) {
      if (progress_) progress_(line);
      tail_.push_back(line);
      if (tail_.size() > kTailLines) tail_.erase(tail_.begin());
    }
    line.clear();
  }

  sys::Fd source_;
  std::function<void(std::string_view)> progress_;
  std::vector<std::string> tail_;
  std::thread thread_;
};

Error builder_failed(int code, const std::vector<std::string>& tail) {
  return Error(ErrorKind::kUnavailable, "mmdebstrap failed with exit code " + std::to_string(code) +
                                            ":\n  " + join(tail, "\n  "));
}

}  // namespace

Result<std::string> bootstrap_suite(const std::string& distribution) {
  auto [name, suite] = split_once(distribution, ':');
  if (name != "debian")
    return Error(ErrorKind::kUnsupported,
                 "cannot bootstrap '" + distribution + "': only debian:SUITE is known")
        .set_hint("for example debian:bookworm");
  if (!suite || !plain_word(*suite) || suite->contains('/') || suite->contains(':'))
    return Error(ErrorKind::kInvalidArgument,
                 "cannot bootstrap '" + distribution + "': no valid suite")
        .set_hint("for example debian:bookworm");
  for (auto [number, release] : kReleases)
    if (*suite == number) return std::string(release);
  return std::string(*suite);
}

Result<std::vector<std::string>> mmdebstrap_arguments(const BootstrapRequest& request,
                                                      const std::string& suite,
                                                      const std::vector<AptSource>& host_sources) {
  if (std::ranges::find(kVariants, request.variant) == kVariants.end())
    return Error(ErrorKind::kInvalidArgument, "unknown variant '" + request.variant + "'")
        .set_hint("variants: minbase apt essential required important standard buildd");
  for (const std::string& package : request.include)
    if (!plain_word(package))
      return Error(ErrorKind::kInvalidArgument, "invalid package name '" + package + "'");
  if (request.mirror.starts_with('-'))
    return Error(ErrorKind::kInvalidArgument, "invalid mirror '" + request.mirror + "'");
  std::vector<std::string> arguments = {"mmdebstrap", "--format=tar",
                                        "--variant=" + request.variant};
  if (!request.include.empty()) arguments.push_back("--include=" + join(request.include, ","));
  arguments.push_back(suite);
  arguments.emplace_back("-");
  if (!request.mirror.empty()) {
    arguments.push_back(request.mirror);
  } else {
    std::vector<std::string> lines = lines_for(host_sources, suite);
    arguments.insert(arguments.end(), lines.begin(), lines.end());
  }
  return arguments;
}

Result<store::Image> LocalEngine::bootstrap(const BootstrapRequest& request) {
  TRY(std::string suite, bootstrap_suite(request.distribution));
  TRY(oci::ImageRef reference,
      oci::ImageRef::parse(request.tag.empty() ? request.distribution : request.tag));
  TRY(std::vector<std::string> arguments,
      mmdebstrap_arguments(request, suite, read_host_sources()));
  TRY(std::string program, find_mmdebstrap());
  TRY(store::Store * images, store());
  TRY_VOID(images->sweep());
  ensure_reserve(fds_.root.get());
  TRY(sys::Pipe tar, sys::make_pipe());
  TRY(sys::Pipe words, sys::make_pipe());
  TRY(sys::Fd null, sys::open_file("/dev/null", O_RDONLY));
  sys::SpawnOptions options{.program = program,
                            .arguments = arguments,
                            .environment = builder_environment(),
                            .fds = {{null.get(), 0}, {tar.write.get(), 1}, {words.write.get(), 2}}};
  TRY(sys::Child child, sys::spawn(std::move(options)));
  tar.write.reset();
  words.write.reset();
  Listener listener(std::move(words.read), request.progress);

  store::ImportOptions import;
  import.config.cmd = {"bash"};
  import.config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  import.message = "bootstrap " + request.distribution + " (" + request.variant + ")";
  import.created_by = join(arguments, " ");
  import.source = request.distribution;
  // Without a name yet: a tar that ends well does not say that its maker did.
  Result<store::Image> image = images->import_tar(tar.read.get(), import);
  tar.read.reset();
  Result<int> code = child.wait();
  std::vector<std::string> tail = listener.finish();
  if (!code) return std::move(code.error());
  // A builder that failed leaves no tar or half of one; anything else is the store's own trouble,
  // and then the builder has failed for want of a reader.
  bool half_a_tar = !image && (image.error().kind() == ErrorKind::kCorrupt ||
                               image.error().kind() == ErrorKind::kInvalidArgument);
  if (!image && !half_a_tar) return std::move(image.error());
  if (*code != 0) {
    if (image && image->tags.empty()) [[maybe_unused]]
      auto removed = images->remove(image->id.str(), true, {});
    return builder_failed(*code, tail);
  }
  if (!image) return std::move(image.error());
  TRY_VOID(images->tag(image->id, reference));
  return images->find(image->id.str());
}

}  // namespace wherry::engine
