// run and create: from the flag table to the engine call, and the attached session until its end.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/container_commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/run_request.h"
#include "cli/session_end.h"
#include "cli/stream.h"
#include "cli/terminal.h"
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

Error cannot_pull(const std::string& image) {
  return Error(ErrorKind::kUnsupported,
               fmt::format("cannot pull '{}': pulling from registries is not available in this "
                           "version",
                           familiar(image)))
      .set_hint(
          "make an image with 'wherry bootstrap debian:bookworm', or load one with "
          "'wherry import FILE NAME'");
}

// What a missing image means under --pull.
Error missing_image(const RunRequest& request, Error error) {
  if (!is_missing_image(error)) return error;
  const std::string& image = request.create.config.image;
  if (request.pull == "never")
    return Error(ErrorKind::kNotFound, fmt::format("No such image: {}", familiar(image)));
  if (!request.quiet)
    print_error_text(fmt::format("Unable to find image '{}' locally\n", familiar(image)));
  return cannot_pull(image);
}

Result<RunRequest> prepare(Invocation& call) {
  TRY(RunRequest request, run_request(call.flags, environment_variable));
  // "always" asks for what cannot be done: saying so beats running an old image.
  if (request.pull == "always") return cannot_pull(request.create.config.image);
  return request;
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
  TRY(engine::Engine * engine, call.context.engine());
  std::optional<engine::AttachStreams> attach;
  TerminalSize size;
  if (!request.detach) {
    attach = engine::AttachStreams{streams.input, config.attach_stdout, config.attach_stderr};
    if (config.tty) size = terminal_size();
  }
  std::optional<SignalMask> mask;
  if (attach) mask.emplace();
  auto started = engine->run(request.create, attach, size.rows, size.columns);
  if (!started) return missing_image(request, std::move(started.error()));
  call.context.warn(started->warnings);
  TRY_VOID(cid_file.write(started->id));
  if (!started->session) {
    TRY_VOID(print(started->id + "\n"));
    return 0;
  }
  TRY(StreamEnd end, relay(*started->session, streams, *mask));
  return finish_session(*engine, started->id, std::move(started->session), end, true);
}

}  // namespace

Result<int> run_container(Invocation& call) {
  if (call.flags.boolean("detach") && call.flags.has("attach")) {
    report_error(Error(ErrorKind::kInvalidArgument,
                       "conflicting options: cannot specify both --attach and --detach"));
    return 1;
  }
  TRY(RunRequest request, prepare(call));
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
  TRY(RunRequest request, prepare(call));
  TRY(CidFile cid_file, CidFile::make(request.cid_file));
  TRY(engine::Engine * engine, call.context.engine());
  auto created = engine->create(request.create);
  if (!created) return missing_image(request, std::move(created.error()));
  call.context.warn(created->warnings);
  TRY_VOID(cid_file.write(created->id));
  TRY_VOID(print(created->id + "\n"));
  return 0;
}

}  // namespace wherry::cli
