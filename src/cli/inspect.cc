// inspect, of containers and images: Docker's documents, or a template over each.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/image_commands.h"
#include "cli/image_document.h"
#include "cli/output.h"
#include "cli/template.h"
#include "cli/volume_commands.h"

namespace wherry::cli {
namespace {

constexpr auto kString = FlagKind::kString;

constexpr Flag kInspect[] = {
    {"format", 'f', kString, "json, or a template over each object"},
    {"type", 0, kString, "Only objects of this type: container, image or volume"},
};
constexpr Flag kInspectOne[] = {{"format", 'f', kString, "json, or a template over each object"}};
constexpr RefusedFlag kInspectLater[] = {{"size", 's'}, {"platform"}};

// Fields of Docker's model that are absent (nil there) when they do not apply.
constexpr std::string_view kOptional[] = {"Health",      "Healthcheck", "SizeRw", "SizeRootFs",
                                          "GraphDriver", "StopTimeout", "Shell"};

enum class Kind { kAny, kContainer, kImage, kVolume };

Result<Json> container_document(Context& context, const std::string& name) {
  TRY(engine::Engine * engine, context.engine());
  TRY(engine::ContainerRecord record, engine->inspect(name));
  TRY(engine::Engine::LogFile log, engine->log(record.id, false));
  Json document =
      Json::parse(engine::inspect_json(record, log.path, context.config.data_root), nullptr, false);
  if (document.is_discarded())
    return Error(ErrorKind::kInternal, fmt::format("the record of '{}' is no JSON", name));
  return document;
}

Result<Json> find_image_document(Context& context, const std::string& name) {
  TRY(engine::Engine * engine, context.engine());
  TRY(store::Image image, engine->image(name));
  return image_document(image);
}

Result<Json> find_volume_document(Context& context, const std::string& name) {
  TRY(engine::Engine * engine, context.engine());
  TRY(engine::Volume volume, engine->volume(name));
  return Json::parse(engine::volume_inspect_json(volume));
}

Result<Json> find_document(Context& context, const std::string& name, Kind kind) {
  if (kind == Kind::kImage) return find_image_document(context, name);
  if (kind == Kind::kVolume) return find_volume_document(context, name);
  Result<Json> document = container_document(context, name);
  if (document || kind == Kind::kContainer || document.error().kind() != ErrorKind::kNotFound)
    return document;
  document = find_image_document(context, name);
  if (document || document.error().kind() != ErrorKind::kNotFound) return document;
  document = find_volume_document(context, name);
  if (document || document.error().kind() != ErrorKind::kNotFound) return document;
  return Error(ErrorKind::kNotFound, fmt::format("No such object: {}", name));
}

Result<int> inspect(Invocation& call, Kind kind) {
  std::string format = call.flags.text("format");
  bool plain = format.empty();
  TRY(Template program, Template::parse(format == "json" ? "{{json .}}" : format));
  TemplateContext optional;
  optional.optional_fields = kOptional;
  std::string text;
  Json documents = Json::array();
  int code = 0;
  std::vector<Error> errors;
  for (const std::string& name : call.arguments()) {
    Result<Json> document = find_document(call.context, name, kind);
    if (!document) {
      errors.push_back(std::move(document.error()));
      continue;
    }
    if (plain) {
      documents.push_back(std::move(*document));
      continue;
    }
    Result<std::string> line = program.render(*document, optional);
    if (line)
      text += *line + "\n";
    else
      errors.push_back(std::move(line.error()));
  }
  if (plain) text = documents.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
  TRY_VOID(print(text));
  for (const Error& error : errors) {
    report_error(error);
    code = 1;
  }
  return code;
}

}  // namespace

constinit const FlagTable kInspectFlags{kInspect, kInspectLater};
constinit const FlagTable kInspectOneFlags{kInspectOne, kInspectLater};
constinit const FlagTable kVolumeInspectFlags{kInspectOne};

Result<int> inspect_any(Invocation& call) {
  std::string type = call.flags.text("type");
  if (type == "container") return inspect(call, Kind::kContainer);
  if (type == "image") return inspect(call, Kind::kImage);
  if (type == "volume") return inspect(call, Kind::kVolume);
  if (type.empty()) return inspect(call, Kind::kAny);
  for (std::string_view later : {"network", "node", "plugin", "secret", "service", "task"})
    if (type == later)
      return Error(ErrorKind::kUnsupported, fmt::format("'--type {}' is not supported yet", type))
          .set_hint("use container, image or volume");
  return Error(ErrorKind::kInvalidArgument,
               fmt::format("\"{}\" is not a valid value for --type", type))
      .set_hint("use container, image or volume");
}

Result<int> inspect_containers(Invocation& call) {
  return inspect(call, Kind::kContainer);
}
Result<int> inspect_volumes(Invocation& call) {
  return inspect(call, Kind::kVolume);
}
Result<int> inspect_images(Invocation& call) {
  return inspect(call, Kind::kImage);
}

}  // namespace wherry::cli
