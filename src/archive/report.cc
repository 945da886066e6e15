// The reports of wherry-unpack: JSON, one object. Read by a process that does not trust its writer.
#include <nlohmann/json.hpp>

#include "archive/objects.h"
#include "archive/outline.h"
#include "archive/pack.h"
#include "archive/rebuild.h"
#include "archive/unpack.h"

namespace wherry::archive {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxOffset = INT64_MAX;

Error bad_report() {
  return Error(ErrorKind::kInternal, "wherry-unpack ended without a report that can be read");
}

// Paths are bytes, JSON is not: each byte becomes the code point of its number.
std::string to_latin(const std::string& bytes) {
  std::string text;
  for (unsigned char c : bytes) {
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else {
      text += static_cast<char>(0xc0 | c >> 6);
      text += static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return text;
}

std::string from_latin(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80 && i + 1 < text.size())
      c = static_cast<unsigned char>((c & 0x03) << 6 | (text[++i] & 0x3f));
    bytes += static_cast<char>(c);
  }
  return bytes;
}

Error error_of(const json& object) {
  if (!object.is_object()) return bad_report();
  std::string kind = object.contains("kind") && object["kind"].is_string() ? object["kind"] : "";
  std::string message =
      object.contains("message") && object["message"].is_string() ? object["message"] : "";
  int errnum = object.contains("errno") && object["errno"].is_number_integer()
                   ? object["errno"].get<int>()
                   : 0;
  std::string hint = object.contains("hint") && object["hint"].is_string() ? object["hint"] : "";
  return Error(kind_from_name(kind), message).set_errnum(errnum).set_hint(hint);
}

Result<uint64_t> number(const json& object, const char* key) {
  if (!object.is_object()) return bad_report();
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return bad_report();
  return found->get<uint64_t>();
}

Result<Digest> digest(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return bad_report();
  return Digest::parse(found->get_ref<const std::string&>());
}

Result<Compression> compression(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return bad_report();
  auto known = compression_from_name(found->get_ref<const std::string&>());
  if (!known) return bad_report();
  return *known;
}

json error_report(const Error& error) {
  return {{"error",
           {{"kind", std::string(kind_name(error.kind()))},
            {"errno", error.errnum()},
            {"message", error.message()},
            {"hint", error.hint()}}}};
}

std::string text_of(const json& report) {
  return report.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The object of a run that went well.
Result<json> parse_object(const std::string& text) {
  json report = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (report.is_discarded() || !report.is_object()) return bad_report();
  if (report.contains("error")) return error_of(report["error"]);
  return report;
}

// What a layer is, whichever way it went.
template <typename Layer>
json layer_report(const Layer& layer) {
  return {{"diff_id", layer.diff_id.str()}, {"tar_size", layer.tar_size},
          {"files_size", layer.files_size}, {"entries", layer.entries},
          {"blob", layer.blob.str()},       {"blob_size", layer.blob_size}};
}

template <typename Layer>
Result<void> read_sizes(const json& report, Layer& layer) {
  TRY(layer.tar_size, number(report, "tar_size"));
  TRY(layer.files_size, number(report, "files_size"));
  TRY(layer.entries, number(report, "entries"));
  TRY(layer.blob_size, number(report, "blob_size"));
  return {};
}

json unpacked_report(const Unpacked& unpacked) {
  json report = layer_report(unpacked);
  report["dropped_xattrs"] = unpacked.dropped_xattrs;
  report["replaced"] = unpacked.replaced;
  report["opaque"] = json::array();
  for (const std::string& path : unpacked.opaque) report["opaque"].push_back(to_latin(path));
  report["input"] = unpacked.input.str();
  report["input_size"] = unpacked.input_size;
  report["blob_compression"] = compression_name(unpacked.blob_compression);
  report["archive"] = unpacked.archive;
  return report;
}

Result<Unpacked> read_unpacked(const json& report) {
  TRY(Digest diff_id, digest(report, "diff_id"));
  TRY(Digest input, digest(report, "input"));
  TRY(Digest blob, digest(report, "blob"));
  Unpacked unpacked{.diff_id = diff_id, .input = input, .blob = blob};
  TRY_VOID(read_sizes(report, unpacked));
  TRY(unpacked.dropped_xattrs, number(report, "dropped_xattrs"));
  TRY(unpacked.replaced, number(report, "replaced"));
  TRY(unpacked.input_size, number(report, "input_size"));
  TRY(unpacked.blob_compression, compression(report, "blob_compression"));
  if (!report.contains("archive") || !report["archive"].is_boolean()) return bad_report();
  unpacked.archive = report["archive"].get<bool>();
  if (!report.contains("opaque") || !report["opaque"].is_array()) return bad_report();
  for (const json& path : report["opaque"]) {
    if (!path.is_string()) return bad_report();
    unpacked.opaque.push_back(from_latin(path.get_ref<const std::string&>()));
  }
  return unpacked;
}

}  // namespace

std::string report_of(const Result<Unpacked>& result) {
  return text_of(result ? unpacked_report(*result) : error_report(result.error()));
}

Result<Unpacked> parse_unpack_report(const std::string& text) {
  TRY(json report, parse_object(text));
  return read_unpacked(report);
}

std::string report_of(const Result<Outline>& result) {
  if (!result) return text_of(error_report(result.error()));
  json left = json::array();
  for (const LeftFile& file : result->left)
    left.push_back({{"inode", file.inode}, {"offset", file.part.offset}, {"size", file.part.size}});
  return text_of({{"replaced", result->replaced}, {"left", std::move(left)}});
}

Result<Outline> parse_outline_report(const std::string& text) {
  TRY(json report, parse_object(text));
  Outline outline;
  TRY(outline.replaced, number(report, "replaced"));
  if (!report.contains("left") || !report["left"].is_array()) return bad_report();
  for (const json& file : report["left"]) {
    LeftFile left;
    TRY(left.inode, number(file, "inode"));
    TRY(left.part.offset, number(file, "offset"));
    TRY(left.part.size, number(file, "size"));
    // What can be an offset in a file.
    if (left.part.offset > kMaxOffset || left.part.size > kMaxOffset - left.part.offset)
      return bad_report();
    outline.left.push_back(left);
  }
  return outline;
}

std::string report_of(const Result<UnpackedObjects>& result) {
  if (!result) return text_of(error_report(result.error()));
  json report = unpacked_report(result->layer);
  report["new_objects"] = result->new_objects;
  report["new_bytes"] = result->new_bytes;
  report["record"] = result->record.str();
  report["record_entries"] = result->record_entries;
  return text_of(report);
}

Result<UnpackedObjects> parse_objects_report(const std::string& text) {
  TRY(json report, parse_object(text));
  TRY(Unpacked layer, read_unpacked(report));
  TRY(Digest record, digest(report, "record"));
  UnpackedObjects unpacked{.layer = std::move(layer), .record = record};
  TRY(unpacked.new_objects, number(report, "new_objects"));
  TRY(unpacked.new_bytes, number(report, "new_bytes"));
  TRY(unpacked.record_entries, number(report, "record_entries"));
  return unpacked;
}

std::string report_of(const Result<Rebuilt>& result) {
  if (!result) return text_of(error_report(result.error()));
  return text_of({{"diff_id", result->diff_id.str()},
                  {"tar_size", result->tar_size},
                  {"blob", result->blob.str()},
                  {"blob_size", result->blob_size}});
}

Result<Rebuilt> parse_rebuild_report(const std::string& text) {
  TRY(json report, parse_object(text));
  TRY(Digest diff_id, digest(report, "diff_id"));
  TRY(Digest blob, digest(report, "blob"));
  Rebuilt rebuilt{.diff_id = diff_id, .blob = blob};
  TRY(rebuilt.tar_size, number(report, "tar_size"));
  TRY(rebuilt.blob_size, number(report, "blob_size"));
  return rebuilt;
}

std::string report_of(const Result<Packed>& result) {
  if (!result) return text_of(error_report(result.error()));
  json report = layer_report(*result);
  if (result->record) {
    report["record"] = result->record->str();
    report["record_entries"] = result->record_entries;
  }
  return text_of(report);
}

Result<Packed> parse_pack_report(const std::string& text) {
  TRY(json report, parse_object(text));
  TRY(Digest diff_id, digest(report, "diff_id"));
  TRY(Digest blob, digest(report, "blob"));
  Packed packed{.diff_id = diff_id, .blob = blob, .record = {}};
  TRY_VOID(read_sizes(report, packed));
  if (!report.contains("record")) return packed;
  TRY(packed.record, digest(report, "record"));
  TRY(packed.record_entries, number(report, "record_entries"));
  return packed;
}

}  // namespace wherry::archive
