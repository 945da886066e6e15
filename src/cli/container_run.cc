// run and create: from the flag table to the engine call, and the attached session until its end.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/container_commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/registry_commands.h"
#include "cli/run_request.h"
#include "cli/session_end.h"
#include "cli/stream.h"
#include "cli/terminal.h"
#include "engine/sandbox.h"
#include "oci/reference.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

// --cidfile: made before the container, so that two commands cannot share one; removed when it
// stays empty.
class CidFile {
 public:
  static Result<CidFile> make(const std::string& path) {
    CidFile file;
    if (path.empty()) return file;
    Result<sys::Fd> fd = sys::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (!fd && fd.error().errnum() == EEXIST)
      return Error(ErrorKind::kConflict,
                   fmt::format("container ID file found, make sure the other container isn't "
                               "running or delete {}",
                               path));
    if (!fd) return fail(std::move(fd), "failed to create the container ID file");
    file.path_ = path;
    file.fd_ = std::move(*fd);
    return file;
  }
  CidFile(CidFile&&) = default;
  CidFile& operator=(CidFile&&) = delete;
  ~CidFile() {
    if (fd_ && !written_) unlink(path_.c_str());
  }

  Result<void> write(const std::string& id) {
    if (!fd_) return {};
    TRY_VOID_CTX(sys::write_all(fd_.get(), id), fmt::format("'{}'", path_));
    written_ = true;
    return {};
  }

 private:
  CidFile() = default;
  std::string path_;
  sys::Fd fd_;
  bool written_ = false;
};

bool is_missing_image(const Error& error) {
  return error.kind() == ErrorKind::kNotFound &&
         (error.message().find("no such image") != std::string::npos ||
          error.message().find("No such image") != std::string::npos);
}

std::string familiar(const std::string& image) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(image);
  return reference ? reference->familiar() : image;
}

// An id cannot be asked for: only registries' names are known to them.
bool is_pullable(const std::string& image) {
  return !image.starts_with("sha256:") && oci::ImageRef::parse(image).has_value();
}

Result<void> pull_for(engine::Engine& engine, const RunRequest& request) {
  TRY([[maybe_unused]] auto pulled,
      pull_image(engine, {request.create.config.image, request.create.platform, {}},
                 {STDERR_FILENO, request.quiet}));
  return {};
}

// start(), with the image pulled before or when it is missing, as --pull says.
template <typename Start>
auto with_image(engine::Engine& engine, const RunRequest& request, Start start)
    -> decltype(start()) {
  const std::string& image = request.create.config.image;
  if (request.pull == "always" && is_pullable(image)) TRY_VOID(pull_for(engine, request));
  auto started = start();
  if (started || !is_missing_image(started.error())) return started;
  if (request.pull == "never" || !is_pullable(image))
    return Error(ErrorKind::kNotFound,
                 fmt::format("No such image: {}{}{}", familiar(image),
                             request.create.platform.empty() ? "" : " for platform ",
                             request.create.platform));
  if (!request.quiet)
    print_error_text(fmt::format("Unable to find image '{}' locally\n", familiar(image)));
  TRY_VOID(pull_for(engine, request));
  return start();
}

Result<int> run_prepared(Invocation& call, const RunRequest& request) {
  const engine::ContainerConfig& config = request.create.config;
  StreamOptions streams;
  streams.input = config.attach_stdin && config.open_stdin;
  streams.tty = config.tty;
  streams.sig_proxy = request.sig_proxy;
  streams.detach_keys = request.detach_keys;
  TRY_VOID(parse_detach_keys(request.detach_keys));
  TRY(CidFile cid_file, CidFile::make(request.cid_file));
  call.context.runs_next =
      engine::NextRun{.own_network = engine::has_own_network(request.create.host_config)};
  TRY(engine::Engine * engine, call.context.engine());
  std::optional<engine::AttachStreams> attach;
  TerminalSize size;
  if (!request.detach) {
    attach = engine::AttachStreams{streams.input, config.attach_stdout, config.attach_stderr};
    if (config.tty) size = terminal_size();
  }
  std::optional<SignalMask> mask;
  TRY(engine::Engine::RunResult started, with_image(*engine, request, [&] {
        // Not around a pull, which any signal may end.
        if (attach) mask.emplace();
        auto run = engine->run(request.create, attach, size.rows, size.columns);
        if (!run) mask.reset();
        return run;
      }));
  call.context.warn(started.warnings);
  TRY_VOID(cid_file.write(started.id));
  if (!started.session) {
    TRY_VOID(print(started.id + "\n"));
    return 0;
  }
  TRY(StreamEnd end, relay(*started.session, streams, *mask));
  return finish_session(*engine, started.id, std::move(started.session), end, true);
}

}  // namespace

Result<int> run_container(Invocation& call) {
  if (call.flags.boolean("detach") && call.flags.has("attach")) {
    report_error(Error(ErrorKind::kInvalidArgument,
                       "conflicting options: cannot specify both --attach and --detach"));
    return 1;
  }
  TRY(RunRequest request, run_request(call.flags, environment_variable));
  const engine::ContainerConfig& config = request.create.config;
  if (Result<void> usable = check_terminal(config.attach_stdin && config.open_stdin, config.tty);
      !usable) {
    report_error(usable.error());
    return 1;
  }
  Result<int> code = run_prepared(call, request);
  if (code) return code;
  report_error(code.error());
  return start_failure_code(code.error(), kUsageExit);
}

Result<int> create_container(Invocation& call) {
  TRY(RunRequest request, run_request(call.flags, environment_variable));
  TRY(CidFile cid_file, CidFile::make(request.cid_file));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Engine::Created created,
      with_image(*engine, request, [&] { return engine->create(request.create); }));
  call.context.warn(created.warnings);
  TRY_VOID(cid_file.write(created.id));
  TRY_VOID(print(created.id + "\n"));
  return 0;
}

}  // namespace wherry::cli
