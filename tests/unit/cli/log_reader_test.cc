#include "cli/log_reader.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace wherry::cli {
namespace {

class LogReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wherry-log-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/x-json.log";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::string line(const std::string& escaped, const std::string& stream = "stdout") {
    return R"({"log":")" + escaped + R"(","stream":")" + stream +
           R"(","time":"2026-01-01T00:00:00.5Z"})" + "\n";
  }
  void append(const std::string& text, const std::string& suffix = "") {
    std::ofstream(path_ + suffix, std::ios::app) << text;
  }
  static std::string read(LogReader& reader) {
    std::string text;
    auto done = reader.read_available([&](const LogRecord& record) -> Result<void> {
      text += (record.stream == 2 ? "!" : "") + record.text;
      return {};
    });
    return done ? text : done.error().message();
  }
  std::string read_with_tail(std::optional<uint64_t> tail) {
    auto reader = LogReader::open(path_, tail);
    return reader ? read(*reader) : reader.error().message();
  }

  std::string directory_, path_;
};

TEST_F(LogReaderTest, ReadsRotatedFilesOldestFirst) {
  append(line("1\\n"), ".2");
  append(line("2\\n"), ".1");
  append(line("3\\n") + line("4\\n", "stderr"));
  EXPECT_EQ(read_with_tail(std::nullopt), "1\n2\n3\n!4\n");
}

TEST_F(LogReaderTest, TailCountsMessagesFromTheEndAcrossFiles) {
  append(line("1\\n") + line("2\\n"), ".1");
  append(line("3\\n") + line("4\\n"));
  EXPECT_EQ(read_with_tail(0), "");
  EXPECT_EQ(read_with_tail(1), "4\n");
  EXPECT_EQ(read_with_tail(2), "3\n4\n");
  EXPECT_EQ(read_with_tail(3), "2\n3\n4\n");
  EXPECT_EQ(read_with_tail(99), "1\n2\n3\n4\n");
}

TEST_F(LogReaderTest, TailOfALargeLogStartsInTheRightPlace) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += line("line " + std::to_string(i) + "\\n");
  append(text);
  EXPECT_EQ(read_with_tail(2), "line 19998\nline 19999\n");
  std::string many = read_with_tail(5000);
  EXPECT_EQ(std::count(many.begin(), many.end(), '\n'), 5000);
  EXPECT_TRUE(many.starts_with("line 15000\n"));
}

TEST_F(LogReaderTest, AMessageInPartsIsOneForTheTail) {
  append(line("a\\n") + line("b1") + line("b2") + line("b3\\n"));
  EXPECT_EQ(read_with_tail(1), "b1b2b3\n");
  EXPECT_EQ(read_with_tail(2), "a\nb1b2b3\n");
}

TEST_F(LogReaderTest, ALastMessageWithoutNewlineCounts) {
  append(line("a\\n") + line("prompt> "));
  EXPECT_EQ(read_with_tail(1), "prompt> ");
}

TEST_F(LogReaderTest, DamagedLinesAreSkippedAndCounted) {
  append("garbage\n" + line("ok\\n") + "{\"log\":1}\n" +
         "{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"never\"}\n" +
         std::string(kMaxLogLine + 10, 'x') + "\n" + std::string(5000, '[') + "\n" +
         line("end\\n"));
  auto reader = LogReader::open(path_, std::nullopt);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read(*reader), "ok\nend\n");
  EXPECT_EQ(reader->damaged(), 5U);
  EXPECT_EQ(read_with_tail(2), "ok\nend\n");
}

TEST_F(LogReaderTest, AHalfWrittenLineWaitsForItsRest) {
  std::string whole = line("later\\n");
  append(line("now\\n") + whole.substr(0, 20));
  auto reader = LogReader::open(path_, std::nullopt);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read(*reader), "now\n");
  append(whole.substr(20));
  EXPECT_EQ(read(*reader), "later\n");
  EXPECT_EQ(reader->damaged(), 0U);
}

TEST_F(LogReaderTest, FollowsARotation) {
  append(line("1\\n"));
  auto reader = LogReader::open(path_, std::nullopt);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read(*reader), "1\n");
  append(line("2\\n"));
  std::filesystem::rename(path_, path_ + ".1");
  append(line("3\\n"));
  EXPECT_EQ(read(*reader), "2\n3\n");
  std::filesystem::rename(path_ + ".1", path_ + ".2");
  std::filesystem::rename(path_, path_ + ".1");
  append(line("4\\n"));
  EXPECT_EQ(read(*reader), "4\n");
  EXPECT_FALSE(reader->lost());
}

TEST_F(LogReaderTest, TellsWhenRotatedFilesWereGoneBeforeTheyWereRead) {
  append(line("1\\n"));
  auto reader = LogReader::open(path_, std::nullopt);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read(*reader), "1\n");
  std::filesystem::remove(path_);
  append(line("9\\n"));
  EXPECT_EQ(read(*reader), "9\n");
  EXPECT_TRUE(reader->lost());
}

TEST_F(LogReaderTest, AMissingLogIsEmpty) {
  EXPECT_EQ(read_with_tail(5), "");
}

TEST(MessageStarts, AreKeptPerStream) {
  MessageStarts starts;
  EXPECT_TRUE(starts.begins({"a", 1, 0}));
  EXPECT_TRUE(starts.begins({"e\n", 2, 0}));
  EXPECT_FALSE(starts.begins({"b\n", 1, 0}));
  EXPECT_TRUE(starts.begins({"c\n", 1, 0}));
}

}  // namespace
}  // namespace wherry::cli
