#include "build/context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "archive/unpack_client.h"
#include "base/text.h"
#include "build/archive_file.h"
#include "build/ignore.h"
#include "sys/fd.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxDockerfile = 4u << 20;
constexpr size_t kMaxIgnore = 1u << 20;
constexpr size_t kHead = 512;
constexpr size_t kBlock = 1 << 16;
constexpr const char* kDefaultName = "Dockerfile";

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

bool is_remote(std::string_view path) {
  for (std::string_view prefix : {"http://", "https://", "git://", "ssh://", "git@", "github.com/"})
    if (path.starts_with(prefix)) return true;
  return false;
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The first bytes, or all there is.
Result<std::string> read_head(int fd) {
  std::string head(kHead, '\0');
  size_t size = 0;
  while (size < head.size()) {
    ssize_t got = read(fd, head.data() + size, head.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read standard input");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  head.resize(size);
  return head;
}

Result<std::string> read_rest(std::string_view head, int fd) {
  TRY_CTX(std::string rest, sys::read_all(fd, kMaxDockerfile), "cannot read standard input");
  return std::string(head).append(rest);
}

// A helper that has ended makes the pipe break; its report says why.
void pump(std::string_view head, int from, int to) {
  std::array<char, kBlock> block;
  if (!sys::write_all(to, head)) return;
  for (;;) {
    ssize_t got = read(from, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || !sys::write_all(to, {block.data(), static_cast<size_t>(got)})) return;
  }
}

Result<store::LayerDraft> unpack_context(const std::string& head, store::Store& store) {
  TRY(store::LayerDraft draft, store.new_layer());
  TRY(sys::Pipe pipe, sys::make_pipe());
  TRY(archive::Unpacking helper,
      archive::Unpacking::start(
          {.tar = pipe.read.get(), .directory = draft.tree(), .lock = draft.lock_fd()}));
  pipe.read.reset();
  pump(head, STDIN_FILENO, pipe.write.get());
  pipe.write.reset();
  TRY_CTX([[maybe_unused]] auto unpacked, helper.finish(), "cannot read the build context");
  return draft;
}

Result<std::optional<std::string>> read_optional(int root, const std::string& name, size_t limit) {
  Result<sys::Fd> file = sys::open_in_root(root, name, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (file.error().errnum() == ENOENT || file.error().errnum() == ENOTDIR)
      return std::optional<std::string>();
    return std::move(file.error());
  }
  TRY_CTX(std::string text, sys::read_all(file->get(), limit), "cannot read '" + name + "'");
  return std::optional(std::move(text));
}

Result<PathRules> rules_of(const std::optional<std::string>& text, const std::string& name) {
  if (!text) return PathRules();
  TRY_CTX(Ignore ignore, Ignore::parse(*text), "cannot read '" + name + "'");
  if (ignore.empty()) return PathRules();
  auto rules = std::make_shared<Ignore>(std::move(ignore));
  return PathRules{[rules](const std::string& path) { return rules->matches(path); },
                   [rules](const std::string& path) { return rules->may_contain_included(path); }};
}

// "<Dockerfile>.dockerignore" beside the Dockerfile goes before the context's own.
Result<PathRules> ignore_rules(int root, const std::optional<std::string>& beside,
                               const std::string& beside_name) {
  if (beside) return rules_of(beside, beside_name);
  TRY(std::optional<std::string> own, read_optional(root, ".dockerignore", kMaxIgnore));
  return rules_of(own, ".dockerignore");
}

Error no_dockerfile(const Error& cause, const std::string& path) {
  Error error = Error(cause).wrap("cannot read the Dockerfile '" + path + "'");
  if (cause.errnum() == ENOENT)
    error.set_hint(
        "a build needs a Dockerfile: name it with -f FILE, or give the directory it is in");
  return error;
}

// A Dockerfile by its path on this machine, with the rules beside it.
Result<void> read_local(const std::string& path, Context& context,
                        std::optional<std::string>& beside) {
  Result<sys::Fd> file = sys::open_file(path, O_RDONLY);
  if (!file) return no_dockerfile(Error::from_errno(file.error().errnum(), "cannot open it"), path);
  Result<std::string> text = sys::read_all(file->get(), kMaxDockerfile);
  if (!text) return no_dockerfile(text.error(), path);
  context.dockerfile = std::move(*text);
  TRY(sys::Fd directory, sys::open_file(parent_of(path), O_RDONLY | O_DIRECTORY));
  std::string name = path.substr(path.rfind('/') + 1) + ".dockerignore";
  TRY(beside, read_optional(directory.get(), name, kMaxIgnore));
  return {};
}

Result<Context> from_directory(const std::string& path, const std::string& dockerfile) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0)
    return is_remote(path)
               ? Error(ErrorKind::kUnsupported,
                       "remote build contexts are not supported: '" + path + "'")
                     .set_hint("fetch or clone it first, and give the directory")
               : Error::from_errno(errno, "cannot use '" + path + "' as the build context");
  if (!S_ISDIR(info.st_mode))
    return invalid("cannot use '" + path + "' as the build context: it is no directory");
  TRY(sys::Fd root, sys::open_file(path, O_RDONLY | O_DIRECTORY));
  Context context;
  std::optional<std::string> beside;
  context.dockerfile_name = dockerfile.empty() ? kDefaultName : dockerfile;
  if (dockerfile == "-") {
    TRY(context.dockerfile, read_rest("", STDIN_FILENO));
    context.dockerfile_name = kDefaultName;
  } else {
    TRY_VOID(
        read_local(dockerfile.empty() ? path + "/" + kDefaultName : dockerfile, context, beside));
  }
  TRY(PathRules rules, ignore_rules(root.get(), beside, context.dockerfile_name + ".dockerignore"));
  context.tree = SourceTree::context(std::move(root), std::move(rules));
  return context;
}

Result<Context> from_stdin(const std::string& dockerfile, store::Store& store) {
  if (dockerfile == "-")
    return invalid("standard input cannot be both the build context and the Dockerfile");
  TRY(std::string head, read_head(STDIN_FILENO));
  Context context;
  context.dockerfile_name = dockerfile.empty() ? kDefaultName : dockerfile;
  if (!starts_like_archive(head)) {
    if (!dockerfile.empty())
      return invalid("cannot use '" + dockerfile + "': standard input is a Dockerfile, no archive");
    TRY(context.dockerfile, read_rest(head, STDIN_FILENO));
    return context;
  }
  TRY(store::LayerDraft draft, unpack_context(head, store));
  TRY_CTX(std::optional<std::string> text,
          read_optional(draft.tree(), context.dockerfile_name, kMaxDockerfile),
          "cannot read the Dockerfile");
  if (!text)
    return no_dockerfile(Error::from_errno(ENOENT, "not in the archive"), context.dockerfile_name);
  context.dockerfile = std::move(*text);
  std::string name = context.dockerfile_name + ".dockerignore";
  TRY(std::optional<std::string> beside, read_optional(draft.tree(), name, kMaxIgnore));
  TRY(PathRules rules, ignore_rules(draft.tree(), beside, name));
  TRY(sys::Fd root, sys::open_at(draft.tree(), ".", O_RDONLY | O_DIRECTORY));
  context.tree = SourceTree::context(std::move(root), std::move(rules));
  context.unpacked = std::make_unique<store::LayerDraft>(std::move(draft));
  return context;
}

}  // namespace

Result<Context> open_context(const std::string& path, const std::string& dockerfile,
                             store::Store& store) {
  return path == "-" ? from_stdin(dockerfile, store) : from_directory(path, dockerfile);
}

}  // namespace wherry::build
