#include "ocicli/stats.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace wherry::ocicli {
namespace {

using nlohmann::json;

TEST(StatsEvent, HasTheNamesThatGoRuncReads) {
  runtime::CgroupStats stats;
  stats.cpu_total = 5;
  stats.cpu_percpu = {2, 3};
  stats.memory = {.usage = 10, .max = 20, .failcnt = 1, .limit = UINT64_MAX};
  stats.memory_raw = {{"rss", 7}};
  stats.pids_current = 2;
  stats.pids_limit = 100;
  stats.io_bytes = {{8, 0, "Read", 4096}};
  stats.huge_pages["2MB"] = {.usage = 1, .max = 2, .failcnt = 3};
  json event = json::parse(stats_event("web", stats));
  EXPECT_EQ(event["type"], "stats");
  EXPECT_EQ(event["id"], "web");
  const json& data = event["data"];
  EXPECT_EQ(data["cpu"]["usage"]["total"], 5);
  EXPECT_EQ(data["cpu"]["usage"]["percpu"], json({2, 3}));
  EXPECT_EQ(data["memory"]["usage"]["limit"], UINT64_MAX);
  EXPECT_EQ(data["memory"]["raw"]["rss"], 7);
  EXPECT_EQ(data["pids"], json({{"current", 2}, {"limit", 100}}));
  EXPECT_EQ(data["blkio"]["ioServiceBytesRecursive"][0]["value"], 4096);
  EXPECT_EQ(data["hugetlb"]["2MB"]["failcnt"], 3);
  EXPECT_FALSE(data["cpu"].contains("psi"));
}

TEST(StatsEvent, LeavesOutWhatIsNotThere) {
  json data = json::parse(stats_event("web", {}))["data"];
  EXPECT_FALSE(data["pids"].contains("limit"));
  EXPECT_TRUE(data["blkio"].empty());
}

TEST(OomEvent, NamesTheContainer) {
  EXPECT_EQ(oom_event("web"), "{\"type\":\"oom\",\"id\":\"web\"}\n");
}

}  // namespace
}  // namespace wherry::ocicli
