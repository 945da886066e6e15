#include "state/file_digests.h"

#include "base/text.h"
#include "state/facts.h"

namespace wherry::state {
namespace {

// Rows passed over before a search is cheaper than the next step.
constexpr int kStepsBeforeSearch = 8;
constexpr const char* kFactKind = "file_digests";
constexpr const char* kPutFact = "put";

// SQLite's integers are signed; the bits stay.
int64_t as_signed(uint64_t value) {
  return static_cast<int64_t>(value);
}

// A pass over the rows of one device, forward only, in the order of (signed) inodes.
class Cursor {
 public:
  explicit Cursor(Statement& statement) : statement_(statement) {}

  // Stands on the row of this inode, or on the first one behind it.
  Result<bool> find(uint64_t device, uint64_t inode) {
    int64_t wanted = as_signed(inode);
    if (!open_ || device != device_ || wanted < position_) TRY_VOID(search(device, wanted));
    for (int steps = 0; more_ && position_ < wanted; ++steps) {
      if (steps == kStepsBeforeSearch) TRY_VOID(search(device, wanted));
      if (more_ && position_ < wanted) TRY_VOID(step());
    }
    return more_ && position_ == wanted;
  }

 private:
  Result<void> search(uint64_t device, int64_t inode) {
    statement_.reset();
    statement_.bind(1, as_signed(device)).bind(2, inode);
    device_ = device;
    open_ = true;
    position_ = inode;
    return step();
  }
  Result<void> step() {
    TRY(more_, statement_.step());
    if (more_) position_ = statement_.integer(0);
    return {};
  }

  Statement& statement_;
  bool open_ = false, more_ = false;
  uint64_t device_ = 0;
  int64_t position_ = 0;
};

Result<int64_t> delete_all(Database& database) {
  TRY(Statement statement, database.prepare("DELETE FROM file_digests"));
  TRY_VOID(statement.run());
  return database.changes();
}

// Counts what is put, not what is there: a count of the rows would read them all. A batch larger
// than the limit starts the count anew, or each of its successors would throw it away again.
Result<void> make_room(Database& database, int64_t adding, int64_t limit) {
  TRY(std::optional<std::string> text, get_fact(database, kFactKind, kPutFact));
  int64_t put = text ? parse_i64(*text).value_or(limit) : 0;
  if (put + adding > limit) {
    TRY([[maybe_unused]] int64_t removed, delete_all(database));
    put = 0;
    if (adding > limit) adding = 0;
  }
  return put_fact(database, kFactKind, {kPutFact, std::to_string(put + adding)});
}

}  // namespace

Result<void> find_file_digests(Database& database, std::span<FileDigest> files) {
  TRY(Statement statement,
      database.prepare("SELECT inode,size,mtime_ns,ctime_ns,digest FROM file_digests "
                       "WHERE device=?1 AND inode>=?2 ORDER BY inode"));
  Cursor cursor(statement);
  for (FileDigest& file : files) {
    TRY(bool found, cursor.find(file.device, file.inode));
    if (found && statement.integer(1) == as_signed(file.size) &&
        statement.integer(2) == file.mtime_ns && statement.integer(3) == file.ctime_ns)
      file.digest = statement.text(4);
  }
  return {};
}

Result<void> put_file_digests(Database& database, std::span<const FileDigest> files,
                              int64_t limit) {
  if (files.empty()) return {};
  TRY(Database::Transaction transaction, database.begin(Durability::kRelaxed));
  TRY_VOID(make_room(database, static_cast<int64_t>(files.size()), limit));
  {
    TRY(Statement statement,
        database.prepare("INSERT INTO file_digests(device,inode,size,mtime_ns,ctime_ns,digest) "
                         "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(device,inode) DO UPDATE SET "
                         "size=excluded.size,mtime_ns=excluded.mtime_ns,"
                         "ctime_ns=excluded.ctime_ns,digest=excluded.digest"));
    for (const FileDigest& file : files) {
      statement.reset();
      statement.bind(1, as_signed(file.device)).bind(2, as_signed(file.inode));
      statement.bind(3, as_signed(file.size)).bind(4, file.mtime_ns).bind(5, file.ctime_ns);
      TRY_VOID(statement.bind(6, file.digest).run());
    }
  }
  return transaction.commit();
}

Result<int64_t> clear_file_digests(Database& database) {
  TRY(Database::Transaction transaction, database.begin(Durability::kRelaxed));
  TRY(int64_t removed, delete_all(database));
  TRY_VOID(delete_fact(database, kFactKind, kPutFact));
  TRY_VOID(transaction.commit());
  return removed;
}

}  // namespace wherry::state
