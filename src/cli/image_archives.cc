// save, load and image prune.
#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/image_commands.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/prune.h"
#include "cli/rows.h"
#include "cli/terminal.h"
#include "engine/prune_filter.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;

constexpr Flag kSave[] = {{"output", 'o', kString, "Write to a file instead of standard output"}};
constexpr RefusedFlag kSaveLater[] = {{"platform"}};

constexpr Flag kLoad[] = {
    {"input", 'i', kString, "Read a file, or the folder of an OCI layout, not standard input"},
    {"platform", 0, kString, "Which image of a multi-platform archive: OS[/ARCH[/VARIANT]]"},
    {"quiet", 'q', kBool, "No progress, which there is none of: names and errors only"},
};

constexpr Flag kPrune[] = {
    {"all", 'a', kBool, "All images that no container uses, not only those without a name"},
    {"filter", 0, FlagKind::kList,
     "Only those that match: dangling=BOOL, until=TIME, label=KEY, label!=KEY"},
    {"force", 'f', kBool, "Do not ask"},
};

Result<int> run_save(Invocation& call, int out) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<std::string> warnings, engine->save({.names = call.arguments(), .out_fd = out}));
  call.context.warn(warnings);
  return 0;
}

// -a, or Docker's filter dangling=BOOL, which is taken out of the list.
Result<bool> wants_all(const Invocation& call,
                       std::vector<std::pair<std::string, std::string>>& filters) {
  bool all = call.flags.boolean("all");
  for (const auto& [key, value] : filters) {
    if (key != "dangling") continue;
    auto dangling = parse_boolean(value);
    if (!dangling)
      return Error(ErrorKind::kInvalidArgument, fmt::format("invalid filter 'dangling={}'", value));
    all = !*dangling;
  }
  std::erase_if(filters, [](const auto& filter) { return filter.first == "dangling"; });
  return all;
}

}  // namespace

constinit const FlagTable kSaveFlags{kSave, kSaveLater};
constinit const FlagTable kLoadFlags{kLoad};
constinit const FlagTable kImagePruneFlags{kPrune};

Result<int> save_images(Invocation& call) {
  std::string output = call.flags.text("output");
  if (output.empty()) {
    if (is_terminal(STDOUT_FILENO))
      return Error(ErrorKind::kInvalidArgument,
                   "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    return run_save(call, STDOUT_FILENO);
  }
  TRY(OutputFile file, OutputFile::create(output));
  TRY(int code, run_save(call, file.fd()));
  TRY_VOID(file.keep());
  return code;
}

Result<int> load_images(Invocation& call) {
  std::string input = call.flags.text("input");
  engine::LoadRequest request{.source = input, .platform = call.flags.text("platform")};
  sys::Fd opened;
  if (input.empty()) {
    if (is_terminal(STDIN_FILENO))
      return Error(ErrorKind::kInvalidArgument, "requested load from stdin, but stdin is empty")
          .set_hint("name the archive with -i, or redirect standard input");
    request.archive_fd = STDIN_FILENO;
  } else {
    TRY_CTX(opened, sys::open_file(input, O_RDONLY), "cannot load");
    request.archive_fd = opened.get();
  }
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<store::Store::Loaded> loaded, engine->load(request));
  std::string text;
  for (const store::Store::Loaded& one : loaded) {
    for (const oci::ImageRef& name : one.names)
      text += fmt::format("Loaded image: {}\n", name.familiar());
    if (one.names.empty()) text += fmt::format("Loaded image ID: {}\n", one.image.id.str());
  }
  TRY_VOID(print(text));
  return 0;
}

Result<int> prune_images(Invocation& call) {
  TRY(auto filters, parse_filters(call.flags));
  TRY(bool all, wants_all(call, filters));
  // The engine checks them again; here so that nobody is asked about nonsense.
  TRY([[maybe_unused]] auto checked,
      engine::PruneFilter::compile(filters, {"until", "label", "label!"}, wall_clock_ns()));
  if (!call.flags.boolean("force"))
    TRY_VOID(confirm_prune(
        "image prune",
        all ? "This will remove all images without at least one container associated to them."
            : "This will remove all dangling images."));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Store::Removed removed, engine->prune_images(all, filters));
  std::string text;
  if (!removed.deleted.empty()) {
    text = "Deleted Images:\n";
    for (const std::string& name : removed.untagged) text += fmt::format("untagged: {}\n", name);
    for (const std::string& digest : removed.deleted) text += fmt::format("deleted: {}\n", digest);
    text += "\n";
  }
  TRY_VOID(print(text + reclaimed_line(removed.bytes)));
  return 0;
}

}  // namespace wherry::cli
