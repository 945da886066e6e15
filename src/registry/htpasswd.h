// Who may use the registry: a file of "user:bcrypt hash" lines as `htpasswd -B` writes it.
//
// Only bcrypt ($2a$, $2b$, $2y$) of cost 4 to 14 is taken. The file is read again when it changes.
// A checked credential is remembered for a minute as a keyed hash, so that bcrypt is not paid with
// each request; unknown users cost as much as known ones. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::registry {

using Users = std::map<std::string, std::string, std::less<>>;  // name -> hash

// Empty lines and lines that begin with '#' are skipped; anything else that is not understood is
// kInvalidArgument and names the line.
Result<Users> parse_htpasswd(std::string_view text);

struct Credential {
  std::string user;
  std::string password;
};
// "Basic <base64 of user:password>"; nullopt when malformed (RFC 7617).
std::optional<Credential> parse_basic(std::string_view header);

// One bcrypt computation.
bool password_matches(const std::string& password, const std::string& hash);

class Authenticator {
 public:
  // Reads the file; one that is not understood is an error.
  static Result<std::unique_ptr<Authenticator>> open(std::string path);

  // True or false from memory; nullopt: check() must be asked. Looks whether the file has changed.
  std::optional<bool> known(const std::string* authorization);
  bool check(const std::string& authorization);

 private:
  using Key = std::array<unsigned char, 32>;
  explicit Authenticator(std::string path);
  struct Stamp {
    int64_t seconds = -1, nanoseconds = 0, size = 0;
    uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
  };
  Result<void> load();
  void reload_if_changed();
  Key keyed_hash(std::string_view authorization) const;

  std::string path_;
  Key secret_{};
  std::mutex mutex_;  // over all below
  Stamp stamp_;
  Users users_;
  uint64_t generation_ = 0;
  std::map<Key, int64_t> checked_;  // until when, monotonic nanoseconds
};

}  // namespace wherry::registry
