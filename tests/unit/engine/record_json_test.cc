#include "engine/record_json.h"

#include <gtest/gtest.h>

#include "engine/record.h"

namespace wherry::engine {
namespace {

ContainerRecord full_record() {
  ContainerRecord record;
  record.id = std::string(64, 'a');
  record.name = "web";
  record.created = "2026-11-23T01:02:03.5Z";
  record.path = "sh";
  record.args = {"-c", "echo \"hi\"\n"};
  record.image_id = "sha256:" + std::string(64, 'b');
  record.restart_count = 2;
  record.config.hostname = "h";
  record.config.domainname = "example";
  record.config.user = "1:2";
  record.config.attach_stdout = record.config.tty = record.config.open_stdin = true;
  record.config.stdin_once = record.config.attach_stdin = record.config.attach_stderr = true;
  record.config.env = {"A=1", "B="};
  record.config.cmd = {"c"};
  record.config.entrypoint = {"e"};
  record.config.image = "debian";
  record.config.working_dir = "/w";
  record.config.labels = {{"k", "v"}, {"empty", ""}};
  record.config.exposed_ports = {"80/tcp"};
  record.config.volumes = {"/data"};
  record.config.stop_signal = "SIGINT";
  record.config.stop_timeout = 3;
  record.host_config.binds = {"/a:/b:ro"};
  record.host_config.network_mode = "none";
  record.host_config.port_bindings = {{"80/tcp", {{"127.0.0.1", "8080"}, {"", ""}}}};
  record.host_config.auto_remove = record.host_config.privileged =
      record.host_config.readonly_rootfs = true;
  record.host_config.cap_add = {"NET_ADMIN"};
  record.host_config.cap_drop = {"ALL"};
  record.host_config.memory = 1 << 30;
  record.host_config.nano_cpus = 1500000000;
  record.host_config.pids_limit = 100;
  record.host_config.memory_swap = -1;
  record.host_config.shm_size = 1 << 20;
  record.mounts = {
      {"volume", std::string(64, 'c'), "/r/volumes/c/_data", "/data", "ro", false, "", true, false},
      {"bind", "", "/a", "/b", "", true, "rprivate", false, true}};
  record.state = {
      "exited", true, 0, 137, "it\xff broke", "2026-11-23T01:02:04Z", "2026-11-23T01:02:05Z"};
  record.network_settings.bridge = "wherry0";
  record.network_settings.ports = {{"80/tcp", {{"0.0.0.0", "8080"}}}, {"443/tcp", {}}};
  record.network_settings.networks["bridge"] = {
      "n", "e", "172.17.0.1", "172.17.0.2", "02:42:ac:11:00:02", 16};
  return record;
}

TEST(RecordJson, ReadsBackWhatItWrote) {
  ContainerRecord record = full_record();
  std::string text = to_json(record);
  auto again = parse_record(text);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->state.error, record.state.error);
  EXPECT_EQ(to_json(*again), to_json(record));
  EXPECT_EQ(again->mounts[0].anonymous, true);
  EXPECT_EQ(again->mounts[0].copy, false);
  EXPECT_EQ(again->config.stop_timeout, 3);
  EXPECT_EQ(again->host_config.port_bindings.at("80/tcp").size(), 2u);
  EXPECT_EQ(again->network_settings.networks.at("bridge").ip_prefix_len, 16);
}

TEST(RecordJson, BytesThatAreNoUtf8ComeBackAndInspectShowsThemAsDockerDoes) {
  ContainerRecord record = full_record();
  record.config.env = {"NAME=caf\xe9", "OTHER=\xf4\x8f\xbf\xa9"};
  record.args = {"\xff\xfe", "caf\xc3\xa9"};
  record.config.labels = {{"k\xe9y", "v"}};
  Result<ContainerRecord> again = parse_record(to_json(record));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->config.env, record.config.env);
  EXPECT_EQ(again->args, record.args);
  EXPECT_EQ(again->config.labels, record.config.labels);
  EXPECT_NE(inspect_json(record, "", "").find("NAME=caf\xef\xbf\xbd"), std::string::npos);
}

TEST(RecordJson, InspectHasDockersNamesAndOrder) {
  std::string text = inspect_json(full_record(), "/log", "/root");
  size_t last = 0;
  for (const char* key : {"\"Id\"", "\"Created\"", "\"Path\"", "\"Args\"", "\"State\"", "\"Image\"",
                          "\"LogPath\"", "\"Name\"", "\"RestartCount\"", "\"HostConfig\"",
                          "\"Mounts\"", "\"Config\"", "\"NetworkSettings\""}) {
    size_t place = text.find(std::string("\n    ") + key);
    ASSERT_NE(place, std::string::npos) << key;
    EXPECT_GT(place, last) << key;
    last = place;
  }
  EXPECT_NE(text.find("\"Name\": \"/web\""), std::string::npos);
  EXPECT_NE(text.find("\"Running\": false"), std::string::npos);
  EXPECT_EQ(text.find("Anonymous"), std::string::npos);
}

TEST(RecordJson, CorruptRecordsAreErrorsNeverCrashes) {
  std::string good = to_json(full_record());
  for (std::string text :
       {std::string(""), std::string("{}"), std::string("[]"), std::string("null"),
        good.substr(0, good.size() / 2), std::string(200000, '['), std::string("{\"Id\":1}"),
        std::string("{\"Id\":\"zz\",\"Name\":\"x\"}")}) {
    auto record = parse_record(text);
    ASSERT_FALSE(record);
    EXPECT_EQ(record.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(RecordJson, AFieldOfTheWrongTypeIsNamed) {
  std::string text = to_json(full_record());
  size_t place = text.find("\"Memory\":1073741824");
  ASSERT_NE(place, std::string::npos);
  text.replace(place, 19, "\"Memory\":\"lots\"");
  auto record = parse_record(text);
  ASSERT_FALSE(record);
  EXPECT_NE(record.error().message().find("'Memory'"), std::string::npos)
      << record.error().message();
}

TEST(RecordJson, NetworkSettingsTravelAlone) {
  NetworkSettings settings = full_record().network_settings;
  auto again = parse_network_settings(network_settings_to_json(settings));
  ASSERT_TRUE(again);
  EXPECT_EQ(network_settings_to_json(*again), network_settings_to_json(settings));
  EXPECT_FALSE(parse_network_settings("{\"Networks\":{\"bridge\":3"));
}

}  // namespace
}  // namespace wherry::engine
