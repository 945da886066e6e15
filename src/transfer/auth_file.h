// AuthFile: Docker's config.json as far as credentials go; everything else in it is kept as it is.
//
//   auths        {"host:5000": {"auth": base64("user:password"), "identitytoken": ...}}
//   credHelpers  {"host:5000": "NAME"}: docker-credential-NAME has them, for this registry
//   credsStore   "NAME": the same for every other registry
// Docker Hub's key is "https://index.docker.io/v1/"; older clients wrote other registries with a
// scheme and a path too, which lookups see through. A file that is not what it should be is an
// error that names it and the place, and is never written over. Pure but for load() and save().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "transfer/remote.h"

namespace wherry::transfer {

inline constexpr size_t kMaxAuthFile = 1u << 20;

// "docker.io" -> "https://index.docker.io/v1/"; other domains are their own key.
std::string auth_key(std::string_view domain);
// What a user may write for a registry -> its domain: scheme and path are cut off, Docker Hub's
// names ("", "index.docker.io", ...) become "docker.io".
std::string domain_of_server(std::string_view server);

class AuthFile {
 public:
  // `path` is named in errors.
  static Result<AuthFile> parse(std::string_view text, const std::string& path);
  // A missing file is an empty one.
  static Result<AuthFile> load(const std::string& path);
  AuthFile(AuthFile&&) noexcept;
  AuthFile& operator=(AuthFile&&) noexcept;
  ~AuthFile();

  // The NAME of the helper that has this domain's credentials.
  std::optional<std::string> helper_for(std::string_view domain) const;
  // From `auths`. kCorrupt when the entry is there but cannot be read.
  Result<std::optional<Credentials>> find(std::string_view domain) const;
  void put(std::string_view domain, const Credentials& credentials);
  // False: there was none.
  bool erase(std::string_view domain);
  std::string text() const;
  // Replaces the file atomically, 0600; a symbolic link stays one. Makes its directory (0700).
  Result<void> save() const;

 private:
  struct Document;
  AuthFile(std::unique_ptr<Document> document, std::string path);
  std::unique_ptr<Document> document_;
  std::string path_;
};

}  // namespace wherry::transfer
