#include "engine/mount_stubs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>

#include "base/weaken.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

// A mount's target has as many parts as its path; the runtime makes no others.
constexpr int kMaxDepth = 256;

bool same_object(const struct stat& a, const struct stat& b) {
  if (weakened(Defence::kStubs)) return true;
  return a.st_ino == b.st_ino && a.st_mode == b.st_mode && a.st_uid == b.st_uid &&
         a.st_gid == b.st_gid;
}

}  // namespace

Result<void> MountStubs::collect(int directory, const std::string& prefix, int depth,
                                 std::vector<Stub>& stubs) {
  if (depth > kMaxDepth)
    return Error(ErrorKind::kResourceExhausted, "'" + prefix + "' is nested too deeply");
  TRY(std::vector<std::string> names, sys::list_dir(directory));
  for (const std::string& name : names) {
    Stub stub{prefix + name, {}};
    if (fstatat(directory, name.c_str(), &stub.seen, AT_SYMLINK_NOFOLLOW) != 0)
      return Error::from_errno(errno, "cannot look at '" + stub.path + "'");
    stubs.push_back(stub);
    if (!S_ISDIR(stub.seen.st_mode)) continue;
    TRY(sys::Fd below, sys::open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY_VOID(collect(below.get(), stub.path + "/", depth + 1, stubs));
  }
  return {};
}

Result<MountStubs> MountStubs::find(int upper) {
  MountStubs stubs;
  TRY_VOID(collect(upper, "", 0, stubs.stubs_));
  return stubs;
}

Result<void> MountStubs::remove(int upper) const {
  for (const Stub& stub : std::views::reverse(stubs_)) {
    struct stat now{};
    // The step may have put anything in the way, links included: each part is opened as what it is.
    Result<sys::Fd> found = sys::open_beneath(upper, stub.path, O_PATH | O_NOFOLLOW);
    if (!found || fstat(found->get(), &now) != 0 || !same_object(stub.seen, now)) continue;
    size_t slash = stub.path.rfind('/');
    std::string parent = slash == std::string::npos ? "." : stub.path.substr(0, slash);
    std::string name = slash == std::string::npos ? stub.path : stub.path.substr(slash + 1);
    TRY(sys::Fd directory, sys::open_beneath(upper, parent, O_PATH | O_DIRECTORY));
    bool is_directory = S_ISDIR(now.st_mode);
    if (!is_directory && now.st_size != 0) continue;
    if (unlinkat(directory.get(), name.c_str(), is_directory ? AT_REMOVEDIR : 0) == 0) continue;
    if (errno == ENOTEMPTY || errno == EEXIST) continue;  // the step has put something in it
    return Error::from_errno(errno,
                             "cannot take the mount point '/" + stub.path + "' out of the layer");
  }
  return {};
}

}  // namespace wherry::engine
