#include "cli/run_request.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace wherry::cli {
namespace {

std::optional<std::string> fake_environment(const char* name) {
  if (std::string(name) == "SET") return "ours";
  return std::nullopt;
}

Result<RunRequest> request(std::vector<std::string> words) {
  auto flags = parse_flags(words, kRunFlags);
  if (!flags) return std::move(flags.error());
  return run_request(*flags, fake_environment);
}
std::string error_of(std::vector<std::string> words) {
  words.push_back("debian");
  auto made = request(std::move(words));
  return made ? "no error" : made.error().message();
}

TEST(RunRequest, CarriesEveryFlagToTheEngine) {
  auto made = request({"-it",
                       "--rm",
                       "--name",
                       "web",
                       "-e",
                       "A=1",
                       "-e",
                       "SET",
                       "-e",
                       "UNSET",
                       "-w",
                       "/srv",
                       "-u",
                       "1:2",
                       "-v",
                       "/a:/b:ro",
                       "-v",
                       "vol:/c",
                       "-v",
                       "/d",
                       "-h",
                       "box",
                       "--entrypoint",
                       "sh",
                       "-l",
                       "k=v",
                       "-l",
                       "bare",
                       "-m",
                       "64m",
                       "--memory-swap",
                       "-1",
                       "--cpus",
                       "0.5",
                       "--pids-limit",
                       "9",
                       "--cap-add",
                       "NET_ADMIN",
                       "--cap-drop",
                       "ALL",
                       "--privileged",
                       "--read-only",
                       "--net",
                       "none",
                       "-p",
                       "8080:80",
                       "--expose",
                       "90-91",
                       "--stop-signal",
                       "INT",
                       "--stop-timeout",
                       "3",
                       "--shm-size",
                       "1m",
                       "--sig-proxy=false",
                       "-q",
                       "debian:bookworm",
                       "ls",
                       "-l"});
  ASSERT_TRUE(made) << made.error().message();
  const auto& config = made->create.config;
  const auto& host = made->create.host_config;
  EXPECT_EQ(made->create.name, "web");
  EXPECT_TRUE(config.tty && config.open_stdin && config.stdin_once && config.attach_stdin);
  EXPECT_EQ(config.env, (std::vector<std::string>{"A=1", "SET=ours", "UNSET"}));
  EXPECT_EQ(config.working_dir, "/srv");
  EXPECT_EQ(config.user, "1:2");
  EXPECT_EQ(host.binds, (std::vector<std::string>{"/a:/b:ro", "vol:/c"}));
  EXPECT_EQ(config.volumes, std::vector<std::string>{"/d"});
  EXPECT_EQ(config.hostname, "box");
  EXPECT_EQ(config.entrypoint, std::vector<std::string>{"sh"});
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"ls", "-l"}));
  EXPECT_EQ(config.labels, (std::map<std::string, std::string>{{"bare", ""}, {"k", "v"}}));
  EXPECT_EQ(host.memory, 64 << 20);
  EXPECT_EQ(host.memory_swap, -1);
  EXPECT_EQ(host.nano_cpus, 500'000'000);
  EXPECT_EQ(host.pids_limit, 9);
  EXPECT_EQ(host.cap_add, std::vector<std::string>{"NET_ADMIN"});
  EXPECT_EQ(host.cap_drop, std::vector<std::string>{"ALL"});
  EXPECT_TRUE(host.privileged && host.readonly_rootfs && host.auto_remove);
  EXPECT_EQ(host.network_mode, "none");
  EXPECT_EQ(host.port_bindings.at("80/tcp")[0].host_port, "8080");
  EXPECT_EQ(config.exposed_ports, (std::vector<std::string>{"90/tcp", "91/tcp"}));
  EXPECT_EQ(config.stop_signal, "INT");
  EXPECT_EQ(config.stop_timeout, 3);
  EXPECT_EQ(host.shm_size, 1U << 20);
  EXPECT_FALSE(made->sig_proxy);
  EXPECT_TRUE(made->quiet);
}

TEST(RunRequest, AttachedStreamsFollowTheFlags) {
  auto plain = request({"debian"});
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->create.config.attach_stdin);
  EXPECT_TRUE(plain->create.config.attach_stdout && plain->create.config.attach_stderr);
  auto only = request({"-a", "stderr", "debian"});
  ASSERT_TRUE(only);
  EXPECT_FALSE(only->create.config.attach_stdout);
  EXPECT_TRUE(only->create.config.attach_stderr);
  auto detached = request({"-d", "-i", "debian"});
  ASSERT_TRUE(detached);
  EXPECT_FALSE(detached->create.config.attach_stdout || detached->create.config.stdin_once);
  EXPECT_TRUE(detached->create.config.open_stdin);
}

TEST(RunRequest, AnEmptyEntrypointResetsTheImages) {
  auto made = request({"--entrypoint", "", "debian"});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->create.config.entrypoint_reset);
  EXPECT_TRUE(made->create.config.entrypoint.empty());
}

TEST(RunRequest, ErrorsHaveDockersWords) {
  EXPECT_EQ(error_of({"-m", "4m"}), "Minimum memory limit allowed is 6MB");
  EXPECT_NE(error_of({"-m", "-1"}).find("invalid size"), std::string::npos);
  EXPECT_NE(error_of({"-m", "12q"}).find("invalid size: '12q'"), std::string::npos);
  EXPECT_EQ(error_of({"--memory-swap", "1g"}),
            "You should always set the Memory limit when using Memoryswap limit, see usage");
  EXPECT_EQ(error_of({"-m", "1g", "--memory-swap", "512m"}),
            "Minimum memoryswap limit should be larger than memory limit, see usage");
  EXPECT_EQ(
      error_of({"--pull", "sometimes"}),
      "invalid pull option: 'sometimes': must be one of \"always\", \"missing\" or \"never\"");
  EXPECT_EQ(error_of({"-w", "srv"}),
            "the working directory 'srv' is invalid, it needs to be an absolute path");
  EXPECT_EQ(error_of({"-e", "=x"}), "invalid environment variable: '=x'");
  EXPECT_EQ(error_of({"-l", "=x"}), "invalid label '=x': empty name");
  EXPECT_EQ(error_of({"--network", "mynet"}), "network 'mynet' is not supported yet");
  EXPECT_EQ(error_of({"--network", "container:x"}), "no error");
  EXPECT_EQ(error_of({"--log-driver", "syslog"}), "log driver 'syslog' is not supported yet");
  EXPECT_EQ(error_of({"--log-opt", "max-size"}),
            "invalid logging opts format from max-size: use NAME=VALUE");
  EXPECT_NE(error_of({"--cpus", "0.001"}).find("range of CPUs is from 0.01 to"), std::string::npos);
  EXPECT_NE(error_of({"--cpus", "100000"}).find("range of CPUs is from 0.01 to"),
            std::string::npos);
  EXPECT_NE(error_of({"-a", "stdlog"}).find("valid streams are STDIN, STDOUT and STDERR"),
            std::string::npos);
  EXPECT_NE(error_of({"-v", "/a:/b:bogus"}), "no error");
  EXPECT_NE(error_of({"-v", "/a:b"}), "no error");
  EXPECT_NE(error_of({"--name", "-bad name-"}), "no error");
  EXPECT_NE(error_of({"--stop-signal", "NOSUCH"}), "no error");
  EXPECT_NE(error_of({"--shm-size", "0"}), "no error");
  EXPECT_NE(error_of({"-h", std::string(65, 'x')}), "no error");
  EXPECT_FALSE(request({"UPPER:case"}));
}

TEST(PublishedPort, AllOfDockersForms) {
  struct Case {
    const char* text;
    const char* port;
    const char* ip;
    const char* host;
  };
  for (const Case& c : std::vector<Case>{{"80", "80/tcp", "", ""},
                                         {"8080:80", "80/tcp", "", "8080"},
                                         {"8080:80/udp", "80/udp", "", "8080"},
                                         {"127.0.0.1:8080:80", "80/tcp", "127.0.0.1", "8080"},
                                         {"127.0.0.1::80", "80/tcp", "127.0.0.1", ""},
                                         {"[::1]:8080:80", "80/tcp", "::1", "8080"},
                                         {"0:80", "80/tcp", "", ""}}) {
    engine::PortMap map;
    ASSERT_TRUE(add_published_port(map, c.text)) << c.text;
    ASSERT_TRUE(map.contains(c.port)) << c.text;
    EXPECT_EQ(map[c.port][0].host_ip, c.ip) << c.text;
    EXPECT_EQ(map[c.port][0].host_port, c.host) << c.text;
  }
}

TEST(PublishedPort, ARangeIsOnePortEach) {
  engine::PortMap map;
  ASSERT_TRUE(add_published_port(map, "9000-9002:80-82"));
  EXPECT_EQ(map.size(), 3U);
  EXPECT_EQ(map["82/tcp"][0].host_port, "9002");
}

TEST(PublishedPort, RefusesTheRestInDockersWords) {
  auto error = [](std::string_view text) {
    engine::PortMap map;
    auto added = add_published_port(map, text);
    return added ? "no error" : added.error().message();
  };
  EXPECT_EQ(error("x"), "invalid containerPort: x");
  EXPECT_EQ(error("0"), "invalid containerPort: 0");
  EXPECT_EQ(error("65536"), "invalid containerPort: 65536");
  EXPECT_EQ(error("x:80"), "invalid hostPort: x");
  EXPECT_EQ(error("70000:80"), "invalid hostPort: 70000");
  EXPECT_EQ(error("80/icmp"), "invalid proto: icmp");
  EXPECT_EQ(error("host:80:80"), "invalid IP address: host");
  EXPECT_EQ(error("8080:"), "no port specified: 8080:<empty>");
  EXPECT_EQ(error(""), "no port specified: <empty>");
  EXPECT_EQ(error("1-2:80-82"),
            "invalid ranges specified for container and host Ports: 80-82 and 1-2");
  EXPECT_NE(error("80/sctp").find("sctp is not supported yet"), std::string::npos);
  for (std::string_view text :
       {"[::1]", "[::1]80", "[", "[]:1:2:3", "::::", "1:2:3:4:5", "-", "1-", "-1:80", "5-4"})
    EXPECT_NE(error(text), "no error") << text;
}

TEST(EnvFile, KeepsValuesAndSkipsComments) {
  auto entries = parse_env_file("\xEF\xBB\xBF# c\nA=1 2 \n  B==x\r\nSET\nUNSET\n\nC=#no\n", "f",
                                fake_environment);
  ASSERT_TRUE(entries);
  EXPECT_EQ(*entries, (std::vector<std::string>{"A=1 2 ", "B==x", "SET=ours", "C=#no"}));
}

TEST(EnvFile, RefusesDamageWithTheLine) {
  auto error = [](std::string_view text) {
    auto entries = parse_env_file(text, "f", fake_environment);
    return entries ? "no error" : entries.error().message();
  };
  EXPECT_EQ(error("A=1\n=x\n"), "'f' line 2: no variable name on line '=x'");
  EXPECT_EQ(error("a b=1"), "'f' line 1: variable 'a b' contains whitespaces");
  EXPECT_EQ(error(std::string_view("A=\0", 3)), "'f' contains a NUL byte");
  EXPECT_NE(error(std::string(kMaxListFile + 1, 'x')).find("larger than"), std::string::npos);
  EXPECT_NE(error(std::string(kMaxListLines + 1, '\n')).find("more than 65536 lines"),
            std::string::npos);
}

TEST(EnvFile, FlagsWinOverFiles) {
  char path[] = "/tmp/wherry-env-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  std::ofstream(path) << "A=file\nB=file\n";
  auto made = request({"--env-file", path, "-e", "A=flag", "debian"});
  close(fd);
  unlink(path);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->create.config.env, (std::vector<std::string>{"A=file", "B=file", "A=flag"}));
  EXPECT_FALSE(request({"--env-file", "/nonexistent", "debian"}));
}

}  // namespace
}  // namespace wherry::cli
