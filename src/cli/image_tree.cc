// diff and image tree: what is in images, and in one and not in the other.
#include <fmt/format.h>

#include <functional>

#include "base/clock.h"
#include "base/text.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/store_commands.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;

constexpr Flag kDiff[] = {
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
    {"stat", 0, kBool, "Only how many and how large"},
};
constexpr Flag kTree[] = {
    {"digest", 0, kBool, "Only the digest of the tree"},
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
};

std::string_view type_name(tree::Type type) {
  switch (type) {
    case tree::Type::kDirectory:
      return "directory";
    case tree::Type::kFile:
      return "file";
    case tree::Type::kSymlink:
      return "symlink";
    case tree::Type::kCharDevice:
      return "character device";
    case tree::Type::kBlockDevice:
      return "block device";
    case tree::Type::kFifo:
      return "fifo";
    case tree::Type::kSocket:
      return "socket";
    case tree::Type::kWhiteout:
      return "whiteout";
  }
  return "";
}

// As ls -l has it: "drwxr-xr-x".
std::string mode_words(const tree::Entry& entry) {
  static constexpr std::string_view kTypes = "?d-lcbps?";
  std::string words(1, kTypes[static_cast<size_t>(entry.type) % kTypes.size()]);
  for (int shift : {6, 3, 0}) {
    unsigned bits = entry.mode >> shift & 7u;
    words += (bits & 4) != 0 ? 'r' : '-';
    words += (bits & 2) != 0 ? 'w' : '-';
    words += (bits & 1) != 0 ? 'x' : '-';
  }
  auto mark = [&](unsigned bit, size_t at, char set) {
    if ((entry.mode & bit) != 0)
      words[at] = words[at] == 'x' ? set : static_cast<char>(set - 'a' + 'A');
  };
  mark(04000, 3, 's');
  mark(02000, 6, 's');
  mark(01000, 9, 't');
  return words;
}

std::string shown_path(const tree::Entry& entry) {
  std::string path = "/" + printable(std::string(entry.path));
  if (entry.type == tree::Type::kSymlink) path += " -> " + printable(std::string(entry.target));
  return path;
}

std::string what_words(uint16_t what) {
  static constexpr std::pair<tree::What, std::string_view> kWords[] = {
      {tree::kType, "type"},     {tree::kContent, "content"}, {tree::kTarget, "target"},
      {tree::kDevice, "device"}, {tree::kMode, "mode"},       {tree::kOwner, "owner"},
      {tree::kTime, "time"},     {tree::kXattrs, "xattrs"},   {tree::kLinks, "links"}};
  std::vector<std::string> words;
  for (auto [bit, word] : kWords)
    if ((what & bit) != 0) words.emplace_back(word);
  return join(words, ",");
}

uint64_t size_of(const tree::Entry* entry) {
  return entry != nullptr && entry->type == tree::Type::kFile ? entry->size : 0;
}

// What one comparison adds up to.
struct Sums {
  uint64_t added = 0, removed = 0, changed = 0;
  uint64_t bytes_added = 0, bytes_removed = 0;

  void add(const tree::Difference& difference) {
    ++(difference.before == nullptr ? added : difference.after == nullptr ? removed : changed);
    const bool content = difference.before == nullptr || difference.after == nullptr ||
                         (difference.what & (tree::kContent | tree::kType)) != 0;
    if (!content) return;
    bytes_added += size_of(difference.after);
    bytes_removed += size_of(difference.before);
  }
  std::string line() const {
    return fmt::format("{} added, {} removed, {} changed; {} in, {} out\n", added, removed, changed,
                       human_size(bytes_added), human_size(bytes_removed));
  }
};

Row difference_row(const tree::Difference& difference) {
  Row row;
  const tree::Entry* shown = difference.before != nullptr ? difference.before : difference.after;
  if (shown == nullptr) return row;
  const tree::Entry& entry = *shown;
  const char* kind = difference.before == nullptr ? "A" : difference.after == nullptr ? "D" : "C";
  row.fields["Kind"] = kind;
  row.fields["Path"] = "/" + printable(std::string(entry.path));
  row.fields["Before"] = size_of(difference.before);
  row.fields["After"] = size_of(difference.after);
  row.fields["What"] = difference.before != nullptr && difference.after != nullptr
                           ? what_words(difference.what)
                           : std::string(type_name(entry.type));
  const auto after = static_cast<int64_t>(size_of(difference.after));
  const auto before = static_cast<int64_t>(size_of(difference.before));
  const int64_t delta = after - before;
  row.fields["Size"] =
      delta == 0 ? std::string("0B")
                 : fmt::format("{}{}", delta < 0 ? "-" : "+",
                               human_size(static_cast<uint64_t>(delta < 0 ? -delta : delta)));
  return row;
}

Row entry_row(const tree::Entry& entry) {
  Row row;
  row.fields["Mode"] = mode_words(entry);
  row.fields["Owner"] = fmt::format("{}:{}", entry.uid, entry.gid);
  const bool device =
      entry.type == tree::Type::kCharDevice || entry.type == tree::Type::kBlockDevice;
  row.fields["Size"] = device ? fmt::format("{}, {}", entry.device_major, entry.device_minor)
                              : std::to_string(entry.size);
  row.fields["Time"] = format_rfc3339(entry.mtime_s * 1'000'000'000 + entry.mtime_ns);
  row.fields["Path"] = shown_path(entry);
  row.fields["Digest"] = std::string();
  if (entry.type == tree::Type::kFile && entry.size > 0) {
    std::string digest = "sha256:";
    for (uint8_t byte : entry.object) digest += fmt::format("{:02x}", byte);
    row.fields["Digest"] = digest;
  }
  return row;
}

// What diff prints, in one of its forms.
class Listing {
 public:
  // `layout`: of the lines when no other is asked for.
  Listing(const Invocation& call, std::string layout)
      : stat_(call.flags.boolean("stat")), format_(call.flags.text("format")) {
    if (format_.empty()) format_ = std::move(layout);
  }
  std::function<Result<void>(const tree::Difference&)> sink() {
    return [this](const tree::Difference& found) -> Result<void> {
      sums_.add(found);
      if (!stat_) rows_.push_back(difference_row(found));
      return {};
    };
  }
  Result<int> print() const {
    TRY_VOID(stat_ ? cli::print(sums_.line())
                   : print_rows(format_, "{{.Kind}}\t{{.Path}}\t{{.Size}}\t{{.What}}",
                                {{"Kind", "KIND"},
                                 {"Path", "PATH"},
                                 {"Size", "SIZE"},
                                 {"Before", "BEFORE"},
                                 {"After", "AFTER"},
                                 {"What", "WHAT"}},
                                rows_));
    return 0;
  }

 private:
  bool stat_;
  std::string format_;
  Sums sums_;
  std::vector<Row> rows_;
};

Result<store::Image> compared_image(engine::Engine& engine, const std::string& name) {
  Result<store::Image> image = engine.image(name);
  if (!image && image.error().kind() == ErrorKind::kNotFound && engine.inspect(name))
    image.error().set_hint("a container is compared with its own image: wherry diff CONTAINER");
  return image;
}

bool is_below(std::string_view path, std::string_view folder) {
  return folder.empty() || path == folder ||
         (path.starts_with(folder) && path.substr(folder.size()).starts_with('/'));
}

}  // namespace

constinit const FlagTable kDiffFlags{kDiff, {}};
constinit const FlagTable kTreeFlags{kTree, {}};

Result<int> show_differences(Invocation& call) {
  if (call.arguments().size() == 1) return show_changes(call);
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image before, compared_image(*engine, call.arguments()[0]));
  TRY(store::Image after, compared_image(*engine, call.arguments()[1]));
  Listing listing(call, "{{.Kind}} {{.Path}}\t{{.Size}}\t{{.What}}");
  TRY_VOID(engine->differences(before, after, listing.sink()));
  return listing.print();
}

Result<int> show_changes(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  const std::string& name = call.arguments()[0];
  Listing listing(call, "{{.Kind}} {{.Path}}");
  Result<void> told = engine->changes(name, listing.sink());
  if (!told && told.error().kind() == ErrorKind::kNotFound && engine->image(name))
    told.error().set_hint("an image is compared with another: wherry diff IMAGE IMAGE");
  TRY_VOID(told);
  return listing.print();
}

Result<int> show_image_tree(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image image, engine->image(call.arguments()[0]));
  TRY(std::string digest, engine->tree_digest(image));
  if (call.flags.boolean("digest")) {
    TRY_VOID(print(digest + "\n"));
    return 0;
  }
  std::string folder = call.arguments().size() > 1 ? call.arguments()[1] : std::string();
  while (folder.starts_with('/')) folder.erase(0, 1);
  while (folder.ends_with('/')) folder.pop_back();
  std::vector<Row> rows;
  TRY_VOID(engine->walk_image(image, [&](const tree::Entry& entry) -> Result<void> {
    if (is_below(entry.path, folder)) rows.push_back(entry_row(entry));
    return {};
  }));
  if (rows.empty() && !folder.empty())
    return Error(ErrorKind::kNotFound,
                 fmt::format("no '/{}' in image '{}'", printable(folder), call.arguments()[0]));
  const std::string format = call.flags.text("format");
  if (format.empty()) TRY_VOID(print("tree " + digest + "\n"));
  TRY_VOID(
      print_rows(format.empty() ? "{{.Mode}}\t{{.Owner}}\t{{.Size}}\t{{.Time}}\t{{.Path}}" : format,
                 "{{.Mode}}\t{{.Owner}}\t{{.Size}}\t{{.Time}}\t{{.Path}}",
                 {{"Mode", "MODE"},
                  {"Owner", "OWNER"},
                  {"Size", "SIZE"},
                  {"Time", "TIME"},
                  {"Digest", "DIGEST"},
                  {"Path", "PATH"}},
                 rows));
  return 0;
}

}  // namespace wherry::cli
