// RUN: what the program gets, and following it to its end.
#include <fmt/format.h>
#include <poll.h>

#include <cerrno>

#include "base/text.h"
#include "build/dockerfile_words.h"
#include "build/expand.h"
#include "build/stage_builder.h"
#include "build/tree_mount.h"

namespace wherry::build {
namespace {

constexpr int kTickMs = 100;
constexpr const char* kPipes = "/dev/pipes/";
constexpr size_t kMaxQuoted = 1000;

// As messages show it: a heredoc may be a whole script.
std::string quoted(const std::vector<std::string>& argv) {
  std::string text = join(argv, " ");
  if (text.size() > kMaxQuoted) text = text.substr(0, kMaxQuoted) + "...";
  return "\"" + text + "\"";
}

Error did_not_succeed(const std::vector<std::string>& argv, int code) {
  return Error(
      ErrorKind::kInvalidArgument,
      fmt::format("process {} did not complete successfully: exit code: {}", quoted(argv), code));
}

std::string network_mode(RunNetwork network, const std::string& otherwise) {
  switch (network) {
    case RunNetwork::kNone:
      return "none";
    case RunNetwork::kHost:
      return "host";
    case RunNetwork::kDefault:
      break;
  }
  return otherwise == "default" ? "bridge" : otherwise;
}

}  // namespace

Result<const SourceTree*> StageBuilder::source_tree(const std::string& from) {
  if (from.empty()) {
    if (build_.context.tree) return &*build_.context.tree;
    return Error(ErrorKind::kNotFound, "the build has no context")
        .set_hint("only the Dockerfile was given; name a directory to take files from");
  }
  TRY(Source source, resolve_from(build_.plan, stage_.index, from));
  if (source.kind == Source::Kind::kStage) {
    const Stage& stage = build_.plan.stages[static_cast<size_t>(source.stage)];
    std::string name = stage.name.empty() ? std::to_string(stage.index) : stage.name;
    return build_.roots.open(fmt::format("stage {}", stage.index), fmt::format("stage '{}'", name),
                             build_.stages.at(source.stage).chain);
  }
  if (source.kind == Source::Kind::kScratch)
    return build_.roots.open("scratch", "the empty image", Chain());
  Result<store::Image> image =
      build_.host.base_image(source.name, "", build_.options.pull,
                             [&](const std::string& line) { build_.progress.detail(line); });
  if (!image) return no_such_source(std::move(image.error()), source.name);
  TRY(StageResult opened, open_image(*image, source.name, build_.layers));
  return build_.roots.open("image " + image->id.str(), fmt::format("image '{}'", source.name),
                           opened.chain);
}

// A stage's name that is misspelt means an image.
Error StageBuilder::no_such_source(Error error, const std::string& name) const {
  std::vector<std::string_view> stages;
  for (const Stage& stage : build_.plan.stages)
    if (stage.index < stage_.index && !stage.name.empty()) stages.push_back(stage.name);
  std::string near = did_you_mean(name, stages);
  if (!near.empty()) error.set_hint("no stage is called '" + name + "'" + near);
  return error;
}

Result<StageBuilder::Prepared> StageBuilder::prepare_run(const Instruction& instruction,
                                                         const Run& run) {
  const oci::ImageRunConfig& config = state_.config.config;
  if (run.insecure) return Error(ErrorKind::kUnsupported, "--security=insecure is not supported");
  engine::StepRequest request;
  Scope::RunEnv env = scope_.run_env(config.env);
  KeyParts parts("RUN", instruction.original);
  if (run.script) {
    std::string path = kPipes + run.heredocs.at(0).name;
    request.argv = {path};
    request.files.push_back({path, run.command.text, 0755, 0, 0});
    parts.add("script", run.command.text);
  } else {
    request.argv = command_line(run.command, config);
  }
  request.env = env.visible;
  request.env.insert(request.env.end(), env.hidden.begin(), env.hidden.end());
  request.user = config.user;
  request.working_dir = config.working_dir.empty() ? "/" : config.working_dir;
  request.network_mode = network_mode(run.network, build_.options.network);
  std::vector<Mount> expanded;
  for (const RunMount& mount : run.mounts) {
    TRY(Mount one, expand_mount(mount, scope_.expander(config.env)));
    expanded.push_back(std::move(one));
  }
  TRY(RunMounts described, RunMounts::describe(
                               expanded, request.working_dir,
                               [this](const std::string& from) { return source_tree(from); },
                               build_.options.secrets, &build_.host.state()));
  auto mounts = std::make_shared<RunMounts>(std::move(described));
  parts.add("argv", request.argv)
      .add("env", env.visible)
      .add("user", request.user)
      .add("working_dir", request.working_dir)
      .add("network", request.network_mode)
      .add("mounts", mounts->definitions());
  auto make = [this, request, mounts,
               parts](store::LayerDraft& draft) mutable -> Result<std::optional<Layers::Hit>> {
    TRY_VOID(mounts->materialize(build_.store, build_.host.root(), request));
    return run_program(std::move(request), draft, parts);
  };
  return Prepared{parts, make};
}

Result<std::optional<Layers::Hit>> StageBuilder::run_program(engine::StepRequest request,
                                                             store::LayerDraft& draft,
                                                             const KeyParts& parts) {
  TRY(request.below, state_.chain.mount_plan(build_.store));
  // An overlay needs a lower layer, if only an empty one.
  std::optional<store::LayerDraft> nothing;
  if (request.below.empty()) {
    TRY(store::LayerDraft empty, build_.store.new_layer());
    request.below.lower.push_back(empty.tree_path());
    nothing.emplace(std::move(empty));
  }
  TRY_VOID(inherit_root(request.below, draft));
  request.upper = draft.tree_path();
  request.work = draft.work_path();
  TRY_CTX(std::unique_ptr<engine::Step> step, build_.host.run_step(request),
          fmt::format("process {} could not be started", quoted(request.argv)));
  std::optional<Layers::Hit> hit;
  TRY(int code, follow(*step, parts, hit));
  if (hit) return hit;
  TRY_VOID(step->finish());
  if (code != 0) return did_not_succeed(request.argv, code);
  return hit;
}

// Until the program has ended. The layer below may become known meanwhile: then the cache is asked,
// and a hit ends the program.
Result<int> StageBuilder::follow(engine::Step& step, const KeyParts& parts,
                                 std::optional<Layers::Hit>& hit) {
  engine::Session& session = step.session();
  bool looked_up = build_.options.no_cache || state_.chain.pending_fd() < 0;
  for (;;) {
    pollfd polls[] = {{session.fd(), POLLIN, 0},
                      {build_.options.interrupt, POLLIN, 0},
                      {looked_up ? -1 : state_.chain.pending_fd(), POLLIN, 0}};
    int ready = session.has_pending() ? 1 : poll(polls, std::size(polls), kTickMs);
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "cannot follow a step");
    build_.progress.tick();
    if (build_.interrupted()) return canceled_error();
    if (!looked_up && state_.chain.settles_within(0)) {
      looked_up = true;
      TRY(hit, lookup(parts));
      if (hit) return 0;
    }
    if (ready <= 0 || (polls[0].revents == 0 && !session.has_pending())) continue;
    TRY(engine::Session::Event event, session.next());
    using Kind = engine::Session::Event::Kind;
    if (event.kind == Kind::kExited) return event.exit_code;
    if (event.kind == Kind::kClosed)
      return Error(ErrorKind::kUnavailable, "the monitor of the step has gone");
    build_.progress.output(event.data);
  }
}

}  // namespace wherry::build
