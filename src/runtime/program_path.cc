#include "runtime/program_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/text.h"

namespace wherry::runtime {
namespace {

std::string_view path_variable(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment)
    if (entry.starts_with("PATH=")) return std::string_view(entry).substr(5);
  return {};
}

// 0, or why `path` cannot be executed. Directories are EISDIR.
int executable(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return errno;
  return S_ISREG(status.st_mode) ? 0 : EACCES;
}

}  // namespace

Result<std::string> find_program(const std::string& name,
                                 const std::vector<std::string>& environment) {
  std::string quoted = "exec: \"" + name + "\"";
  if (name.find('/') != std::string::npos) {
    int errnum = executable(name);
    if (errnum == 0) return name;
    if (errnum == EISDIR)
      return Error(ErrorKind::kPermissionDenied, quoted + ": is a directory").set_errnum(errnum);
    if (errnum == EACCES)
      return Error(ErrorKind::kPermissionDenied, quoted + ": permission denied").set_errnum(errnum);
    return Error::from_errno(errnum, quoted + ": stat " + name);
  }
  if (!name.empty()) {
    for (std::string_view directory : split(path_variable(environment), ':')) {
      if (!directory.starts_with('/')) continue;  // a program of the working directory needs "./"
      std::string path = std::string(directory) + "/" + name;
      if (executable(path) == 0) return path;
    }
  }
  return Error(ErrorKind::kNotFound, quoted + ": executable file not found in $PATH")
      .set_errnum(ENOENT);
}

Error exec_error(const std::string& program, int errnum) {
  return Error::from_errno(errnum, "exec: \"" + program + "\"");
}

}  // namespace wherry::runtime
