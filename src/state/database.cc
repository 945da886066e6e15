#include "state/database.h"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "base/trace.h"
#include "state/schema.h"
#include "state/sql_error.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/lock_wait.h"

namespace wherry::state {
namespace {

constexpr int kBusyTimeoutMs = 30'000;
// SQLite's own steps between two looks at a lock; the last one is repeated.
constexpr int kBusyDelaysMs[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
// The first opener after all others have left reads the whole log to rebuild its index: a
// microsecond a page, so the log is kept short.
constexpr int kLogPages = 128;
constexpr const char* kFileName = "state.db";
constexpr const char* kSchemaLock = "state.lock";

// Writers exclude each other by a lock on the file of the shared memory.
std::string lock_file_of(sqlite3* connection) {
  const char* file = sqlite3_db_filename(connection, "main");
  return file == nullptr ? std::string() : std::string(file) + "-shm";
}

using Connection = std::unique_ptr<sqlite3, int (*)(sqlite3*)>;

Result<void> execute(sqlite3* connection, const char* sql, const char* what) {
  if (sqlite3_exec(connection, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return sql_error(connection, what);
  return {};
}

// Called again and again while another process writes; 0 gives up.
int wait_for_writer(void* data, int count) {
  constexpr int kDelays = std::size(kBusyDelaysMs);
  int waited = 0;
  for (int i = 0; i < count; ++i) waited += kBusyDelaysMs[std::min(i, kDelays - 1)];
  int delay = kBusyDelaysMs[std::min(count, kDelays - 1)];
  if (waited >= kBusyTimeoutMs) return 0;
  if (waited < sys::kLockPatienceMs && waited + delay >= sys::kLockPatienceMs)
    sys::tell_lock_wait("state", lock_file_of(static_cast<sqlite3*>(data)));
  usleep(static_cast<useconds_t>(delay) * 1000);
  return 1;
}

// After a commit. SQLite's own automatic checkpoint never starts the log anew when each process
// commits once and leaves: the knowledge of what was copied dies with the last one. So the log is
// emptied here, if nobody reads or writes just now; else the next commit tries again.
int empty_long_log(void*, sqlite3* connection, const char* name, int pages) {
  if (pages < kLogPages) return SQLITE_OK;
  sqlite3_busy_timeout(connection, 0);
  sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_handler(connection, &wait_for_writer, connection);
  return SQLITE_OK;
}

Result<Connection> connect(const std::string& path) {
  sqlite3* raw = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Connection connection(raw, &sqlite3_close);
  if (code != SQLITE_OK) {
    std::string context = "cannot open the state '" + path + "'";
    int errnum = raw != nullptr ? sqlite3_system_errno(raw) : ENOMEM;
    if (errnum != 0) return Error::from_errno(errnum, context);
    return sql_error(code, sqlite3_errstr(code), context);
  }
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_handler(raw, &wait_for_writer, raw);
  sqlite3_wal_hook(raw, &empty_long_log, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return connection;
}

// Makes the file, or brings an older schema up to date, one process at a time.
Result<void> prepare_file(const std::string& root, const std::string& path) {
  TRY(sys::Fd dir, sys::make_dirs(root, 0700));
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(dir.get(), kSchemaLock, sys::FileLock::Mode::kExclusive));
  {
    TRY(sys::Fd file, sys::open_at(dir.get(), kFileName, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  }
  TRY(Connection connection, connect(path));
  TRY_VOID(migrate(connection.get()));
  return sys::sync_dir(dir.get());
}

Error newer_schema(const std::string& path, int found) {
  return Error(ErrorKind::kUnsupported, "the state '" + path + "' has schema " +
                                            std::to_string(found) + ", this wherry knows up to " +
                                            std::to_string(newest_schema()))
      .set_hint("it was written by a newer wherry: use that one, or another --root");
}

}  // namespace

Statement::Statement(sqlite3_stmt* statement, sqlite3* connection)
    : statement_(statement), connection_(connection) {}

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      connection_(other.connection_),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::bind(int index, std::string_view text) {
  int code = sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                                 SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK && bind_error_ == 0) bind_error_ = code;
  return *this;
}

Statement& Statement::bind(int index, int64_t value) {
  int code = sqlite3_bind_int64(statement_, index, value);
  if (code != SQLITE_OK && bind_error_ == 0) bind_error_ = code;
  return *this;
}

Statement& Statement::bind_null(int index) {
  int code = sqlite3_bind_null(statement_, index);
  if (code != SQLITE_OK && bind_error_ == 0) bind_error_ = code;
  return *this;
}

Result<bool> Statement::step() {
  if (bind_error_ != 0)
    return sql_error(bind_error_, sqlite3_errstr(bind_error_), "cannot use the state");
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sql_error(connection_, "cannot use the state");
}

Result<void> Statement::run() {
  for (;;) {
    TRY(bool more, step());
    if (!more) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(statement_);
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(size));
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

Result<Database> Database::open(const std::string& root) {
  TraceScope trace("state.open");
  std::string path = root + "/" + kFileName;
  for (bool prepared : {false, true}) {
    if (!prepared && access(path.c_str(), F_OK) != 0) {
      TRY_VOID(prepare_file(root, path));
    }
    TRY(Connection connection, connect(path));
    TRY(int version, schema_of(connection.get()));
    if (version > newest_schema()) return newer_schema(path, version);
    if (version == newest_schema()) {
      TRY_VOID(execute(connection.get(), "PRAGMA synchronous=FULL", "cannot use the state"));
      return Database(connection.release());
    }
    connection.reset();
    TRY_VOID(prepare_file(root, path));
  }
  return Error(ErrorKind::kInternal, "the state '" + path + "' did not reach its newest schema");
}

int Database::schema_version() {
  return newest_schema();
}

Database::Database(Database&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

Database::~Database() {
  sqlite3_close(connection_);
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection_, sql.data(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK)
    return sql_error(connection_, "cannot use the state");
  return Statement(statement, connection_);
}

Result<Database::Transaction> Database::begin(Durability durability) {
  TRY_VOID(failpoint("state.begin"));
  if (durability == Durability::kRelaxed)
    TRY_VOID(execute(connection_, "PRAGMA synchronous=NORMAL", "cannot use the state"));
  Transaction transaction(connection_, durability);
  Result<void> begun = execute(connection_, "BEGIN IMMEDIATE", "cannot lock the state");
  if (!begun) {
    transaction.restore_synchronous();
    transaction.connection_ = nullptr;
    Error error = std::move(begun).error();
    if (error.kind() != ErrorKind::kUnavailable) return error;
    if (auto holder = sys::lock_holder(lock_file_of(connection_)))
      error.set_hint("process " + std::to_string(holder->pid) + " ('" + holder->command +
                     "') holds the lock: let it go on, or end it");
    return error;
  }
  return transaction;
}

int64_t Database::changes() const {
  return sqlite3_changes64(connection_);
}

Database::Transaction::Transaction(Transaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)), durability_(other.durability_) {}

Database::Transaction::~Transaction() {
  if (connection_ == nullptr) return;
  sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
  restore_synchronous();
}

Result<void> Database::Transaction::commit() {
  TraceScope trace("state.commit");
  TRY_VOID(failpoint("state.commit.before"));
  TRY_VOID(execute(connection_, "COMMIT", "cannot commit the state"));
  restore_synchronous();
  connection_ = nullptr;
  return failpoint("state.commit.after");
}

void Database::Transaction::restore_synchronous() {
  if (durability_ == Durability::kRelaxed)
    sqlite3_exec(connection_, "PRAGMA synchronous=FULL", nullptr, nullptr, nullptr);
}

}  // namespace wherry::state
