#include "monitor/config.h"

#include <gtest/gtest.h>

#include "monitor/json_object.h"
#include "runtime/seccomp.h"
#include "sys/sha256.h"

namespace wherry::monitor {
namespace {

MonitorConfig container_config() {
  MonitorConfig config;
  config.container_id = "c1";
  config.run_dir = "/run/x/c1";
  config.log_path = "/var/x\xff/c1.log";
  config.log_max_size = 1u << 30;
  config.log_max_files = 5;
  config.open_stdin = true;
  config.stdin_once = true;
  config.ports = {{"udp", "::", 5353, 0xac110002, 53}};
  config.nft_on_start = std::string("\0\x01\xff", 3);
  config.nft_on_stop = "x";
  config.settle_command = {"/usr/bin/wherry", "__settle", "c1"};
  config.trace = true;
  config.ends_with_clients = true;
  MonitorConfig::ContainerPlan plan;
  plan.spec.root_path = "/";
  plan.spec.process.args = {"/bin/true"};
  plan.spec.hostname = "host";
  plan.root.lower = {"/l1", "/l2"};
  plan.root.metadata = "/trees/x\xff.erofs";
  plan.root.objects = "/objects";
  plan.root.upper = "/u";
  plan.root.work = "/w";
  plan.root.volatile_upper = true;
  plan.seccomp_filter = std::string("\x20\0\0\0\x04\0\0\0", 8);
  plan.link =
      sys::LinkPlan{"br", "veth1", "eth0", {2, 0, 0, 0, 0, 255}, 0xac110002, 24, 0xac110001, 1400};
  plan.user = "nobody";
  plan.create_cwd = true;
  config.container = std::move(plan);
  return config;
}

// The bytes have no names: another layout under the same version would be misread.
TEST(MonitorConfig, HasTheLayoutOfItsVersion) {
  ASSERT_EQ(kConfigVersion, 2) << "compute this test's digest anew";
  EXPECT_EQ(sys::sha256(to_bytes(container_config())).hex(),
            "73f580ca30f5e1cb09b8fe886d46074f27fe37f8fe3b37fc4b38bb66ee7ad99b")
      << "the layout has changed: that takes a new kConfigVersion";
}

TEST(MonitorConfig, CarriesAContainersPlan) {
  MonitorConfig config = container_config();
  Result<MonitorConfig> parsed = parse_monitor_config(to_bytes(config));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_bytes(*parsed), to_bytes(config));
  EXPECT_EQ(parsed->log_path, config.log_path);
  EXPECT_EQ(parsed->nft_on_start, config.nft_on_start);
  EXPECT_EQ(parsed->container->seccomp_filter, config.container->seccomp_filter);
  EXPECT_EQ(parsed->container->link->mac[5], 255);
  EXPECT_EQ(parsed->container->spec.hostname, "host");
  EXPECT_EQ(parsed->ports.at(0).host_port, 5353);
  EXPECT_EQ(parsed->container->user, "nobody");
  EXPECT_EQ(parsed->container->root.metadata, config.container->root.metadata);
  EXPECT_EQ(parsed->container->root.objects, "/objects");
}

TEST(MonitorConfig, CarriesAnExecSession) {
  MonitorConfig config;
  config.container_id = "c1";
  config.run_dir = "/run/x/c1/exec/e1";
  MonitorConfig::ExecPlan plan;
  plan.options.init_pid = 99;
  plan.options.init_start_time = 12345;
  plan.options.cgroups_path = "/wherry/c1";
  plan.options.process.args = {"sh"};
  plan.options.process.terminal = true;
  config.exec = plan;
  Result<MonitorConfig> parsed = parse_monitor_config(to_bytes(config));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_bytes(*parsed), to_bytes(config));
  EXPECT_EQ(parsed->exec->options.init_start_time, 12345u);
  EXPECT_TRUE(parsed->exec->options.process.terminal);
  EXPECT_FALSE(parsed->container);
}

TEST(MonitorConfig, DoesNotCarryTheDefaultSeccompFilter) {
  MonitorConfig config = container_config();
  config.container->seccomp_filter = runtime::default_seccomp_filter();
  std::string bytes = to_bytes(config);
  EXPECT_EQ(bytes.find(config.container->seccomp_filter), bytes.npos);
  Result<MonitorConfig> parsed = parse_monitor_config(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->container->seccomp_filter, runtime::default_seccomp_filter());
}

TEST(MonitorConfig, RefusesWhatItCannotServe) {
  auto refused = [](auto change) {
    MonitorConfig config = container_config();
    change(config);
    Result<MonitorConfig> parsed = parse_monitor_config(to_bytes(config));
    return parsed ? std::string() : parsed.error().message();
  };
  EXPECT_NE(refused([](auto& c) { c.version = kConfigVersion + 1; }).find("'version'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.run_dir = "x"; }).find("'run_dir'"), std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.container->root.metadata = "x"; }).find("'metadata'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.container->root.objects = ""; }).find("'objects'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.log_max_files = 0; }).find("'log_max_files'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.container.reset(); }).find("'container'"), std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.ports[0].protocol = "sctp"; }).find("'protocol'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.ports[0].host_port = 0; }).find("'host_port'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.settle_command = {"wherry"}; }).find("'settle_command'"),
            std::string::npos);
}

TEST(MonitorConfig, RefusesWhatFollowsItAndOtherVersionsWhole) {
  std::string bytes = to_bytes(container_config());
  EXPECT_NE(parse_monitor_config(bytes + "x").error().message().find("followed"),
            std::string::npos);
  // Not a word of another layout is looked at.
  bytes.replace(0, 1, "\x7f");
  bytes.resize(20);
  EXPECT_NE(parse_monitor_config(bytes).error().message().find("'version'"), std::string::npos);
}

TEST(MonitorConfig, RefusesEveryTruncation) {
  std::string bytes = to_bytes(container_config());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(parse_monitor_config(bytes.substr(0, length))) << length;
}

TEST(Base64, ComesBackForEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 7);
  }
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
}

TEST(Base64, RefusesWhatIsMalformed) {
  for (const char* text : {"a", "ab", "abc", "ab=c", "a===", "====", "ab!=", "Zm8=Zm8="})
    EXPECT_FALSE(base64_decode(text)) << text;
}

}  // namespace
}  // namespace wherry::monitor
