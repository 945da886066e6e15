// commit, pause, unpause, rename, container prune.
#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/output.h"
#include "cli/prune.h"
#include "cli/rows.h"
#include "engine/prune_filter.h"

namespace wherry::cli {
namespace {

constexpr Flag kCommit[] = {
    {"author", 'a', FlagKind::kString, "Who has made the image"},
    {"change", 'c', FlagKind::kList, "Dockerfile instruction for the image's configuration"},
    {"message", 'm', FlagKind::kString, "Comment in the image's history"},
    {"pause", 'p', FlagKind::kBool, "Freeze the container while its files are copied", "true"},
};
constexpr Flag kPrune[] = {
    {"filter", 0, FlagKind::kList, "Only those that match: until=TIME, label=KEY, label!=KEY"},
    {"force", 'f', FlagKind::kBool, "Do not ask"},
};

}  // namespace

constinit const FlagTable kCommitFlags{kCommit};
constinit const FlagTable kContainerPruneFlags{kPrune};

Result<int> commit_container(Invocation& call) {
  engine::CommitRequest request;
  request.container = call.arguments()[0];
  request.author = call.flags.text("author");
  request.changes = call.flags.list("change");
  request.message = call.flags.text("message");
  request.pause = call.flags.boolean("pause");
  if (call.arguments().size() > 1) {
    TRY(request.reference, oci::ImageRef::parse(call.arguments()[1]));
  }
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image image, engine->commit(request));
  TRY_VOID(print(image.id.str() + "\n"));
  return 0;
}

Result<int> pause_containers(Invocation& call) {
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY_VOID(engine->pause(name));
    return print(name + "\n");
  });
}

Result<int> unpause_containers(Invocation& call) {
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY_VOID(engine->unpause(name));
    return print(name + "\n");
  });
}

Result<int> rename_container(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY_VOID(engine->rename(call.arguments()[0], call.arguments()[1]));
  return 0;
}

Result<int> prune_containers(Invocation& call) {
  TRY(auto filters, parse_filters(call.flags));
  // The engine checks them again; here so that nobody is asked about nonsense.
  TRY([[maybe_unused]] auto checked,
      engine::PruneFilter::compile(filters, {"until", "label", "label!"}, wall_clock_ns()));
  if (!call.flags.boolean("force"))
    TRY_VOID(confirm_prune("container prune", "This will remove all stopped containers."));
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Engine::Pruned pruned, engine->prune_containers(filters));
  std::string text;
  if (!pruned.names.empty()) text = "Deleted Containers:\n" + join(pruned.names, "\n") + "\n\n";
  TRY_VOID(print(text + reclaimed_line(pruned.bytes)));
  return 0;
}

}  // namespace wherry::cli
