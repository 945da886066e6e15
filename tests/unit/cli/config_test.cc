#include "cli/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace wherry::cli {
namespace {

std::string error_of(std::string_view json) {
  Config config;
  auto applied = apply_config(config, json, "f");
  return applied ? "no error" : applied.error().message();
}

TEST(Config, TakesTheKeysOfDaemonJson) {
  Config config;
  ASSERT_TRUE(apply_config(config,
                           R"({"data-root": "/d", "exec-root": "/r", "log-driver": "json-file",
      "log-opts": {"max-size": "10m", "max-file": "3"}, "ip": "127.0.0.1", "log-level": "warn"})",
                           "f"));
  EXPECT_EQ(config.data_root, "/d");
  EXPECT_EQ(config.run_root, "/r");
  EXPECT_EQ(config.log_max_size, "10m");
  EXPECT_EQ(config.log_max_files, 3);
  EXPECT_EQ(config.publish_address, "127.0.0.1");
  EXPECT_EQ(config.log_level, LogLevel::kWarn);
}

TEST(Config, RefusesUnknownKeysWithTheNearestRightOne) {
  Config config;
  auto applied = apply_config(config, R"({"data-rot": "/d"})", "/etc/x");
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().message(), "'/etc/x': key 'data-rot' is unknown");
  EXPECT_EQ(applied.error().hint(), "did you mean 'data-root'?");
  EXPECT_EQ(error_of(R"({"log-opts": {"max-siz": "1m"}})"),
            "'f': key 'log-opts.max-siz' is unknown");
}

TEST(Config, NamesDockerKeysThatAreNotThereYet) {
  EXPECT_EQ(error_of(R"({"live-restore": true})"), "'f': key 'live-restore' is not supported yet");
  EXPECT_NE(
      error_of(R"({"log-driver": "journald"})").find("log-driver 'journald' is not supported yet"),
      std::string::npos);
}

TEST(Config, TellsWhatThereIsInsteadOfABuildersCollection) {
  Config config;
  Result<void> applied =
      apply_config(config, R"({"builder": {"gc": {"enabled": true}}})", "/etc/x");
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().message(), "'/etc/x': key 'builder' is not supported");
  EXPECT_NE(applied.error().hint().find("builder prune"), std::string::npos);
}

TEST(Config, RefusesWrongTypesAndValuesWithTheirKey) {
  EXPECT_EQ(error_of(R"({"data-root": 1})"), "'f': key 'data-root' must be a string");
  EXPECT_EQ(error_of(R"({"data-root": "relative"})"),
            "'f': key 'data-root' must be an absolute path");
  EXPECT_EQ(error_of(R"({"debug": "yes"})"), "'f': key 'debug' must be true or false");
  EXPECT_EQ(error_of(R"({"log-opts": []})"), "'f': key 'log-opts' must be an object");
  EXPECT_NE(error_of(R"({"log-opts": {"max-file": 3}})").find("must be a string"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"log-opts": {"max-file": "0"}})").find("1 to 1000"), std::string::npos);
  EXPECT_NE(error_of(R"({"log-opts": {"max-size": "0"}})").find("must be a size"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"ip": "300.1.1.1"})").find("must be an IP address"), std::string::npos);
  EXPECT_NE(error_of(R"({"log-level": "loud"})").find("debug, info, warn or error"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"exec-root": "/a", "run-root": "/b"})").find("same setting"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"ip": "1.1.1.1", "ip": "2.2.2.2"})").find("there twice"),
            std::string::npos);
}

TEST(Config, TakesRegistriesAndChecksEachOfThem) {
  Config config;
  ASSERT_TRUE(apply_config(config,
                           R"({"registry-mirrors": ["https://mirror.example:5000/"],
      "insecure-registries": ["registry.lan", "[::1]:5000", "10.0.0.0/8"],
      "max-concurrent-downloads": 7, "max-concurrent-uploads": 64})",
                           "f"));
  EXPECT_EQ(config.registries.mirrors, std::vector<std::string>{"https://mirror.example:5000/"});
  EXPECT_EQ(config.registries.insecure.size(), 3U);
  EXPECT_EQ(config.max_downloads, 7);
  EXPECT_EQ(config.max_uploads, 64);
  for (const char* bad :
       {R"({"registry-mirrors": "https://a"})", R"({"registry-mirrors": [1]})",
        R"({"registry-mirrors": ["mirror.example"]})",
        R"({"registry-mirrors": ["https://a.example/v2"]})",
        R"({"registry-mirrors": ["https://user:secret@a.example"]})",
        R"({"insecure-registries": ["http://a.example"]})",
        R"({"insecure-registries": ["10.0.0.0/33"]})", R"({"insecure-registries": [""]})",
        R"({"max-concurrent-downloads": 0})", R"({"max-concurrent-uploads": 65})",
        R"({"max-concurrent-uploads": "3"})", R"({"max-concurrent-uploads": 1.5})"})
    EXPECT_NE(error_of(bad).find("key '"), std::string::npos) << bad;
}

TEST(Config, TakesAStorageDriverOfOursAndRefusesDockersByName) {
  Config config;
  for (store::Rung rung : store::kRungs) {
    std::string text = R"({"storage-driver": ")" + std::string(store::rung_name(rung)) + "\"}";
    ASSERT_TRUE(apply_config(config, text, "f"));
    EXPECT_EQ(config.storage_driver, rung);
    Config again;
    ASSERT_TRUE(apply_config(again, config_json(config), "f"));
    EXPECT_EQ(again.storage_driver, rung);
  }
  ASSERT_TRUE(apply_config(config, R"({"storage-driver": ""})", "f"));
  EXPECT_FALSE(config.storage_driver);
  Result<void> foreign = apply_config(config, R"({"storage-driver": "overlay2"})", "f");
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(foreign.error().message().find("'f': storage-driver 'overlay2' is not one of"),
            std::string::npos);
  EXPECT_NE(foreign.error().hint().find("leave the key out"), std::string::npos);
  Result<void> unknown = apply_config(config, R"({"storage-driver": "refink"})", "f");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().hint(), "did you mean 'reflink'?");
  EXPECT_NE(error_of(R"({"storage-driver": 1})").find("must be a string"), std::string::npos);
}

TEST(Config, RefusesWhatIsNoDocument) {
  for (std::string_view text : {"", "[]", "nul", "{", "{}x", "\xff"})
    EXPECT_NE(error_of(text), "no error") << text;
  EXPECT_NE(error_of("{\"ip\":" + std::string(100000, '[')), "no error");
  EXPECT_EQ(error_of("{}"), "no error");
}

TEST(Config, TheLaterFileWinsKeyByKey) {
  Config config;
  ASSERT_TRUE(apply_config(
      config, R"({"data-root": "/a", "log-opts": {"max-size": "1m", "max-file": "2"}})", "f"));
  ASSERT_TRUE(apply_config(config, R"({"log-opts": {"max-file": "5"}, "debug": true})", "g"));
  EXPECT_EQ(config.data_root, "/a");
  EXPECT_EQ(config.log_max_size, "1m");
  EXPECT_EQ(config.log_max_files, 5);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  ASSERT_TRUE(apply_config(
      config, R"({"log-opts": {"max-size": "-1"}, "debug": false, "log-level": "error"})", "h"));
  EXPECT_EQ(config.log_max_size, "");
  EXPECT_EQ(config.log_level, LogLevel::kError);
}

TEST(Config, ItsOwnOutputIsAValidDocument) {
  Config config;
  config.data_root = "/x";
  config.log_max_size = "7m";
  Config again;
  ASSERT_TRUE(apply_config(again, config_json(config), "f"));
  EXPECT_EQ(again.data_root, "/x");
  EXPECT_EQ(again.log_max_size, "7m");
}

TEST(Config, LooksInXdgThenHome) {
  auto xdg = [](const char* name) -> std::optional<std::string> {
    return std::string(name) == "XDG_CONFIG_HOME" ? "/x" : "/h";
  };
  EXPECT_EQ(config_files("", xdg)[1], "/x/wherry/config.json");
  auto home = [](const char* name) -> std::optional<std::string> {
    return std::string(name) == "HOME" ? std::optional<std::string>("/h") : std::nullopt;
  };
  EXPECT_EQ(config_files("", home)[1], "/h/.config/wherry/config.json");
  auto nothing = [](const char*) -> std::optional<std::string> { return std::nullopt; };
  EXPECT_EQ(config_files("", nothing).size(), 1U);
  EXPECT_EQ(config_files("/nowhere/f.json", nothing), std::vector<std::string>{"/nowhere/f.json"});
}

TEST(Config, AnExplicitFileMustBeThere) {
  auto nothing = [](const char*) -> std::optional<std::string> { return std::nullopt; };
  EXPECT_FALSE(load_config("/nonexistent/wherry.json", nothing));
  char directory[] = "/tmp/wherry-config-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  std::ofstream(std::string(directory) + "/config.json") << R"({"data-root": "/from-file"})";
  auto loaded = load_config(directory, nothing);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->data_root, "/from-file");
}

}  // namespace
}  // namespace wherry::cli
