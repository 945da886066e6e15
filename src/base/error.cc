#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace wherry {
namespace {

constexpr std::string_view kNames[] = {"not_found",         "conflict",    "invalid_argument",
                                       "permission_denied", "unavailable", "resource_exhausted",
                                       "corrupt",           "unsupported", "internal"};

ErrorKind kind_of_errno(int errnum) {
  switch (errnum) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
      return ErrorKind::kNotFound;
    case EEXIST:
    case EBUSY:
    case EADDRINUSE:
    case ENOTEMPTY:
    case ETXTBSY:
      return ErrorKind::kConflict;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOEXEC:
      return ErrorKind::kInvalidArgument;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kPermissionDenied;
    case EAGAIN:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
      return ErrorKind::kUnavailable;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case E2BIG:
    case EFBIG:
      return ErrorKind::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
      return ErrorKind::kUnsupported;
    case EBADMSG:
    case EUCLEAN:
      return ErrorKind::kCorrupt;
    default:
      return ErrorKind::kInternal;
  }
}

std::string lower_first(std::string text) {
  if (text.size() > 1 && text[1] >= 'a' && text[1] <= 'z' && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = static_cast<char>(text[0] + ('a' - 'A'));
  return text;
}

}  // namespace

std::string_view kind_name(ErrorKind kind) {
  return kNames[static_cast<int>(kind)];
}

ErrorKind kind_from_name(std::string_view name) {
  for (int i = 0; i < static_cast<int>(std::size(kNames)); ++i)
    if (kNames[i] == name) return static_cast<ErrorKind>(i);
  return ErrorKind::kInternal;
}

Error Error::from_errno(int errnum, std::string_view what) {
  Error error(kind_of_errno(errnum),
              std::string(what) + ": " +
                  lower_first(strerrordesc_np(errnum) != nullptr ? strerrordesc_np(errnum)
                                                                 : "unknown error"));
  error.errnum_ = errnum;
  return error;
}

Error Error::wrap(std::string_view context) && {
  message_ = std::string(context) + ": " + message_;
  return std::move(*this);
}

}  // namespace wherry
