#include "build/destination.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "build/resolve.h"
#include "runtime/users.h"
#include "sys/fd.h"

namespace wherry::build {
namespace {

bool names_directory(std::string_view destination) {
  return destination.ends_with('/') || destination.ends_with("/.") ||
         destination.ends_with("/..") || destination.empty() || destination == ".";
}

Error not_a_directory(const PlaceQuestion& question) {
  return Error(ErrorKind::kInvalidArgument,
               "cannot copy to non-directory: '" + escape_name(question.destination) + "'");
}

Error several_files(const PlaceQuestion& question) {
  return Error(ErrorKind::kInvalidArgument,
               "When using " + std::string(question.instruction) +
                   " with more than one source file, the destination must be a directory and end "
                   "with a /")
      .set_hint("write '" + question.destination + "/'");
}

}  // namespace

Result<Placement> place(const PlaceQuestion& question) {
  bool several = question.arguments > 1;
  bool wants = names_directory(question.destination) || question.source_is_directory || several;
  if (question.standing == Standing::kOther && wants)
    return several && !question.source_is_directory ? several_files(question)
                                                    : not_a_directory(question);
  if (question.source_is_directory) return Placement{question.path, question.path};
  if (wants || question.standing == Standing::kDirectory)
    return Placement{question.path, join_path(question.path, question.name)};
  // A wildcard's matches would replace each other.
  if (question.files > 1) return several_files(question);
  return Placement{split_path(question.path).first, question.path};
}

Result<Owner> resolve_owner(int root, const std::string& words) {
  if (std::optional<uint64_t> number = parse_u64(words)) {
    TRY(runtime::ResolvedUser user,
        runtime::resolve_user(words + ":" + words, /*passwd=*/"", /*group=*/""));
    return Owner{user.uid, user.gid};
  }
  TRY(runtime::ResolvedUser user, runtime::lookup_user(root, words));
  return Owner{user.uid, user.gid};
}

Result<Standing> standing_of(int root, const std::string& path) {
  if (path.empty()) return Standing::kDirectory;
  Result<sys::Fd> fd = sys::open_without_links(root, path, O_PATH | O_NOFOLLOW);
  if (!fd && fd.error().errnum() == ENOENT) return Standing::kMissing;
  if (!fd) return std::move(fd.error());
  struct stat status{};
  if (fstat(fd->get(), &status) != 0)
    return Error::from_errno(errno, "cannot look at '/" + escape_name(path) + "'");
  return S_ISDIR(status.st_mode) ? Standing::kDirectory : Standing::kOther;
}

Result<void> make_directories(int root, const std::string& path, Owner owner) {
  if (path.empty()) return {};
  TRY(Standing standing, standing_of(root, path));
  if (standing == Standing::kDirectory) return {};
  auto [parent_path, name] = split_path(path);
  std::string context = "cannot make directory '/" + escape_name(path) + "'";
  if (standing == Standing::kOther) return Error::from_errno(ENOTDIR, context);
  TRY_VOID(make_directories(root, parent_path, owner));
  TRY_CTX(
      sys::Fd parent,
      sys::open_without_links(root, parent_path.empty() ? "." : parent_path, O_PATH | O_DIRECTORY),
      context);
  // Two calls: the umask is not ours to change.
  if (mkdirat(parent.get(), name.c_str(), 0700) != 0) return Error::from_errno(errno, context);
  TRY_CTX(sys::Fd made,
          sys::open_without_links(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
          context);
  if (fchown(made.get(), owner.uid, owner.gid) != 0 || fchmod(made.get(), 0755) != 0)
    return Error::from_errno(errno, context);
  return {};
}

}  // namespace wherry::build
