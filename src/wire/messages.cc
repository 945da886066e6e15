#include "wire/messages.h"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "oci/json_reader.h"

namespace wherry::wire {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<Operation, const char*>, 11> kOperations = {{
    {Operation::kOpen, "open"},
    {Operation::kLogin, "login"},
    {Operation::kGetManifest, "get_manifest"},
    {Operation::kHeadManifest, "head_manifest"},
    {Operation::kPutManifest, "put_manifest"},
    {Operation::kListTags, "list_tags"},
    {Operation::kHasBlob, "has_blob"},
    {Operation::kMountBlob, "mount_blob"},
    {Operation::kDownload, "download"},
    {Operation::kUpload, "upload"},
    {Operation::kCancel, "cancel"},
}};

constexpr std::array<std::pair<Report::Kind, const char*>, 3> kReports = {{
    {Report::Kind::kProgress, "progress"},
    {Report::Kind::kDone, "done"},
    {Report::Kind::kFailed, "failed"},
}};

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void put(json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}

// Reads an object of ours: absent keys keep the default, wrong types and unknown keys are errors.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  void read(const char* key, std::string& out) { read_if(&json::is_string, key, out); }
  void read(const char* key, bool& out) { read_if(&json::is_boolean, key, out); }
  void read(const char* key, uint64_t& out) { read_if(&json::is_number_unsigned, key, out); }
  void read(const char* key, uint32_t& out) {
    uint64_t wide = out;
    read(key, wide);
    if (wide > std::numeric_limits<uint32_t>::max()) return reject(key);
    out = static_cast<uint32_t>(wide);
  }
  void read(const char* key, std::vector<std::string>& out) {
    const json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return reject(key);
    for (const json& item : *value) {
      if (!item.is_string()) return reject(key);
      out.push_back(item.get<std::string>());
    }
  }
  template <typename Names, typename Value>
  void read_name(const char* key, const Names& names, Value& out) {
    std::string name;
    read(key, name);
    for (const auto& [value, text] : names)
      if (name == text) {
        out = value;
        return;
      }
    reject(key);
  }
  const json* object(const char* key) {
    const json* value = find(key);
    if (value != nullptr && !value->is_object()) reject(key);
    return value != nullptr && value->is_object() ? value : nullptr;
  }
  Result<void> finish(const char* what) {
    for (const auto& [key, value] : object_.items())
      if (!seen_.contains(key)) reject(key);
    if (!wrong_.empty())
      return Error(ErrorKind::kCorrupt,
                   "invalid " + std::string(what) + ": '" + wrong_.substr(0, 100) + "'");
    return {};
  }

 private:
  template <typename Value>
  void read_if(bool (json::*is_of_type)() const noexcept, const char* key, Value& out) {
    const json* value = find(key);
    if (value == nullptr) return;
    if (!(value->*is_of_type)()) return reject(key);
    out = value->get<Value>();
  }
  const json* find(const char* key) {
    seen_.insert(key);
    auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void reject(const std::string& key) {
    if (wrong_.empty()) wrong_ = key;
  }

  const json& object_;
  std::set<std::string> seen_;
  std::string wrong_;
};

Result<void> check_version(Reader& reader) {
  uint64_t version = 0;
  reader.read("v", version);
  if (version == kProtocolVersion) return {};
  return Error(ErrorKind::kUnsupported, "the programs of wherry are of different versions")
      .set_hint("install them together");
}

json opening_json(const Opening& opening) {
  json object = {{"domain", opening.domain},
                 {"base_url", opening.base_url},
                 {"repository", opening.repository},
                 {"actions", opening.actions},
                 {"also_pull", opening.also_pull},
                 {"verify_tls", opening.verify_tls},
                 {"files", opening.files},
                 {"connect_ms", opening.patience.connect_ms},
                 {"stall_ms", opening.patience.stall_ms},
                 {"backoff_ms", opening.patience.backoff_ms}};
  if (opening.has_credentials)
    object["credentials"] = {{"username", opening.username},
                             {"password", opening.password},
                             {"identity_token", opening.identity_token}};
  return object;
}

Result<Opening> read_opening(const json& object) {
  Opening opening;
  Reader reader(object);
  reader.read("domain", opening.domain);
  reader.read("base_url", opening.base_url);
  reader.read("repository", opening.repository);
  reader.read("actions", opening.actions);
  reader.read("also_pull", opening.also_pull);
  reader.read("verify_tls", opening.verify_tls);
  reader.read("files", opening.files);
  reader.read("connect_ms", opening.patience.connect_ms);
  reader.read("stall_ms", opening.patience.stall_ms);
  reader.read("backoff_ms", opening.patience.backoff_ms);
  if (const json* credentials = reader.object("credentials")) {
    opening.has_credentials = true;
    Reader inner(*credentials);
    inner.read("username", opening.username);
    inner.read("password", opening.password);
    inner.read("identity_token", opening.identity_token);
    TRY_VOID(inner.finish("credentials"));
  }
  TRY_VOID(reader.finish("opening"));
  return opening;
}

Result<json> parse(std::string_view packet, const char* what) {
  if (packet.size() > kMaxPacket)
    return Error(ErrorKind::kResourceExhausted, "the " + std::string(what) + " is too large");
  return oci::parse_bounded(packet, what);
}

}  // namespace

std::string encode(const Message& message) {
  json object = {{"v", kProtocolVersion}, {"id", message.id}};
  for (const auto& [operation, name] : kOperations)
    if (operation == message.operation) object["op"] = name;
  if (message.operation == Operation::kOpen) object["open"] = opening_json(message.opening);
  put(object, "reference", message.reference);
  put(object, "media_type", message.media_type);
  put(object, "digest", message.digest);
  put(object, "from", message.from);
  if (message.size != 0) object["size"] = message.size;
  if (!message.urls.empty()) object["urls"] = message.urls;
  if (message.target != 0) object["target"] = message.target;
  return dump(object);
}

std::string encode(const Report& report) {
  json object = {{"v", kProtocolVersion}, {"id", report.id}};
  for (const auto& [kind, name] : kReports)
    if (kind == report.kind) object["event"] = name;
  if (report.bytes != 0) object["bytes"] = report.bytes;
  if (report.found) object["found"] = true;
  if (report.plain_http) object["plain_http"] = true;
  put(object, "digest", report.digest);
  put(object, "media_type", report.media_type);
  put(object, "identity_token", report.identity_token);
  if (report.kind == Report::Kind::kFailed)
    object["error"] = {{"kind", std::string(kind_name(report.error.kind()))},
                       {"errno", static_cast<uint64_t>(std::max(report.error.errnum(), 0))},
                       {"message", report.error.message()},
                       {"hint", report.error.hint()}};
  return dump(object);
}

Result<Message> decode_message(std::string_view packet) {
  TRY(json object, parse(packet, "request"));
  Message message;
  Reader reader(object);
  TRY_VOID(check_version(reader));
  reader.read("id", message.id);
  reader.read_name("op", kOperations, message.operation);
  if (const json* opening = reader.object("open")) {
    TRY(message.opening, read_opening(*opening));
  }
  reader.read("reference", message.reference);
  reader.read("media_type", message.media_type);
  reader.read("digest", message.digest);
  reader.read("from", message.from);
  reader.read("size", message.size);
  reader.read("urls", message.urls);
  reader.read("target", message.target);
  TRY_VOID(reader.finish("request"));
  return message;
}

Result<Report> decode_report(std::string_view packet) {
  TRY(json object, parse(packet, "event"));
  Report report;
  Reader reader(object);
  TRY_VOID(check_version(reader));
  reader.read("id", report.id);
  reader.read_name("event", kReports, report.kind);
  reader.read("bytes", report.bytes);
  reader.read("found", report.found);
  reader.read("plain_http", report.plain_http);
  reader.read("digest", report.digest);
  reader.read("media_type", report.media_type);
  reader.read("identity_token", report.identity_token);
  if (const json* error = reader.object("error")) {
    std::string kind, message, hint;
    uint32_t errnum = 0;
    Reader inner(*error);
    inner.read("kind", kind);
    inner.read("errno", errnum);
    inner.read("message", message);
    inner.read("hint", hint);
    TRY_VOID(inner.finish("error"));
    report.error = Error(kind_from_name(kind), message)
                       .set_errnum(static_cast<int>(errnum & 0xffff))
                       .set_hint(hint);
  }
  TRY_VOID(reader.finish("event"));
  return report;
}

}  // namespace wherry::wire
