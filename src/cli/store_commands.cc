// The commands that look after the store: fsck, gc, du.
#include "cli/store_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "oci/reference.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;

constexpr Flag kFsck[] = {
    {"quick", 0, kBool, "Look at sizes and times only, read nothing again"},
    {"repair", 0, kBool, "Take away what is damaged, so that the next load or pull brings it"},
};
constexpr Flag kGc[] = {
    {"budget", 0, FlagKind::kBytes,
     "Bytes that the store may have, like 20GB, instead of storage-budget's"},
    {"dry-run", 'n', kBool, "Only say what would go, and why"},
    {"verbose", 'v', kBool, "Say of everything why it goes or stays"},
};
constexpr Flag kDu[] = {
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
    {"no-trunc", 0, kBool, "Whole ids, and everybody that shares"},
};

std::string familiar(const std::string& tag) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(tag);
  return reference ? reference->familiar() : tag;
}

std::string counted(uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string item_line(std::string_view verb, uint64_t bytes, const std::string& what,
                      const std::string& why) {
  return fmt::format("{:<6} {:>8}  {}: {}\n", verb, human_size(bytes), what, why);
}

std::string item_lines(const std::vector<store::Collected::Item>& items, std::string_view verb) {
  std::string text;
  for (const store::Collected::Item& item : items)
    text += item_line(verb, item.bytes, item.what, item.why);
  return text;
}

// A line for each object of a collection, as they come, some thousand at once.
class ObjectLines {
 public:
  explicit ObjectLines(std::string_view free) : free_(free) {}
  Result<void> take(const store::ObjectFate& fate) {
    text_ += item_line(fate.goes ? free_ : "keep", fate.bytes, fate.what, fate.why);
    return text_.size() < kPrinted ? Result<void>() : finish();
  }
  Result<void> finish() {
    const std::string text = std::exchange(text_, {});
    return text.empty() ? Result<void>() : print(text);
  }

 private:
  static constexpr size_t kPrinted = 256u << 10;
  std::string_view free_;
  std::string text_;
};

// "web:1 (120MB), web:0 (118MB) and 2 more".
std::string shared_words(const store::ImageUsage& usage, bool whole) {
  constexpr size_t kShown = 2;
  std::vector<std::string> words;
  for (const store::ImageUsage::Shared& shared : usage.shared) {
    if (!whole && words.size() == kShown) break;
    words.push_back(fmt::format("{} ({})", shared.with, human_size(shared.bytes)));
  }
  std::string text = join(words, ", ");
  if (words.size() < usage.shared.size())
    text += fmt::format(" and {} more", usage.shared.size() - words.size());
  return text;
}

Row usage_row(const store::ImageUsage& usage, bool whole) {
  Row row;
  row.fields["Image"] = usage.names.empty() ? std::string("<none>") : familiar(usage.names.front());
  row.fields["ID"] = whole ? usage.id : usage.id.substr(7, 12);
  row.fields["Size"] = human_size(usage.size);
  row.fields["Alone"] = human_size(usage.alone);
  row.fields["Shared"] = human_size(usage.size - usage.alone);
  row.fields["Files"] = std::to_string(usage.objects);
  row.fields["SharedWith"] = shared_words(usage, whole);
  return row;
}

}  // namespace

constinit const FlagTable kFsckFlags{kFsck, {}};
constinit const FlagTable kGcFlags{kGc, {}};
constinit const FlagTable kDuFlags{kDu, {}};

Result<int> check_store(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::FsckReport report,
      engine->fsck({call.flags.boolean("quick"), call.flags.boolean("repair")}));
  std::string text;
  for (const std::string& problem : report.problems) text += printable(problem) + "\n";
  for (const std::string& repair : report.repairs) text += "repaired: " + repair + "\n";
  for (const std::string& image : report.damaged)
    text += "damaged: " + familiar(image) + "; load or pull it again\n";
  text += fmt::format("{}, {}, {}, {}, {} read: {}\n", counted(report.images, "image"),
                      counted(report.layers, "layer"), counted(report.objects, "object"),
                      counted(report.blobs, "blob"), human_size(report.bytes),
                      report.problems.empty() ? std::string("no problems")
                                              : counted(report.problems.size(), "problem"));
  TRY_VOID(print(text));
  return report.problems.empty() ? 0 : 1;
}

Result<int> collect_garbage(Invocation& call) {
  store::CollectOptions options;
  options.dry_run = call.flags.boolean("dry-run");
  options.budget = call.context.config.storage_budget;
  if (call.flags.has("budget")) {
    const int64_t budget = call.flags.bytes("budget");
    if (budget <= 0)
      return Error(ErrorKind::kInvalidArgument, "a budget must be larger than nothing")
          .set_hint("write it like 20GB or 500m");
    options.budget = static_cast<uint64_t>(budget);
  }
  const bool verbose = call.flags.boolean("verbose");
  const char* const free = options.dry_run ? "free" : "freed";
  options.every_object = verbose;
  ObjectLines lines(free);
  if (options.dry_run || verbose)
    options.object = [&](const store::ObjectFate& fate) { return lines.take(fate); };
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Collected collected, engine->collect(options));
  TRY_VOID(lines.finish());
  std::string text;
  if (options.dry_run || verbose) text += item_lines(collected.freed, free);
  if (verbose) text += item_lines(collected.kept, "keep");
  text += fmt::format("{} {} in {}, the store {} {}\n", options.dry_run ? "would free" : "freed",
                      human_size(collected.bytes),
                      counted(collected.freed.size() + collected.objects, "item"),
                      options.dry_run ? "would have" : "has", human_size(collected.total));
  TRY_VOID(print(text));
  if (options.budget != 0 && collected.total > options.budget)
    call.context.warn({fmt::format("the budget of {} is not met: what is left is in use",
                                   human_size(options.budget))});
  return 0;
}

Result<int> show_usage(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<store::ImageUsage> usages, engine->image_usage());
  std::vector<std::string> wanted;
  for (const std::string& name : call.arguments()) {
    TRY(store::Image image, engine->image(name));
    wanted.push_back(image.id.str());
  }
  std::vector<Row> rows;
  for (const store::ImageUsage& usage : usages)
    if (wanted.empty() || std::ranges::find(wanted, usage.id) != wanted.end())
      rows.push_back(usage_row(usage, call.flags.boolean("no-trunc")));
  TRY_VOID(print_rows(call.flags.text("format"),
                      "{{.Image}}\t{{.ID}}\t{{.Size}}\t{{.Alone}}\t{{.SharedWith}}",
                      {{"Image", "IMAGE"},
                       {"ID", "IMAGE ID"},
                       {"Size", "SIZE"},
                       {"Alone", "ALONE"},
                       {"Shared", "SHARED"},
                       {"Files", "FILES"},
                       {"SharedWith", "SHARED WITH"}},
                      rows));
  return 0;
}

}  // namespace wherry::cli
