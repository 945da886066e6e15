#include "ocicli/record.h"

#include <gtest/gtest.h>

namespace wherry::ocicli {
namespace {

Record sample() {
  Record record;
  record.phase = Record::Phase::kStarted;
  record.id = "web";
  record.oci_version = "1.2.0";
  record.bundle = "/bundles/web";
  record.rootfs = "/bundles/web/rootfs";
  record.cgroup = {"/wherry-oci/web", "wherry-oci-web.scope"};
  record.created_ns = 1'800'000'000'123'000'000;
  record.owner = 7;
  record.annotations = {{"a", "1"}, {"b", "\xff"}};
  record.pid = 4711;
  record.start_time = UINT64_MAX;
  record.notify = true;
  return record;
}

TEST(Record, ReadsBackWhatItWrote) {
  Record record = sample();
  record.annotations["b"] = "plain";
  Result<Record> read = parse_record(to_json(record));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(to_json(*read), to_json(record));
  EXPECT_EQ(read->phase, Record::Phase::kStarted);
  EXPECT_EQ(read->start_time, UINT64_MAX);
  EXPECT_EQ(read->cgroup.unit, "wherry-oci-web.scope");
}

TEST(Record, BytesThatAreNoTextAreWrittenWithReplacement) {
  EXPECT_TRUE(parse_record(to_json(sample())));
}

TEST(Record, DamageIsToldAndNeverGuessed) {
  std::string good = to_json(sample());
  const char* damaged[] = {
      "", "{", "[]", "null", R"({"version":1})", R"({"version":"1"})", R"({"version":-1})"};
  for (const char* text : damaged) {
    Result<Record> read = parse_record(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt) << text;
  }
  for (const char* key : {"phase", "pid", "startTime", "cgroup", "annotations"}) {
    std::string without = good;
    without.replace(without.find(key), 1, "X");
    EXPECT_FALSE(parse_record(without)) << key;
  }
}

TEST(Record, AnotherVersionIsNamed) {
  Result<Record> read = parse_record(R"({"version":2})");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kUnsupported);
}

TEST(State, HasThePidOnlyWhileThereIsAProcess) {
  std::string running = state_json(sample(), Status::kRunning, "root");
  EXPECT_NE(running.find(R"("pid": 4711)"), std::string::npos) << running;
  EXPECT_NE(running.find(R"("status": "running")"), std::string::npos) << running;
  EXPECT_NE(running.find(R"("created": "2027-01-15T08:00:00.123Z")"), std::string::npos) << running;
  std::string stopped = state_json(sample(), Status::kStopped, "root");
  EXPECT_NE(stopped.find(R"("pid": 0)"), std::string::npos) << stopped;
}

TEST(State, AnEmptyListIsRuncsNull) {
  EXPECT_EQ(states_json({}), "null");
  EXPECT_EQ(states_json({R"({"id":"a"})", R"({"id":"b"})"}), R"([{"id":"a"},{"id":"b"}])");
}

}  // namespace
}  // namespace wherry::ocicli
