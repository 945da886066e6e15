// The report of wherry-unpack: JSON, one object. Read by a process that does not trust its writer.
#include <nlohmann/json.hpp>

#include "archive/unpack.h"

namespace wherry::archive {
namespace {

using nlohmann::json;

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
  return Error(kind_from_name(kind), message).set_errnum(errnum);
}

Result<uint64_t> number(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return bad_report();
  return found->get<uint64_t>();
}

}  // namespace

std::string report_of(const Result<Unpacked>& result) {
  json report;
  if (!result) {
    report["error"] = {{"kind", std::string(kind_name(result.error().kind()))},
                       {"errno", result.error().errnum()},
                       {"message", result.error().message()}};
  } else {
    report["diff_id"] = result->diff_id.str();
    report["tar_size"] = result->tar_size;
    report["files_size"] = result->files_size;
    report["entries"] = result->entries;
    report["dropped_xattrs"] = result->dropped_xattrs;
    report["opaque"] = json::array();
    for (const std::string& path : result->opaque) report["opaque"].push_back(to_latin(path));
  }
  return report.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Unpacked> parse_report(const std::string& text) {
  json report = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (report.is_discarded() || !report.is_object()) return bad_report();
  if (report.contains("error")) return error_of(report["error"]);
  if (!report.contains("diff_id") || !report["diff_id"].is_string()) return bad_report();
  TRY(Digest diff_id, Digest::parse(report["diff_id"].get_ref<const std::string&>()));
  Unpacked unpacked{diff_id, 0, 0, 0, 0, {}};
  TRY(unpacked.tar_size, number(report, "tar_size"));
  TRY(unpacked.files_size, number(report, "files_size"));
  TRY(unpacked.entries, number(report, "entries"));
  TRY(unpacked.dropped_xattrs, number(report, "dropped_xattrs"));
  if (!report.contains("opaque") || !report["opaque"].is_array()) return bad_report();
  for (const json& path : report["opaque"]) {
    if (!path.is_string()) return bad_report();
    unpacked.opaque.push_back(from_latin(path.get_ref<const std::string&>()));
  }
  return unpacked;
}

}  // namespace wherry::archive
