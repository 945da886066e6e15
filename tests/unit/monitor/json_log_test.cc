#include "monitor/json_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "base/text.h"

namespace wherry::monitor {
namespace {

constexpr int64_t kNow = 1'795'397'460'120'000'000;

class JsonLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "wherry-log-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ + "/c.log"; }
  JsonLog open(uint64_t max_size = 0, int max_files = 1) {
    Result<JsonLog> log = JsonLog::open(path(), max_size, max_files);
    EXPECT_TRUE(log) << (log ? "" : log.error().message());
    return std::move(*log);
  }
  static std::string text_of(const std::string& file) {
    Result<std::string> text = sys::read_file(file, 64 << 20);
    return text ? *text : "";
  }
  // The "log" values of all records.
  std::vector<std::string> records(const std::string& file) {
    std::vector<std::string> logs;
    std::string text = text_of(file);
    for (std::string_view line : split(text, '\n')) {
      if (line.empty()) continue;
      nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
      EXPECT_TRUE(record.is_object()) << line;
      logs.push_back(record.value("log", ""));
    }
    return logs;
  }

  std::string directory_;
};

TEST_F(JsonLogTest, WritesOneRecordALineAsDockerDoes) {
  JsonLog log = open();
  EXPECT_TRUE(log.write(1, "a\nb\n", kNow));
  EXPECT_TRUE(log.write(2, "oops\r\n", kNow));
  EXPECT_EQ(
      text_of(path()),
      "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T01:31:00.12Z\"}\n"
      "{\"log\":\"b\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T01:31:00.12Z\"}\n"
      "{\"log\":\"oops\\r\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-23T01:31:00.12Z\"}\n");
}

TEST_F(JsonLogTest, HoldsAnUnfinishedLineBackForEachStream) {
  JsonLog log = open();
  EXPECT_FALSE(log.write(1, "out", kNow));
  EXPECT_FALSE(log.write(2, "err", kNow));
  EXPECT_TRUE(log.write(1, "put\n", kNow));
  EXPECT_EQ(records(path()), std::vector<std::string>{"output\n"});
  EXPECT_TRUE(log.finish(2, kNow));
  EXPECT_FALSE(log.finish(2, kNow));
  EXPECT_EQ(records(path()), (std::vector<std::string>{"output\n", "err"}));
}

TEST_F(JsonLogTest, SplitsLongLinesIntoPartialRecords) {
  std::string line(40'000, 'x');
  for (size_t chunk : {1000u, 16'384u, 32'768u, 50'000u}) {
    std::filesystem::remove(path());
    JsonLog log = open();
    std::string data = line + "\nend\n";
    for (size_t i = 0; i < data.size(); i += chunk) log.write(1, data.substr(i, chunk), kNow);
    EXPECT_EQ(records(path()),
              (std::vector<std::string>{std::string(16'384, 'x'), std::string(16'384, 'x'),
                                        std::string(7'232, 'x') + "\n", "end\n"}))
        << chunk;
  }
}

TEST_F(JsonLogTest, KeepsALineOfExactlyTheLimitWhole) {
  JsonLog log = open();
  log.write(1, std::string(16'384, 'x'), kNow);
  log.write(1, "\n", kNow);
  EXPECT_EQ(records(path()), std::vector<std::string>{std::string(16'384, 'x') + "\n"});
}

TEST_F(JsonLogTest, DoesNotCutInsideACharacter) {
  JsonLog log = open();
  std::string line = std::string(16'383, 'x') + "\xf0\x9f\x98\x80" + "y";
  for (char c : line + "\n") log.write(1, std::string_view(&c, 1), kNow);
  EXPECT_EQ(records(path()),
            (std::vector<std::string>{std::string(16'383, 'x'), "\xf0\x9f\x98\x80y\n"}));
}

TEST_F(JsonLogTest, NeverLosesBytesWhateverTheChunks) {
  std::string data;
  for (int i = 0; i < 3000; ++i)
    data += std::string(static_cast<size_t>(i * 37 % 50), 'a') + (i % 7 ? "\n" : "");
  for (size_t chunk : {1u, 7u, 4096u}) {
    std::filesystem::remove(path());
    JsonLog log = open();
    for (size_t i = 0; i < data.size(); i += chunk) log.write(1, data.substr(i, chunk), kNow);
    log.finish(1, kNow);
    std::string joined;
    for (const std::string& record : records(path())) joined += record;
    EXPECT_EQ(joined, data) << chunk;
  }
}

TEST_F(JsonLogTest, RotatesAndKeepsTheConfiguredNumberOfFiles) {
  JsonLog log = open(200, 3);
  for (int i = 0; i < 20; ++i) log.write(1, "line " + std::to_string(i) + "\n", kNow);
  EXPECT_TRUE(std::filesystem::exists(path() + ".1"));
  EXPECT_TRUE(std::filesystem::exists(path() + ".2"));
  EXPECT_FALSE(std::filesystem::exists(path() + ".3"));
  std::vector<std::string> all;
  for (const std::string& file : {path() + ".2", path() + ".1", path()})
    for (const std::string& record : records(file)) all.push_back(record);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back(), "line 19\n");
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i], "line " + std::to_string(20 - all.size() + i) + "\n");
}

TEST_F(JsonLogTest, EmptiesTheOnlyFileAtItsLimit) {
  JsonLog log = open(300, 1);
  for (int i = 0; i < 50; ++i) log.write(1, "line\n", kNow);
  EXPECT_LE(text_of(path()).size(), 400u);
  EXPECT_FALSE(std::filesystem::exists(path() + ".1"));
}

TEST_F(JsonLogTest, GoesOnWithAnExistingFile) {
  {
    open().write(1, "first\n", kNow);
  }
  {
    open().write(1, "second\n", kNow);
  }
  EXPECT_EQ(records(path()), (std::vector<std::string>{"first\n", "second\n"}));
}

TEST_F(JsonLogTest, CountsWhatAFullDiskDropsAndSaysSoLater) {
  // /dev/full answers every write with "no space left on device".
  Result<JsonLog> full = JsonLog::open("/dev/full", 0, 1);
  ASSERT_TRUE(full);
  EXPECT_FALSE(full->write(1, "a\nb\n", kNow));
  EXPECT_FALSE(full->write(1, "c\n", kNow));
  EXPECT_EQ(full->dropped(), 3u);
}

TEST_F(JsonLogTest, TriesAFullDiskAgainAfterAMomentAndAtTheEnd) {
  auto fail_once = [] {
    setenv("WHERRY_FAILPOINT", "monitor.log_write:enospc@1", 1);
    arm_failpoints();
    unsetenv("WHERRY_FAILPOINT");
  };
  JsonLog log = open();
  fail_once();
  EXPECT_FALSE(log.write(1, "a\n", kNow));
  EXPECT_FALSE(log.write(1, "b\n", kNow + JsonLog::kRetryNs - 1)) << "there is room by now";
  EXPECT_EQ(log.dropped(), 2u);
  EXPECT_TRUE(log.write(1, "c\n", kNow + JsonLog::kRetryNs));
  EXPECT_EQ(log.dropped(), 0u);
  fail_once();
  EXPECT_FALSE(log.write(1, "d\n", kNow));
  EXPECT_TRUE(log.finish(1, kNow + 1));
  std::vector<std::string> logs = records(path());
  ASSERT_EQ(logs.size(), 3u);
  EXPECT_TRUE(logs[0].starts_with("wherry: 2 log records were lost: ")) << logs[0];
  EXPECT_EQ(logs[1], "c\n");
  EXPECT_TRUE(logs[2].starts_with("wherry: 1 log records were lost: ")) << logs[2];
}

TEST_F(JsonLogTest, FailsToOpenWhereThereIsNoDirectory) {
  Result<JsonLog> log = JsonLog::open(directory_ + "/no/c.log", 0, 1);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind(), ErrorKind::kNotFound);
}

TEST_F(JsonLogTest, DropsEverythingWithoutAFile) {
  JsonLog log;
  EXPECT_FALSE(log.write(1, "a\n", kNow));
  EXPECT_FALSE(log.finish(1, kNow));
}

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(out, text);
  return out;
}

TEST(JsonEscape, FollowsGosEncoder) {
  EXPECT_EQ(escaped("a\"b\\c\n\r\t\x01\x7f<>&"),
            "a\\\"b\\\\c\\n\\r\\u0009\\u0001\x7f\\u003c\\u003e\\u0026");
  EXPECT_EQ(escaped("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(escaped("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029");
}

TEST(JsonEscape, ReplacesEachInvalidByte) {
  EXPECT_EQ(escaped("\xff"), "\\ufffd");
  EXPECT_EQ(escaped("a\xc3"), "a\\ufffd");
  EXPECT_EQ(escaped("\xc0\x80"), "\\ufffd\\ufffd");             // not the shortest form
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");  // a surrogate
  EXPECT_EQ(escaped("\xf4\x90\x80\x80x"), "\\ufffd\\ufffd\\ufffd\\ufffdx");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\u0000");
}

}  // namespace
}  // namespace wherry::monitor
