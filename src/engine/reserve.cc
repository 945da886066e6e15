#include "engine/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"

namespace wherry::engine {
namespace {

constexpr const char* kName = "reserve";
// A commit takes a few pages of the state's log, a removal two blocks more; many wait at once.
constexpr off_t kSize = 512 << 10;
constexpr off_t kLeast = 32 << 10;

}  // namespace

void ensure_reserve(int root_dir) {
  struct stat info{};
  if (fstatat(root_dir, kName, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_size >= kSize) return;
  Result<sys::Fd> file = sys::open_at(root_dir, kName, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) return;
  // What is there of it: the last command that needed it has used some pages.
  for (off_t size = kSize; size >= kLeast; size /= 2)
    if (posix_fallocate(file->get(), 0, size) == 0) return;
}

bool give_up_reserve(int root_dir) {
  return unlinkat(root_dir, kName, 0) == 0;
}

}  // namespace wherry::engine
