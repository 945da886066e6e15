#include "transfer/auth_file.h"

#include <climits>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "sys/file.h"
#include "transfer/base64.h"

namespace wherry::transfer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHub = "docker.io";
constexpr const char* kHubKey = "https://index.docker.io/v1/";
constexpr std::string_view kHubNames[] = {"", "docker.io", "index.docker.io",
                                          "registry-1.docker.io"};
constexpr size_t kMaxDepth = 32;

// "https://host:5000/v1/" -> "host:5000".
std::string_view host_of(std::string_view text) {
  for (std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  return text.substr(0, text.find('/'));
}

Error damaged(const std::string& path, const std::string& why) {
  return Error(ErrorKind::kCorrupt, "'" + path + "' is damaged: " + why)
      .set_hint("correct the file, or move it away and log in again");
}

// Finds the place of the first mistake: nlohmann tells it to a SAX reader only, without exceptions.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    why_ = "it is not JSON at byte " + std::to_string(position);
    return false;
  }
  const std::string& why() const { return why_; }

 private:
  bool enter() {
    if (++depth_ <= kMaxDepth) return true;
    why_ = "it is nested deeper than " + std::to_string(kMaxDepth) + " levels";
    return false;
  }
  bool leave() {
    --depth_;
    return true;
  }
  size_t depth_ = 0;
  std::string why_;
};

bool is_text_map(const Json& value) {
  if (!value.is_object()) return false;
  for (const auto& [name, item] : value.items())
    if (!item.is_string()) return false;
  return true;
}

std::string text_at(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The section's entry under the registry's own key, else under one that means the same host.
template <typename Section>
auto entry_of(Section& section, std::string_view domain) {
  auto found = section.find(auth_key(domain));
  for (auto entry = section.begin(); found == section.end() && entry != section.end(); ++entry)
    if (domain_of_server(entry.key()) == domain) found = entry;
  return found;
}

}  // namespace

std::string auth_key(std::string_view domain) {
  return domain == kHub ? kHubKey : std::string(domain);
}

std::string domain_of_server(std::string_view server) {
  std::string host = to_lower(host_of(trim(server)));
  for (std::string_view name : kHubNames)
    if (host == name) return kHub;
  return host;
}

struct AuthFile::Document {
  Json json = Json::object();
};

AuthFile::AuthFile(std::unique_ptr<Document> document, std::string path)
    : document_(std::move(document)), path_(std::move(path)) {}
AuthFile::AuthFile(AuthFile&&) noexcept = default;
AuthFile& AuthFile::operator=(AuthFile&&) noexcept = default;
AuthFile::~AuthFile() = default;

Result<AuthFile> AuthFile::parse(std::string_view text, const std::string& path) {
  auto document = std::make_unique<Document>();
  // Docker takes an empty file for none.
  if (trim(text).empty()) return AuthFile(std::move(document), path);
  Checker checker;
  if (!Json::sax_parse(text, &checker)) return damaged(path, checker.why());
  document->json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const Json& json = document->json;
  if (!json.is_object()) return damaged(path, "it is not a JSON object");
  if (json.contains("auths")) {
    if (!json["auths"].is_object()) return damaged(path, "'auths' must be an object");
    for (const auto& [name, entry] : json["auths"].items())
      if (!entry.is_object())
        return damaged(path, "the entry of '" + name + "' in 'auths' must be an object");
  }
  if (json.contains("credHelpers") && !is_text_map(json["credHelpers"]))
    return damaged(path, "'credHelpers' must be an object of texts");
  if (json.contains("credsStore") && !json["credsStore"].is_string())
    return damaged(path, "'credsStore' must be a text");
  return AuthFile(std::move(document), path);
}

Result<AuthFile> AuthFile::load(const std::string& path) {
  Result<std::string> text = sys::read_file(path, kMaxAuthFile);
  if (!text && (text.error().errnum() == ENOENT || text.error().errnum() == ENOTDIR))
    return parse("", path);
  if (!text) return fail(std::move(text), "cannot read the credentials");
  return parse(*text, path);
}

std::optional<std::string> AuthFile::helper_for(std::string_view domain) const {
  const Json& json = document_->json;
  if (auto helpers = json.find("credHelpers"); helpers != json.end()) {
    auto entry = entry_of(*helpers, domain);
    if (entry != helpers->end() && !entry->get_ref<const std::string&>().empty())
      return entry->get<std::string>();
  }
  std::string everywhere = text_at(json, "credsStore");
  if (everywhere.empty()) return std::nullopt;
  return everywhere;
}

Result<std::optional<Credentials>> AuthFile::find(std::string_view domain) const {
  const Json& json = document_->json;
  auto auths = json.find("auths");
  if (auths == json.end()) return std::optional<Credentials>();
  auto entry = entry_of(*auths, domain);
  if (entry == auths->end()) return std::optional<Credentials>();
  Credentials found{text_at(*entry, "username"), text_at(*entry, "password"),
                    text_at(*entry, "identitytoken")};
  if (std::string packed = text_at(*entry, "auth"); !packed.empty()) {
    std::optional<std::string> plain = base64_decode(packed);
    size_t colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos || colon == 0)
      return damaged(path_, "'auth' of '" + entry.key() + "' is not a user and password in base64");
    found.username = plain->substr(0, colon);
    found.password = plain->substr(colon + 1);
    // Old clients padded it with zero bytes.
    found.password.erase(found.password.find_last_not_of('\0') + 1);
  }
  // Docker leaves an empty entry behind where a helper has the credentials.
  if (found.username.empty() && found.identity_token.empty()) return std::optional<Credentials>();
  return std::optional<Credentials>(std::move(found));
}

void AuthFile::put(std::string_view domain, const Credentials& credentials) {
  erase(domain);
  Json entry = Json::object();
  bool token = !credentials.identity_token.empty();
  std::string password = token ? "" : credentials.password;
  entry["auth"] = base64_encode(credentials.username + ":" + password);
  if (token) entry["identitytoken"] = credentials.identity_token;
  document_->json["auths"][auth_key(domain)] = std::move(entry);
}

bool AuthFile::erase(std::string_view domain) {
  auto auths = document_->json.find("auths");
  if (auths == document_->json.end()) return false;
  bool there = false;
  for (auto entry = entry_of(*auths, domain); entry != auths->end();
       entry = entry_of(*auths, domain)) {
    auths->erase(entry.key());
    there = true;
  }
  return there;
}

std::string AuthFile::text() const {
  return document_->json.dump(1, '\t', false, Json::error_handler_t::replace) + "\n";
}

Result<void> AuthFile::save() const {
  // Users link their configuration to where they keep it.
  std::string target = path_;
  if (char* resolved = realpath(path_.c_str(), nullptr); resolved != nullptr) {
    target = resolved;
    free(resolved);
  }
  size_t slash = target.rfind('/');
  std::string context = "cannot store the credentials in '" + path_ + "'";
  TRY_CTX(sys::Fd directory, sys::make_dirs(slash == 0 ? "/" : target.substr(0, slash), 0700),
          context);
  TRY_VOID_CTX(sys::write_file_atomic(directory.get(), target.substr(slash + 1), text(), 0600,
                                      sys::Sync::kFull),
               context);
  return {};
}

}  // namespace wherry::transfer
