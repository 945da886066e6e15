// docker-credential-NAME: programs of the user's that keep passwords in a keychain.
//
// One run a request: the action is the argument, standard input the registry's key (get, erase) or
// a JSON object (store), standard output the answer, exit code 0. What it prints and how long it
// takes are bounded; its standard error is ours, so that it can explain itself. It gets our
// environment: it is the user's program and looks for his agent and display there.
// Protocol: docker-credential-helpers, README.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "transfer/remote.h"

namespace wherry::transfer {

class CredentialHelper {
 public:
  // `search_path`: directories separated by colons. kNotFound says where it was looked for;
  // kInvalidArgument for names with a slash.
  static Result<CredentialHelper> find(
      const std::string& name, const std::string& search_path,
      std::chrono::milliseconds patience = std::chrono::minutes(2));

  // nullopt: it has none.
  Result<std::optional<Credentials>> get(const std::string& key) const;
  Result<void> store(const std::string& key, const Credentials& credentials) const;
  // Of nothing is fine.
  Result<void> erase(const std::string& key) const;
  // "docker-credential-NAME"
  const std::string& program() const { return name_; }

 private:
  CredentialHelper(std::string name, std::string path, std::chrono::milliseconds patience)
      : name_(std::move(name)), path_(std::move(path)), patience_(patience) {}
  struct Answer;
  Result<Answer> run(const char* action, const std::string& input) const;
  Error refused(const char* action, const std::string& key, const Answer& answer) const;

  std::string name_, path_;
  std::chrono::milliseconds patience_;
};

}  // namespace wherry::transfer
