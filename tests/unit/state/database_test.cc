#include "state/database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "scratch_directory.h"
#include "state/containers.h"
#include "state/facts.h"
#include "state/images.h"

namespace wherry::state {
namespace {

class StateTest : public ::testing::Test {
 protected:
  Database open() {
    Result<Database> database = Database::open(root_);
    if (!database) throw std::runtime_error(database.error().message());
    return std::move(*database);
  }
  // Runs SQL on a connection of its own, as another program would.
  void raw(const char* sql) {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open((root_ + "/state.db").c_str(), &connection), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(connection);
  }
  std::string pragma(Database& database, const char* sql) {
    Result<Statement> statement = database.prepare(sql);
    EXPECT_TRUE(statement && statement->step().value_or(false));
    return statement->text(0);
  }

  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();
  std::string root_ = base_ + "/root";
};

ContainerRow container(char digit, const std::string& name, int64_t created = 1) {
  return {std::string(64, digit), name, "sha256:" + std::string(64, 'f'), created, "{}"};
}

TEST_F(StateTest, MakesThePrivateRootAndAWriteAheadLog) {
  Database database = open();
  struct stat info{};
  ASSERT_EQ(stat(root_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  ASSERT_EQ(stat((root_ + "/state.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(pragma(database, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(pragma(database, "PRAGMA synchronous"), "2");
}

TEST_F(StateTest, KeepsWhatWasCommitted) {
  {
    Database database = open();
    auto transaction = database.begin();
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(insert_container(database, container('a', "web")));
    ASSERT_TRUE(transaction->commit());
  }
  Database database = open();
  Result<ContainerRow> row = find_container(database, "web");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->id, std::string(64, 'a'));
}

TEST_F(StateTest, ForgetsADroppedTransaction) {
  Database database = open();
  {
    auto transaction = database.begin();
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(insert_container(database, container('a', "web")));
  }
  EXPECT_FALSE(find_container(database, "web"));
}

TEST_F(StateTest, RelaxedTransactionsRestoreTheSync) {
  Database database = open();
  {
    auto transaction = database.begin(Durability::kRelaxed);
    ASSERT_TRUE(transaction);
    EXPECT_EQ(pragma(database, "PRAGMA synchronous"), "1");
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_EQ(pragma(database, "PRAGMA synchronous"), "2");
  {
    ASSERT_TRUE(database.begin(Durability::kRelaxed));
  }
  EXPECT_EQ(pragma(database, "PRAGMA synchronous"), "2");
}

TEST_F(StateTest, RefusesANewerSchemaByName) {
  {
    Database database = open();
  }
  raw("PRAGMA user_version=4711");
  Result<Database> refused = Database::open(root_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(refused.error().message().find("schema 4711"), std::string::npos);
  EXPECT_NE(refused.error().message().find(root_ + "/state.db"), std::string::npos);
}

TEST_F(StateTest, MigratesAnEmptyDatabaseToTheNewestSchema) {
  ASSERT_EQ(mkdir(root_.c_str(), 0700), 0);
  raw("PRAGMA user_version=0");
  Database database = open();
  EXPECT_EQ(pragma(database, "PRAGMA user_version"), std::to_string(Database::schema_version()));
  EXPECT_TRUE(list_containers(database));
}

TEST_F(StateTest, CallsAFileThatIsNoDatabaseCorrupt) {
  ASSERT_EQ(mkdir(root_.c_str(), 0700), 0);
  std::ofstream file(root_ + "/state.db");
  for (int i = 0; i < 200; ++i) file << "this is not a database at all\n";
  file.close();
  ASSERT_TRUE(file);
  Result<Database> refused = Database::open(root_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
}

TEST_F(StateTest, TellsWhoHasAName) {
  Database database = open();
  ASSERT_TRUE(insert_container(database, container('a', "web")));
  Result<void> clash = insert_container(database, container('b', "web"));
  ASSERT_FALSE(clash);
  EXPECT_EQ(clash.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(clash.error().message(),
            "Conflict. The container name \"/web\" is already in use by container \"" +
                std::string(64, 'a') +
                "\". You have to remove (or rename) that container to be able to reuse that name.");
}

TEST_F(StateTest, RenamingIntoATakenNameIsAConflict) {
  Database database = open();
  ASSERT_TRUE(insert_container(database, container('a', "web")));
  ASSERT_TRUE(insert_container(database, container('b', "db")));
  Result<void> clash = update_container(database, container('b', "web"));
  ASSERT_FALSE(clash);
  EXPECT_EQ(clash.error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(update_container(database, container('b', "db2")));
  EXPECT_TRUE(find_container(database, "db2"));
}

TEST_F(StateTest, UpdatingAContainerThatIsGoneIsNotFound) {
  Database database = open();
  Result<void> gone = update_container(database, container('a', "web"));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind(), ErrorKind::kNotFound);
}

TEST_F(StateTest, FindsByIdThenNameThenUniquePrefix) {
  Database database = open();
  ContainerRow first = container('a', "web");
  ContainerRow second = container('a', "aab");  // its name is a prefix of the first one's id
  second.id[2] = 'b';
  ASSERT_TRUE(insert_container(database, first));
  ASSERT_TRUE(insert_container(database, second));
  EXPECT_EQ(find_container(database, first.id)->name, "web");
  EXPECT_EQ(find_container(database, "aab")->name, "aab");
  EXPECT_EQ(find_container(database, "/web")->name, "web");
  EXPECT_EQ(find_container(database, "aaa")->name, "web");
  Result<ContainerRow> ambiguous = find_container(database, "aa");
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().kind(), ErrorKind::kInvalidArgument);
  Result<ContainerRow> none = find_container(database, "zzz");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(none.error().message(), "no such container: zzz");
}

TEST_F(StateTest, AHostileNameIsDataAndNeverSql) {
  Database database = open();
  ASSERT_TRUE(insert_container(database, container('a', "x'); DROP TABLE containers; --")));
  EXPECT_EQ(list_containers(database)->size(), 1u);
  EXPECT_FALSE(find_container(database, "' OR 1=1 --"));
  EXPECT_FALSE(find_container(database, "%"));
  EXPECT_FALSE(find_container(database, ""));
}

TEST_F(StateTest, ListsContainersNewestFirst) {
  Database database = open();
  ASSERT_TRUE(insert_container(database, container('a', "old", 1)));
  ASSERT_TRUE(insert_container(database, container('b', "new", 3)));
  ASSERT_TRUE(insert_container(database, container('c', "middle", 2)));
  Result<std::vector<ContainerRow>> rows = list_containers(database);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].name, "new");
  EXPECT_EQ((*rows)[2].name, "old");
}

TEST_F(StateTest, FactsAreReplacedListedAndDeletedByKind) {
  Database database = open();
  ASSERT_TRUE(put_fact(database, "network", {"b", "1"}));
  ASSERT_TRUE(put_fact(database, "network", {"a", "2"}));
  ASSERT_TRUE(put_fact(database, "volume", {"a", "3"}));
  ASSERT_TRUE(put_fact(database, "network", {"b", "4"}));
  EXPECT_EQ(get_fact(database, "network", "b")->value(), "4");
  EXPECT_FALSE(get_fact(database, "setting", "b")->has_value());
  Result<std::vector<Fact>> networks = list_facts(database, "network");
  ASSERT_EQ(networks->size(), 2u);
  EXPECT_EQ((*networks)[0].name, "a");
  ASSERT_TRUE(delete_fact(database, "network", "a"));
  EXPECT_EQ(list_facts(database, "network")->size(), 1u);
  EXPECT_EQ(get_fact(database, "volume", "a")->value(), "3");
}

TEST_F(StateTest, ImagesKeepBytesTagsAndLayers) {
  Database database = open();
  std::string layer = "sha256:" + std::string(64, '1');
  std::string id = "sha256:" + std::string(64, '2');
  std::string bytes("{\"a\":\"\0\"}", 9);
  ASSERT_TRUE(insert_layer(database, {layer, 10, 20, 5}));
  ASSERT_TRUE(insert_image(database, {id, "sha256:m", bytes, "{}", 7}, {layer, layer}));
  ASSERT_TRUE(put_tag(database, "docker.io/library/x:latest", id));
  EXPECT_EQ(get_image(database, id)->value().config, bytes);
  EXPECT_EQ(layers_of(database, id)->size(), 2u);
  EXPECT_EQ(layer_users(database, layer).value(), 1);
  EXPECT_EQ(images_by_prefix(database, "sha256:22")->size(), 1u);
  auto tagged = [&] { return tagged_images(database, "docker.io/library/x:latest")->size(); };
  EXPECT_EQ(tagged(), 1u);
  ASSERT_TRUE(put_tag(database, "docker.io/library/x:latest", id)) << "again";
  EXPECT_EQ(tagged(), 1u);
  ASSERT_TRUE(delete_tag(database, "docker.io/library/x:latest", "sha256:other"));
  EXPECT_EQ(tagged(), 1u);
  ASSERT_TRUE(delete_image(database, id));
  EXPECT_EQ(layer_users(database, layer).value(), 0);
  EXPECT_EQ(tagged(), 0u);
}

TEST_F(StateTest, ALayerThatAnImageClaimsCannotBeForgotten) {
  Database database = open();
  std::string layer = "sha256:" + std::string(64, '1');
  ASSERT_TRUE(insert_layer(database, {layer, 10, 20, 5}));
  ASSERT_TRUE(insert_image(database, {"sha256:i", "sha256:m", "{}", "{}", 7}, {layer}));
  EXPECT_FALSE(delete_layer(database, layer));
}

TEST_F(StateTest, TheLogStaysShortThoughEachProcessCommitsOnce) {
  for (int i = 0; i < 200; ++i) {
    Database database = open();
    auto transaction = database.begin(Durability::kRelaxed);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(put_fact(database, "k", {std::to_string(i), std::string(2000, 'x')}));
    ASSERT_TRUE(transaction->commit());
  }
  struct stat info{};
  ASSERT_EQ(stat((root_ + "/state.db-wal").c_str(), &info), 0);
  EXPECT_LT(info.st_size, 200 * 4120);
}

// Four processes open a root that does not exist yet and write at once: each sees one schema, no
// write is lost.
TEST_F(StateTest, ManyProcessesCreateAndWriteAtOnce) {
  constexpr int kProcesses = 4;
  constexpr int kWrites = 25;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      Result<Database> database = Database::open(root_);
      bool ok = database.has_value();
      for (int i = 0; ok && i < kWrites; ++i) {
        auto transaction = database->begin();
        ok = transaction.has_value() &&
             put_fact(*database, "write", {std::to_string(p) + "-" + std::to_string(i), "{}"}) &&
             transaction->commit();
      }
      _exit(ok ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  Database database = open();
  EXPECT_EQ(list_facts(database, "write")->size(), static_cast<size_t>(kProcesses * kWrites));
}

}  // namespace
}  // namespace wherry::state
