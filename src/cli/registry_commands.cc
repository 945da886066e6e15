// pull and push.
#include "cli/registry_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "cli/layer_board.h"
#include "cli/output.h"
#include "oci/reference.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;

constexpr Flag kPull[] = {
    {"all-tags", 'a', kBool, "Fetch all tagged images of the repository"},
    {"platform", 0, FlagKind::kString, "Fetch for another platform: OS/ARCHITECTURE[/VARIANT]"},
    {"quiet", 'q', kBool, "Print only the image's full name"},
};
constexpr RefusedFlag kPullLater[] = {{"disable-content-trust"}};

constexpr Flag kPush[] = {
    {"all-tags", 'a', kBool, "Send all tags of the repository"},
    {"quiet", 'q', kBool, "Print only the image's full name"},
    {"recompress", 0, kBool, "Send a pulled image with new digests if its own layers are lost"},
};
constexpr RefusedFlag kPushLater[] = {{"disable-content-trust"}, {"platform"}};

// Whether the user wrote a tag or digest, or ":latest" was put there for him.
bool is_name_only(std::string_view text) {
  std::string_view last = text.substr(text.rfind('/') + 1);
  return last.find_first_of(":@") == last.npos;
}

std::string full_name(const oci::ImageRef& reference) {
  return reference.repository() + (reference.digest() ? "@" + reference.digest()->str()
                                                      : ":" + reference.tag().value_or("latest"));
}

Result<void> pull_one(engine::Engine& engine, const std::string& name, const ParsedFlags& flags) {
  TRY(oci::ImageRef reference, oci::ImageRef::parse(name));
  PullView view{STDOUT_FILENO, flags.boolean("quiet")};
  TRY([[maybe_unused]] auto pulled, pull_image(engine, {name, flags.text("platform"), {}}, view));
  return print(full_name(reference) + "\n");
}

Error tag_with_all_tags() {
  return Error(ErrorKind::kInvalidArgument, "tag can't be used with --all-tags/-a")
      .set_hint("leave out the tag, or --all-tags");
}

// Of several tags of a repository the first says its name.
Result<void> push_one(engine::Engine& engine, const oci::ImageRef& reference,
                      const ParsedFlags& flags, bool first) {
  bool quiet = flags.boolean("quiet");
  LayerBoard board(
      STDOUT_FILENO, LayerBoard::Direction::kPush,
      first ? fmt::format("The push refers to repository [{}]", reference.repository()) : "");
  engine::PushRequest request{reference.familiar(), flags.boolean("recompress"), {}};
  if (!quiet) {
    if (first) board.show_heading();
    request.progress = [&](const transfer::LayerProgress& layer) { board.show(layer); };
  }
  TRY(transfer::Pushed pushed, engine.push(request));
  if (pushed.recompressed)
    print_error_text(fmt::format(
        "WARNING: {} was pushed with new compressed layers: its digest is not that of the image "
        "that was pulled\n",
        reference.familiar()));
  if (quiet) return print(full_name(reference) + "\n");
  return print(
      fmt::format("{}: digest: {} size: {}\n", *reference.tag(), pushed.digest.str(), pushed.size));
}

// Sorted.
Result<std::vector<oci::ImageRef>> local_tags(engine::Engine& engine,
                                              const oci::ImageRef& repository) {
  TRY(std::vector<store::Image> images, engine.images());
  std::vector<oci::ImageRef> references;
  for (const store::Image& image : images) {
    for (const std::string& tag : image.tags) {
      TRY(oci::ImageRef reference, oci::ImageRef::parse(tag));
      if (reference.repository() == repository.repository())
        references.push_back(std::move(reference));
    }
  }
  if (references.empty())
    return Error(ErrorKind::kNotFound, "An image does not exist locally with the tag: " +
                                           repository.familiar_repository());
  std::ranges::sort(references, {}, [](const oci::ImageRef& one) { return one.tag(); });
  return references;
}

}  // namespace

constinit const FlagTable kPullFlags{kPull, kPullLater};
constinit const FlagTable kPushFlags{kPush, kPushLater};

Result<transfer::Pulled> pull_image(engine::Engine& engine, const engine::PullRequest& request,
                                    const PullView& view) {
  TRY(oci::ImageRef reference, oci::ImageRef::parse(request.name));
  std::string what = reference.digest() ? reference.digest()->str() : *reference.tag();
  LayerBoard board(view.fd, LayerBoard::Direction::kPull,
                   fmt::format("{}: Pulling from {}", what, reference.path()));
  engine::PullRequest shown = request;
  if (!view.quiet)
    shown.progress = [&](const transfer::LayerProgress& layer) { board.show(layer); };
  TRY(transfer::Pulled pulled, engine.pull(shown));
  if (view.quiet) return pulled;
  board.show_heading();
  std::string text =
      fmt::format("Digest: {}\nStatus: {} {}\n", pulled.digest.str(),
                  pulled.new_image ? "Downloaded newer image for" : "Image is up to date for",
                  reference.familiar());
  TRY_VOID(sys::write_all(view.fd, text));
  return pulled;
}

Result<int> pull_images(Invocation& call) {
  const std::string& name = call.arguments()[0];
  bool quiet = call.flags.boolean("quiet");
  TRY(oci::ImageRef reference, oci::ImageRef::parse(name));
  if (!call.flags.boolean("all-tags")) {
    if (!quiet && is_name_only(name)) TRY_VOID(print("Using default tag: latest\n"));
    TRY(engine::Engine * engine, call.context.engine());
    TRY_VOID(pull_one(*engine, name, call.flags));
    return 0;
  }
  if (!is_name_only(name)) return tag_with_all_tags();
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<std::string> tags, engine->remote_tags(name));
  for (const std::string& tag : tags)
    TRY_VOID(pull_one(*engine, fmt::format("{}:{}", name, tag), call.flags));
  return 0;
}

Result<int> push_images(Invocation& call) {
  const std::string& name = call.arguments()[0];
  bool quiet = call.flags.boolean("quiet");
  TRY(oci::ImageRef reference, oci::ImageRef::parse(name));
  if (reference.digest())
    return Error(ErrorKind::kInvalidArgument, "cannot push a digest reference")
        .set_hint("push a tag: NAME[:TAG]");
  bool all = call.flags.boolean("all-tags");
  if (all && !is_name_only(name)) return tag_with_all_tags();
  TRY(engine::Engine * engine, call.context.engine());
  if (!all) {
    if (!quiet && is_name_only(name)) TRY_VOID(print("Using default tag: latest\n"));
    TRY_VOID(push_one(*engine, reference, call.flags, /*first=*/true));
    return 0;
  }
  TRY(std::vector<oci::ImageRef> references, local_tags(*engine, reference));
  for (const oci::ImageRef& one : references)
    TRY_VOID(push_one(*engine, one, call.flags, &one == &references.front()));
  return 0;
}

}  // namespace wherry::cli
