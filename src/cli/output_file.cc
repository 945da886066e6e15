#include "cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/names.h"
#include "sys/file.h"

namespace wherry::cli {

Result<OutputFile> OutputFile::create(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' is not a file's name", path));
  struct stat info{};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' is not a regular file", path))
        .set_hint("redirect standard output to write there");
  Result<sys::Fd> directory = sys::open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!directory && directory.error().errnum() == ENOENT)
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("invalid output path: directory \"{}\" does not exist", folder));
  if (!directory) return std::move(directory.error());
  mode_t mask = umask(0);
  umask(mask);
  TRY_CTX(sys::Fd file, sys::open_at(directory->get(), ".", O_WRONLY | O_TMPFILE, 0666 & ~mask),
          fmt::format("cannot write '{}'", path));
  return OutputFile(path, std::move(name), std::move(*directory), std::move(file));
}

Result<void> OutputFile::keep() {
  const std::string context = fmt::format("cannot write '{}'", path_);
  if (fsync(file_.get()) != 0) return Error::from_errno(errno, context);
  std::string unnamed = fmt::format("/proc/self/fd/{}", file_.get());
  if (linkat(AT_FDCWD, unnamed.c_str(), folder_.get(), name_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (errno != EEXIST) return Error::from_errno(errno, context);
    // A link never replaces; a rename does.
    std::string beside = fmt::format(".{}.{}", name_.substr(0, 200), random_id().substr(0, 12));
    if (linkat(AT_FDCWD, unnamed.c_str(), folder_.get(), beside.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return Error::from_errno(errno, context);
    if (renameat(folder_.get(), beside.c_str(), folder_.get(), name_.c_str()) != 0) {
      int cause = errno;
      unlinkat(folder_.get(), beside.c_str(), 0);
      return Error::from_errno(cause, context);
    }
  }
  TRY_VOID_CTX(sys::sync_dir(folder_.get()), context);
  return {};
}

}  // namespace wherry::cli
