#include "state/sql_error.h"

#include <sqlite3.h>

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
  std::string text = sqlite3_errmsg(connection);
  if (file != nullptr && *file != 0) text += " ('" + std::string(file) + "')";
  return sql_error(sqlite3_extended_errcode(connection), text, what);
}

}  // namespace wherry::state
