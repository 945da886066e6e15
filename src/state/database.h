// The durable state: one SQLite database under the root (WAL, synchronous=FULL, no checkpoint on
// close).
//
// This header is the RAII layer: a connection, statements, transactions. The tables have their own
// headers (state/containers.h, state/images.h, state/facts.h). Schema and migrations:
// docs/formats/state.md. One transaction per acknowledged command; writers queue on SQLite's lock
// (busy timeout 30 s), which the kernel frees at death. A database of a newer schema is refused by
// name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace wherry::state {

enum class Durability {
  kDurable,  // synced when commit() returns
  kRelaxed,  // atomic, but may be lost at a power cut: run --rm
};

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  ~Statement();
  // Parameters from 1.
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t value);
  Statement& bind_null(int index);
  // True: a row is there. False: done.
  Result<bool> step();
  Result<void> run();  // step to the end
  // Ready to be bound and stepped again; bindings stay.
  void reset();
  std::string text(int column) const;
  int64_t integer(int column) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, sqlite3* connection);
  sqlite3_stmt* statement_;
  sqlite3* connection_;
  int bind_error_ = 0;  // the first failed bind; step() reports it
};

class Database {
 public:
  // Opens (makes) <root>/state.db and brings its schema up to date.
  static Result<Database> open(const std::string& root);
  // The schema this program writes.
  static int schema_version();
  Database(Database&& other) noexcept;
  ~Database();

  Result<Statement> prepare(std::string_view sql);

  // BEGIN IMMEDIATE ... COMMIT; rolled back when dropped. Failpoints: state.begin,
  // state.commit.before, state.commit.after.
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept;
    ~Transaction();
    // On an error the transaction is still open: dropping it rolls back.
    Result<void> commit();

   private:
    friend class Database;
    Transaction(sqlite3* connection, Durability durability)
        : connection_(connection), durability_(durability) {}
    void restore_synchronous();
    sqlite3* connection_;  // null once it has ended
    Durability durability_;
  };
  Result<Transaction> begin(Durability durability = Durability::kDurable);
  // Number of rows the last statement changed.
  int64_t changes() const;

 private:
  explicit Database(sqlite3* connection) : connection_(connection) {}
  sqlite3* connection_;
};

}  // namespace wherry::state
