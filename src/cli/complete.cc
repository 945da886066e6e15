// __complete WORD...: candidates for the last word, one a line, for the shells' completion scripts.
#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "cli/global_flags.h"
#include "cli/image_commands.h"
#include "cli/output.h"
#include "oci/reference.h"

namespace wherry::cli {
namespace {

using Candidates = std::set<std::string>;

// The words that may follow `before` in commands' spellings.
void add_commands(Candidates& out, std::span<const std::string> before) {
  for (const CommandSpec& command : all_commands()) {
    if (command.hidden) continue;
    for (std::string_view name : split(command.names, '|')) {
      std::vector<std::string_view> parts = split(name, ' ');
      if (parts.size() <= before.size()) continue;
      bool same = true;
      for (size_t i = 0; i < before.size(); ++i) same = same && parts[i] == before[i];
      if (same) out.emplace(parts[before.size()]);
    }
  }
}

void add_flags(Candidates& out, const FlagTable& table) {
  for (const Flag& flag : table.flags) out.insert(fmt::format("--{}", flag.name));
  out.insert("--help");
}

Result<void> add_objects(Candidates& out, Context& context, std::string_view usage) {
  bool containers = usage.find("CONTAINER") != usage.npos || usage.find("NAME|ID") != usage.npos;
  bool images = usage.find("IMAGE") != usage.npos || usage.find("NAME|ID") != usage.npos ||
                usage.find("REPOSITORY") != usage.npos;
  if (!containers && !images) return {};
  TRY(engine::Engine * engine, context.engine());
  if (containers) {
    engine::ContainerFilter all;
    all.all = true;
    TRY(std::vector<engine::ContainerRecord> records, engine->list(all));
    for (const engine::ContainerRecord& record : records) out.insert(record.name);
  }
  if (!images) return {};
  TRY(std::vector<store::Image> stored, engine->images());
  for (const store::Image& image : stored)
    for (const std::string& tag : image.tags)
      if (Result<oci::ImageRef> reference = oci::ImageRef::parse(tag); reference)
        out.insert(reference->familiar());
  return {};
}

}  // namespace

Result<int> complete_words(Invocation& call) {
  std::span<const std::string> words = call.arguments();
  if (words.empty()) return 0;
  const std::string& current = words.back();
  std::span<const std::string> before = words.first(words.size() - 1);
  Candidates candidates;
  FoundCommand found = find_command(before);
  if (found.command != nullptr && current.starts_with('-')) {
    add_flags(candidates, *found.command->table);
  } else if (found.command != nullptr) {
    Result<void> added = add_objects(candidates, call.context, found.command->usage);
    static_cast<void>(added.has_value());  // no engine, no names: completion stays silent
  } else if (current.starts_with('-')) {
    add_flags(candidates, kGlobalFlags);
  } else {
    add_commands(candidates, before);
  }
  std::string text;
  for (const std::string& candidate : candidates)
    if (candidate.starts_with(current)) text += candidate + "\n";
  TRY_VOID(print(text));
  return 0;
}

}  // namespace wherry::cli
