// CredentialStore: a user's passwords for registries, wherever Docker's configuration says they
// are: in config.json itself or with a helper program. What `login` writes, `pull` and `push` read.
#pragma once

#include <optional>
#include <string>

#include "transfer/auth_file.h"
#include "transfer/credential_helper.h"

namespace wherry::transfer {

class CredentialStore {
 public:
  // `path`: of config.json; empty: there is none, nothing is found and nothing can be kept.
  CredentialStore(std::string path, std::string search_path)
      : path_(std::move(path)), search_path_(std::move(search_path)) {}

  Result<std::optional<Credentials>> get(const std::string& domain) const;
  // Where they are kept now: a file, in which anybody who reads it finds them, or a helper.
  struct Kept {
    std::string file;    // empty: a helper has them
    std::string helper;  // its program
  };
  Result<Kept> put(const std::string& domain, const Credentials& credentials) const;
  // False: there were none.
  Result<bool> erase(const std::string& domain) const;

 private:
  std::string path_, search_path_;
};

}  // namespace wherry::transfer
