#include "state/sql_error.h"

#include <sqlite3.h>

#include <cerrno>
#include <string>

namespace wherry::state {
namespace {

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return ErrorKind::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
      return ErrorKind::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorKind::kPermissionDenied;
    case SQLITE_CANTOPEN:
      return ErrorKind::kNotFound;
    case SQLITE_CONSTRAINT:
      return ErrorKind::kConflict;
    default:
      return ErrorKind::kInternal;
  }
}

}  // namespace

Error sql_error(int code, std::string_view text, std::string_view what) {
  return Error(kind_of(code), std::string(what) + ": " + std::string(text));
}

Error sql_error(sqlite3* connection, std::string_view what) {
  const char* file = sqlite3_db_filename(connection, "main");
  int code = sqlite3_extended_errcode(connection);
  // SQLite remembers an errno of long ago, too: it counts where a system call can be the cause.
  int errnum = (code & 0xff) == SQLITE_FULL ? ENOSPC
               : (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN
                   ? sqlite3_system_errno(connection)
                   : 0;
  std::string name = file != nullptr && *file != 0 ? " '" + std::string(file) + "'" : "";
  if (errnum != 0) return Error::from_errno(errnum, std::string(what) + name);
  std::string text = sqlite3_errmsg(connection);
  if (!name.empty()) text += " (" + name.substr(1) + ")";
  return sql_error(code, text, what);
}

}  // namespace wherry::state
