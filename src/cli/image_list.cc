// images and history.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cli/image_commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/rows.h"
#include "oci/image.h"
#include "oci/reference.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;
constexpr size_t kCreatedByWidth = 45;
constexpr const char* kNone = "<none>";

constexpr Flag kImages[] = {
    {"all", 'a', kBool, "All images (there are no hidden ones here)"},
    {"digests", 0, kBool, "Show the digests that repositories know"},
    {"filter", 'f', FlagKind::kList,
     "Only those that match: reference=PATTERN, dangling=BOOL, label=KEY"},
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
    {"no-trunc", 0, kBool, "Whole ids"},
    {"quiet", 'q', kBool, "Only ids"},
};
constexpr RefusedFlag kImagesLater[] = {{"tree"}};

constexpr Flag kHistory[] = {
    {"format", 0, kString, "table, json, a template, or 'table TEMPLATE'"},
    {"human", 'H', kBool, "Sizes and times in words", "true"},
    {"no-trunc", 0, kBool, "Whole ids and commands"},
    {"quiet", 'q', kBool, "Only ids"},
};
constexpr RefusedFlag kPlatform[] = {{"platform"}};

using Filters = std::vector<std::pair<std::string, std::string>>;

// One line of the listing: an image under one of its names, or under none.
struct NamedImage {
  const store::Image* image;
  std::string repository = kNone;
  std::string tag = kNone;
};

std::vector<NamedImage> by_name(const std::vector<store::Image>& images) {
  std::vector<NamedImage> all;
  for (const store::Image& image : images) {
    for (const std::string& stored : image.tags) {
      Result<oci::ImageRef> reference = oci::ImageRef::parse(stored);
      if (!reference) continue;
      all.push_back({&image, reference->familiar_repository(), reference->tag().value_or(kNone)});
    }
    if (image.tags.empty()) all.push_back({&image});
  }
  return all;
}

bool matches_reference(const NamedImage& named, const std::string& pattern) {
  if (named.repository == kNone) return false;
  std::string whole = named.repository + ":" + named.tag;
  return fnmatch(pattern.c_str(), named.repository.c_str(), FNM_PATHNAME) == 0 ||
         fnmatch(pattern.c_str(), whole.c_str(), FNM_PATHNAME) == 0;
}

bool matches_label(const store::Image& image, std::string_view wanted) {
  Result<oci::ImageConfig> config = oci::parse_image_config(image.config_json);
  if (!config) return false;
  auto [key, value] = split_once(wanted, '=');
  auto found = config->config.labels.find(std::string(key));
  return found != config->config.labels.end() && (!value || found->second == *value);
}

// The same key repeated: any of the values; different keys: all of them.
Result<bool> selected(const NamedImage& named, const Filters& filters) {
  for (std::string_view key : {"reference", "dangling", "label"}) {
    bool asked = false;
    bool matched = false;
    for (const auto& [name, value] : filters) {
      if (name != key) continue;
      asked = true;
      if (key == "reference") {
        matched = matched || matches_reference(named, value);
      } else if (key == "label") {
        matched = matched || matches_label(*named.image, value);
      } else {
        auto wanted = parse_boolean(value);
        if (!wanted)
          return Error(ErrorKind::kInvalidArgument,
                       fmt::format("invalid filter 'dangling={}'", value));
        matched = matched || *wanted == (named.repository == kNone);
      }
    }
    if (asked && !matched) return false;
  }
  return true;
}

Result<void> check_filters(const Filters& filters) {
  constexpr std::string_view kKeys[] = {"reference", "dangling", "label"};
  for (const auto& [key, value] : filters) {
    if (std::ranges::find(kKeys, key) != std::end(kKeys)) continue;
    if (key == "before" || key == "since" || key == "until")
      return Error(ErrorKind::kUnsupported, fmt::format("filter '{}' is not supported yet", key));
    Error error(ErrorKind::kInvalidArgument, fmt::format("invalid filter '{}'", key));
    if (auto near = nearest(key, kKeys)) error.set_hint(fmt::format("did you mean '{}'?", *near));
    return error;
  }
  return {};
}

// The repository's own digest of the image; one that was made here and never pushed has none.
std::string digest_of(const NamedImage& named) {
  for (const std::string& known : named.image->repo_digests) {
    Result<oci::ImageRef> reference = oci::ImageRef::parse(known);
    if (reference && reference->familiar_repository() == named.repository)
      return reference->digest()->str();
  }
  return kNone;
}

// What the image adds to the one it stands on and, where that is not all, what it has with
// everything below.
std::string size_words(const store::Image& image) {
  if (image.own_size >= image.size) return human_size(image.size);
  return fmt::format("{} (virtual {})", human_size(image.own_size), human_size(image.size));
}

Row image_row(const NamedImage& named, bool whole, int64_t now_ns) {
  const store::Image& image = *named.image;
  Row row;
  row.fields["Repository"] = named.repository;
  row.fields["Tag"] = named.tag;
  row.fields["Digest"] = digest_of(named);
  row.fields["ID"] = whole ? image.id.str() : std::string(image.id.short_hex());
  row.fields["CreatedSince"] =
      human_duration(std::max<int64_t>(0, now_ns - image.created_ns)) + " ago";
  row.fields["CreatedAt"] = listing_time(image.created_ns);
  row.fields["Size"] = human_size(image.size);
  row.fields["VirtualSize"] = human_size(image.size);
  row.fields["Sizes"] = size_words(image);
  row.fields["UniqueSize"] = human_size(image.unique_size);
  row.fields["SharedSize"] = human_size(image.size - std::min(image.size, image.unique_size));
  return row;
}

const Json& image_headings() {
  static const Json headings = {{"Repository", "REPOSITORY"},
                                {"Tag", "TAG"},
                                {"Digest", "DIGEST"},
                                {"ID", "IMAGE ID"},
                                {"CreatedSince", "CREATED"},
                                {"CreatedAt", "CREATED AT"},
                                {"Size", "SIZE"},
                                {"Sizes", "SIZE"},
                                {"VirtualSize", "VIRTUAL SIZE"},
                                {"UniqueSize", "UNIQUE SIZE"},
                                {"SharedSize", "SHARED SIZE"}};
  return headings;
}

struct HistoryOptions {
  bool whole = false;
  bool human = true;
};

Row history_row(const oci::History& step, uint64_t size, const HistoryOptions& options,
                int64_t now_ns) {
  int64_t created = parse_rfc3339(step.created).value_or(0);
  std::string since = human_duration(std::max<int64_t>(0, now_ns - created)) + " ago";
  if (step.created.empty()) since = "N/A";
  std::string command = printable(step.created_by);
  Row row;
  row.fields["ID"] = "<missing>";
  row.fields["CreatedSince"] = options.human ? since : step.created;
  row.fields["CreatedAt"] = step.created;
  row.fields["CreatedBy"] = options.whole ? command : ellipsis(command, kCreatedByWidth);
  row.fields["Size"] = options.human ? human_size(size) : std::to_string(size);
  row.fields["Comment"] = printable(step.comment);
  return row;
}

// Newest step first. A step that made no layer has no size; layers without a step have no words.
std::vector<Row> history_rows(const store::Image& image, const oci::ImageConfig& config,
                              const std::vector<uint64_t>& sizes, const HistoryOptions& options) {
  std::vector<Row> rows;
  size_t layer = 0;
  int64_t now = wall_clock_ns();
  for (const oci::History& step : config.history) {
    bool has_layer = !step.empty_layer && layer < sizes.size();
    rows.push_back(history_row(step, has_layer ? sizes[layer] : 0, options, now));
    if (has_layer) ++layer;
  }
  for (; layer < sizes.size(); ++layer)
    rows.push_back(history_row(oci::History{}, sizes[layer], options, now));
  std::ranges::reverse(rows);
  if (!rows.empty())
    rows[0].fields["ID"] = options.whole ? image.id.str() : std::string(image.id.short_hex());
  return rows;
}

}  // namespace

constinit const FlagTable kImagesFlags{kImages, kImagesLater};
constinit const FlagTable kHistoryFlags{kHistory, kPlatform};

Result<int> list_images(Invocation& call) {
  TRY(Filters filters, parse_filters(call.flags));
  TRY_VOID(check_filters(filters));
  if (!call.arguments().empty()) filters.emplace_back("reference", call.arguments()[0]);
  TRY(engine::Engine * engine, call.context.engine());
  TRY(std::vector<store::Image> images, engine->images());
  std::vector<Row> rows;
  int64_t now = wall_clock_ns();
  for (const NamedImage& named : by_name(images)) {
    TRY(bool wanted, selected(named, filters));
    if (wanted) rows.push_back(image_row(named, call.flags.boolean("no-trunc"), now));
  }
  std::string format = call.flags.text("format");
  if (format.empty() && call.flags.boolean("quiet")) format = "{{.ID}}";
  TRY_VOID(print_rows(format,
                      call.flags.boolean("digests")
                          ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t"
                            "{{.Sizes}}"
                          : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Sizes}}",
                      image_headings(), rows));
  return 0;
}

Result<int> show_history(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(store::Image image, engine->image(call.arguments()[0]));
  TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
  TRY(std::vector<uint64_t> sizes, engine->layer_sizes(image));
  HistoryOptions options{call.flags.boolean("no-trunc"), call.flags.boolean("human")};
  std::string format = call.flags.text("format");
  if (format.empty() && call.flags.boolean("quiet")) format = "{{.ID}}";
  TRY_VOID(print_rows(format, "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                      {{"ID", "IMAGE"},
                       {"CreatedSince", "CREATED"},
                       {"CreatedAt", "CREATED AT"},
                       {"CreatedBy", "CREATED BY"},
                       {"Size", "SIZE"},
                       {"Comment", "COMMENT"}},
                      history_rows(image, config, sizes, options)));
  return 0;
}

}  // namespace wherry::cli
