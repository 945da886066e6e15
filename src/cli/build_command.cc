// build: from the command line to build::build and back.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/text.h"
#include "build/builder.h"
#include "cli/build_commands.h"
#include "cli/build_progress.h"
#include "cli/output.h"
#include "cli/supervised.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;
constexpr auto kList = FlagKind::kList;

constexpr Flag kBuild[] = {
    {"build-arg", 0, kList, "Value of an ARG: NAME=VALUE, or NAME to take it from the environment"},
    {"file", 'f', kString, "Dockerfile (default: DIR/Dockerfile; -: standard input)"},
    {"force-rm", 0, kBool, "Leave no container of a step behind: always so"},
    {"iidfile", 0, kString, "Write the image's id to a file"},
    {"label", 0, kList, "Label KEY=VALUE of the image"},
    {"load", 0, kBool, "Put the image among this machine's images: always so"},
    {"network", 0, kString, "Network of RUN steps: default, none or host", "default"},
    {"no-cache", 0, kBool, "Run every step, whatever is known of it"},
    {"progress", 0, kString, "Form of the progress: auto, plain, tty or quiet", "auto"},
    {"pull", 0, kBool, "Ask the registry for base images that are here already"},
    {"quiet", 'q', kBool, "Print only the image's id"},
    {"rm", 0, kBool, "Leave no container of a step behind: always so", "true"},
    {"secret", 0, kList, "Secret for RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]"},
    {"tag", 't', kList, "Name of the image, NAME[:TAG]"},
    {"target", 0, kString, "Stage to build instead of the last one"},
};
constexpr RefusedFlag kBuildLater[] = {
    {"add-host"},
    {"allow"},
    {"annotation"},
    {"attest"},
    {"build-context"},
    {"builder"},
    {"cache-from"},
    {"cache-to"},
    {"call"},
    {"cgroup-parent"},
    {"check"},
    {"compress"},
    {"cpu-period"},
    {"cpu-quota"},
    {"cpu-shares", 'c'},
    {"cpuset-cpus"},
    {"cpuset-mems"},
    {"debug", 'D'},
    {"isolation"},
    {"memory", 'm'},
    {"memory-swap"},
    {"metadata-file"},
    {"output", 'o'},
    {"platform"},
    {"policy"},
    {"provenance"},
    {"push"},
    {"resource"},
    {"sbom"},
    {"security-opt"},
    {"shm-size"},
    {"squash"},
    {"ssh"},
    {"ulimit"},
    {"no-cache-filter"},
    {"disable-content-trust"},
};

constexpr size_t kMaxSecret = 500 << 10;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

Result<Pairs> build_arguments(const std::vector<std::string>& texts) {
  Pairs pairs;
  for (const std::string& text : texts) {
    auto [name, value] = split_once(text, '=');
    if (name.empty()) return invalid(fmt::format("invalid build argument '{}'", text));
    std::string key(name);
    if (value)
      pairs.emplace_back(std::move(key), *value);
    else if (auto found = environment_variable(key.c_str()))
      pairs.emplace_back(std::move(key), *found);
  }
  return pairs;
}

Result<Pairs> labels(const std::vector<std::string>& texts) {
  Pairs pairs;
  for (const std::string& text : texts) {
    auto [name, value] = split_once(text, '=');
    if (name.empty()) return invalid(fmt::format("invalid label '{}'", text));
    pairs.emplace_back(name, value.value_or(""));
  }
  return pairs;
}

Result<build::Secret> secret(const std::string& text) {
  std::string id, source, variable, type;
  for (std::string_view field : split(text, ',')) {
    auto [key, value] = split_once(field, '=');
    std::string* place = key == "id"                       ? &id
                         : key == "src" || key == "source" ? &source
                         : key == "env"                    ? &variable
                         : key == "type"                   ? &type
                                                           : nullptr;
    if (place == nullptr || !value)
      return invalid(fmt::format("invalid secret '{}': unexpected key '{}'", text, key))
          .set_hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE");
    *place = *value;
  }
  if (id.empty()) return invalid(fmt::format("invalid secret '{}': it has no id", text));
  if (!type.empty() && type != "file" && type != "env")
    return invalid(fmt::format("invalid secret '{}': unsupported type '{}'", text, type));
  // As Docker: a source without a type=env is a file; an id alone is a variable, then a file.
  if (type == "env" && variable.empty()) variable = source.empty() ? id : std::exchange(source, "");
  if (source.empty() && variable.empty()) {
    if (environment_variable(id.c_str()) && type != "file")
      variable = id;
    else
      source = id;
  }
  if (!variable.empty()) {
    auto value = environment_variable(variable.c_str());
    if (!value) return invalid(fmt::format("secret '{}': variable '{}' is not set", id, variable));
    return build::Secret{id, *value};
  }
  TRY_CTX(std::string content, sys::read_file(source, kMaxSecret),
          fmt::format("cannot read secret '{}'", id));
  return build::Secret{id, std::move(content)};
}

Result<build::BuildOptions> options_of(const Invocation& call) {
  build::BuildOptions options;
  const ParsedFlags& flags = call.flags;
  options.context = call.arguments()[0];
  options.dockerfile = flags.text("file");
  for (const std::string& text : flags.list("tag")) {
    TRY_CTX(oci::ImageRef reference, oci::ImageRef::parse(text),
            fmt::format("invalid tag '{}'", text));
    if (reference.digest())
      return invalid(
          fmt::format("invalid tag '{}': refusing to create a tag with a digest reference", text));
    options.tags.push_back(std::move(reference));
  }
  TRY(options.build_args, build_arguments(flags.list("build-arg")));
  TRY(options.labels, labels(flags.list("label")));
  options.target = flags.text("target");
  options.network = flags.text("network");
  if (options.network == "bridge") options.network = "default";
  if (options.network != "default" && options.network != "none" && options.network != "host")
    return invalid(fmt::format("network mode '{}' is not supported by builds", options.network))
        .set_hint("use default, none or host");
  options.no_cache = flags.boolean("no-cache");
  options.pull = flags.boolean("pull");
  for (const std::string& text : flags.list("secret")) {
    TRY(build::Secret parsed, secret(text));
    options.secrets.push_back(std::move(parsed));
  }
  if (!flags.boolean("rm"))
    return Error(ErrorKind::kUnsupported, "--rm=false is not supported: steps leave no containers");
  return options;
}

std::string id_file_context(const std::string& path) {
  return fmt::format("cannot write the image's id to '{}'", path);
}

// The id of an earlier build must not be taken for this one's.
Result<void> remove_id_file(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return invalid(id_file_context(path) + ": it is no regular file");
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return Error::from_errno(errno, id_file_context(path));
}

Result<void> write_id_file(const std::string& path, const Digest& image) {
  std::string context = id_file_context(path);
  size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  TRY_CTX(sys::Fd directory, sys::open_file(parent, O_RDONLY | O_DIRECTORY), context);
  TRY_VOID_CTX(sys::write_file_atomic(directory.get(), name, image.str(), 0644, sys::Sync::kNone),
               context);
  return {};
}

void summarize(const build::Built& built, int64_t began_ns) {
  auto steps = [](size_t count) { return fmt::format("{} step{}", count, count == 1 ? "" : "s"); };
  print_error_text(fmt::format("\nBuilt {} in {:.1f}s: {} ran, {} cached\n", built.image.str(),
                               static_cast<double>(monotonic_ns() - began_ns) / 1e9,
                               steps(built.ran), built.cached));
}

Result<int> build_here(Invocation& call, const build::BuildOptions& options,
                       build::Progress& progress, const std::string& id_file) {
  int64_t began_ns = monotonic_ns();
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::BuildHost * host, engine->build_host());
  Result<build::Built> made = build::build(*host, options, progress);
  if (!made && made.error().errnum() == ENOSPC)
    made.error().set_hint(
        "make room: 'wherry builder prune' removes steps that no image needs, 'wherry rmi' images");
  TRY_CTX(build::Built built, std::move(made), "failed to build");
  if (!id_file.empty()) TRY_VOID(write_id_file(id_file, built.image));
  if (call.flags.boolean("quiet"))
    TRY_VOID(print(built.image.str() + "\n"));
  else
    summarize(built, began_ns);
  return 0;
}

}  // namespace

constinit const FlagTable kBuildFlags{kBuild, kBuildLater};

Result<int> build_image(Invocation& call) {
  TRY(build::BuildOptions options, options_of(call));
  bool quiet = call.flags.boolean("quiet");
  std::string form = call.flags.text("progress");
  if (quiet && form != "auto" && form != "quiet")
    return invalid(fmt::format("--progress={} and --quiet cannot be used together", form));
  TRY(std::unique_ptr<build::Progress> progress, make_build_progress(quiet ? "quiet" : form));
  std::string id_file = call.flags.text("iidfile");
  if (!id_file.empty()) TRY_VOID(remove_id_file(id_file));
  auto work = [&](int stop) {
    options.interrupt = stop;
    Result<int> code = build_here(call, options, *progress, id_file);
    progress.reset();
    if (!code) report_error(code.error());
    return code.value_or(1);
  };
  return run_supervised(work, [&]() -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY(engine::BuildHost * host, engine->build_host());
    return host->take_back();
  });
}

}  // namespace wherry::cli
