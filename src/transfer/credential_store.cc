#include "transfer/credential_store.h"

#include <sys/file.h>

#include "base/failpoint.h"
#include "sys/file.h"

namespace wherry::transfer {
namespace {

// Two logins at once must both be there afterwards. The directory itself is the lock: no file of
// ours is left among the user's.
Result<sys::Fd> lock_directory(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string directory = slash == 0 ? "/" : path.substr(0, slash);
  TRY(sys::Fd fd, sys::make_dirs(directory, 0700));
  while (flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return Error::from_errno(errno, "cannot lock '" + directory + "'");
  return fd;
}

Error no_file() {
  return Error(ErrorKind::kInvalidArgument, "there is no place for credentials")
      .set_hint("set HOME or DOCKER_CONFIG to an absolute path");
}

}  // namespace

Result<std::optional<Credentials>> CredentialStore::get(const std::string& domain) const {
  if (path_.empty()) return std::optional<Credentials>();
  TRY(AuthFile file, AuthFile::load(path_));
  std::optional<std::string> name = file.helper_for(domain);
  if (!name) return file.find(domain);
  TRY(CredentialHelper helper, CredentialHelper::find(*name, search_path_));
  return helper.get(auth_key(domain));
}

Result<CredentialStore::Kept> CredentialStore::put(const std::string& domain,
                                                   const Credentials& credentials) const {
  if (path_.empty()) return no_file();
  TRY(sys::Fd lock, lock_directory(path_));
  TRY(AuthFile file, AuthFile::load(path_));
  if (std::optional<std::string> name = file.helper_for(domain)) {
    TRY(CredentialHelper helper, CredentialHelper::find(*name, search_path_));
    TRY_VOID(helper.store(auth_key(domain), credentials));
    return Kept{{}, helper.program()};
  }
  file.put(domain, credentials);
  TRY_VOID(failpoint("transfer.credentials.before"));
  TRY_VOID(file.save());
  TRY_VOID(failpoint("transfer.credentials.after"));
  return Kept{path_, {}};
}

Result<bool> CredentialStore::erase(const std::string& domain) const {
  if (path_.empty()) return false;
  {
    // Nothing may be made only to find that nothing is there.
    TRY(AuthFile file, AuthFile::load(path_));
    if (!file.helper_for(domain) && !file.erase(domain)) return false;
  }
  TRY(sys::Fd lock, lock_directory(path_));
  TRY(AuthFile file, AuthFile::load(path_));
  bool there = false;
  if (std::optional<std::string> name = file.helper_for(domain)) {
    TRY(CredentialHelper helper, CredentialHelper::find(*name, search_path_));
    TRY(std::optional<Credentials> kept, helper.get(auth_key(domain)));
    there = kept.has_value();
    if (there) TRY_VOID(helper.erase(auth_key(domain)));
  }
  // Beside a helper too: Docker leaves an entry without credentials there.
  if (file.erase(domain)) {
    there = true;
    TRY_VOID(file.save());
  }
  return there;
}

}  // namespace wherry::transfer
