// tag, rmi, import, bootstrap.
#include "cli/image_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/config.h"
#include "cli/container_commands.h"
#include "cli/output.h"
#include "oci/reference.h"
#include "sys/fd.h"
#include "transfer/fetch.h"

namespace wherry::cli {
namespace {

constexpr auto kString = FlagKind::kString;

constexpr Flag kRemoveImage[] = {{"force", 'f', FlagKind::kBool, "Remove it under all its names"}};
constexpr RefusedFlag kRemoveImageLater[] = {{"no-prune"}, {"platform"}};

constexpr Flag kImport[] = {
    {"change", 'c', FlagKind::kList, "Dockerfile instruction for the image's configuration"},
    {"message", 'm', kString, "Comment in the image's history"},
};
constexpr RefusedFlag kImportLater[] = {{"platform"}};

constexpr Flag kBootstrap[] = {
    {"include", 0, FlagKind::kList, "More packages, separated by commas"},
    {"mirror", 0, kString, "Package archive to use instead of the host's"},
    {"tag", 't', kString, "Name of the image instead of the distribution's"},
    {"variant", 0, kString, "mmdebstrap's package selection", "minbase"},
};

constexpr size_t kBlock = 65536;

// Fetches into a nameless file first: only at its end is it known that a body is whole, and an
// import acknowledges what it has read.
Result<sys::Fd> fetch_to_file(const std::string& url) {
  std::string directory = environment_variable("TMPDIR").value_or("/var/tmp");
  TRY_CTX(sys::Fd file, sys::open_file(directory, O_RDWR | O_TMPFILE, 0600),
          fmt::format("cannot keep '{}'", url));
  TRY(transfer::Fetch fetch, transfer::fetch_url(url, 0));
  std::string block(kBlock, '\0');
  for (;;) {
    ssize_t got = read(fetch.body(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, fmt::format("cannot fetch '{}'", url));
    if (got == 0) break;
    TRY_VOID_CTX(sys::write_all(file.get(), {block.data(), static_cast<size_t>(got)}),
                 fmt::format("cannot keep '{}'", url));
  }
  TRY_CTX(uint64_t size, fetch.finish(), fmt::format("cannot fetch '{}'", url));
  if (lseek(file.get(), 0, SEEK_SET) != 0 || size == 0)
    return Error(ErrorKind::kCorrupt, fmt::format("'{}' is empty", url));
  return file;
}

Result<sys::Fd> open_source(const std::string& source) {
  if (transfer::is_url(source)) return fetch_to_file(source);
  if (source != "-") return sys::open_file(source, O_RDONLY);
  int copy = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return Error::from_errno(errno, "cannot read standard input");
  return sys::Fd(copy);
}

void warn_of_dropped_xattrs(const Context& context, const store::Image& image) {
  if (image.dropped_xattrs == 0) return;
  context.warn(
      {fmt::format("{} extended attribute{} of the archive dropped "
                   "(trusted.* and what this file system cannot store)",
                   image.dropped_xattrs, image.dropped_xattrs == 1 ? "" : "s")});
}

}  // namespace

constinit const FlagTable kRemoveImageFlags{kRemoveImage, kRemoveImageLater};
constinit const FlagTable kImportFlags{kImport, kImportLater};
constinit const FlagTable kBootstrapFlags{kBootstrap};

Result<int> tag_image(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY_VOID(engine->tag(call.arguments()[0], call.arguments()[1]));
  return 0;
}

Result<int> remove_images(Invocation& call) {
  bool force = call.flags.boolean("force");
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    auto removed = engine->remove_image(name, force);
    if (!removed && force && removed.error().kind() == ErrorKind::kNotFound) {
      report_error(removed.error());
      return {};
    }
    if (!removed) return std::move(removed.error());
    std::string text;
    for (const std::string& reference : removed->untagged)
      text += fmt::format("Untagged: {}\n", reference);
    for (const std::string& digest : removed->deleted) text += fmt::format("Deleted: {}\n", digest);
    return print(text);
  });
}

Result<int> import_image(Invocation& call) {
  const std::string& source = call.arguments()[0];
  engine::ImportRequest request;
  request.source = source;
  request.changes = call.flags.list("change");
  request.message = call.flags.text("message");
  if (request.message.empty()) request.message = "Imported from " + source;
  if (call.arguments().size() > 1) {
    TRY(oci::ImageRef reference, oci::ImageRef::parse(call.arguments()[1]));
    if (reference.digest())
      return Error(
          ErrorKind::kInvalidArgument,
          fmt::format("cannot import as '{}': a digest cannot be given", call.arguments()[1]));
    request.reference = std::move(reference);
  }
  TRY_CTX(sys::Fd tar, open_source(source), "cannot import");
  request.tar_fd = tar.get();
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image image, engine->import(request));
  warn_of_dropped_xattrs(call.context, image);
  TRY_VOID(print(image.id.str() + "\n"));
  return 0;
}

Result<int> bootstrap_image(Invocation& call) {
  engine::BootstrapRequest request;
  request.distribution = call.arguments()[0];
  request.variant = call.flags.text("variant");
  request.mirror = call.flags.text("mirror");
  request.tag = call.flags.text("tag");
  for (const std::string& packages : call.flags.list("include"))
    for (std::string_view package : split(packages, ','))
      if (!trim(package).empty()) request.include.emplace_back(trim(package));
  bool quiet = call.context.config.log_level == LogLevel::kError;
  if (!quiet)
    request.progress = [](std::string_view line) { print_error_text(fmt::format("{}\n", line)); };
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image image, engine->bootstrap(request));
  warn_of_dropped_xattrs(call.context, image);
  TRY_VOID(print(image.id.str() + "\n"));
  return 0;
}

}  // namespace wherry::cli
