// Leases as files among processes: kills, full disks, damage.
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/failpoint.h"
#include "kernel/network/host.h"

namespace wherry::network {
namespace {

class LeaseFiles : public HostTest {};

const std::string kFirst(64, 'a');
const std::string kSecond(64, 'b');

// Attaches and releases in a child process with a failpoint armed; its wait status.
int run_child(Root& root, const std::string& failpoint) {
  pid_t child = fork();
  if (child == 0) {
    setenv("WHERRY_FAILPOINT", failpoint.c_str(), 1);
    arm_failpoints();
    bool attached = root.networks->attach(root.bridge, kFirst, {{"tcp", "", 8080, 80}}).has_value();
    bool released = root.networks->release(kFirst).has_value();
    _exit(attached && released ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST_F(LeaseFiles, OfAKilledProcessAreFreeAfterAPrune) {
  for (const char* step : {"network.attach.lease", "network.attach.leased", "file.opened",
                           "file.written", "file.renamed", "network.release.lease"}) {
    Root root("");
    ASSERT_TRUE(root.networks->ensure_bridge(root.bridge));
    int status = run_child(root, std::string(step) + ":kill");
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << step;
    Result<void> pruned = root.networks->prune(nobody);
    ASSERT_TRUE(pruned.has_value()) << step << ": " << pruned.error().message();
    Result<Attachment> next = root.networks->attach(root.bridge, kSecond, {{"tcp", "", 8080, 80}});
    ASSERT_TRUE(next.has_value()) << step << ": " << next.error().message();
    EXPECT_EQ(shell("grep -c ^address " + root.directory + "/run/network/leases"), "1\n") << step;
    EXPECT_FALSE(*root.networks->remove_idle_bridge(root.bridge)) << "it is in use";
    ASSERT_TRUE(root.networks->release(kSecond));
    EXPECT_TRUE(*root.networks->remove_idle_bridge(root.bridge)) << step;
  }
}

TEST_F(LeaseFiles, AreUntouchedWhenTheDiskIsFull) {
  Root root("");
  ASSERT_TRUE(root.networks->ensure_bridge(root.bridge));
  ASSERT_TRUE(root.networks->attach(root.bridge, kSecond, {}));
  std::string before = shell("cat " + root.directory + "/run/network/leases");
  int status = run_child(root, "file.written:enospc");
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  EXPECT_EQ(shell("cat " + root.directory + "/run/network/leases"), before);
  EXPECT_EQ(shell("ls -A " + root.directory + "/run/network | grep -c tmp || true"), "0\n");
}

TEST_F(LeaseFiles, ThatAreDamagedAreRefusedWithTheRemedy) {
  Root root("");
  ASSERT_TRUE(root.networks->attach(root.bridge, kSecond, {}));
  std::ofstream(root.directory + "/run/network/leases", std::ios::app) << "more\n";
  Result<Attachment> next = root.networks->attach(root.bridge, kFirst, {});
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error().kind(), ErrorKind::kCorrupt);
  EXPECT_NE(next.error().message().find("cannot read network leases"), std::string::npos);
  EXPECT_NE(next.error().hint().find("network/leases"), std::string::npos);
}

TEST_F(LeaseFiles, ReleaseTwiceAndOfStrangersIsFine) {
  Root root("");
  ASSERT_TRUE(root.networks->attach(root.bridge, kFirst, {{"udp", "", 53, 53}}));
  EXPECT_TRUE(root.networks->release(kFirst));
  EXPECT_TRUE(root.networks->release(kFirst));
  EXPECT_TRUE(root.networks->release(kSecond));
}

TEST_F(LeaseFiles, RefuseBadPortsByName) {
  Root root("");
  struct Case {
    PortRequest request;
    ErrorKind kind;
    const char* message;
  };
  for (const Case& each :
       {Case{{"sctp", "", 80, 80},
             ErrorKind::kUnsupported,
             "ports of protocol 'sctp' cannot be published: tcp or udp"},
        Case{{"tcp", "1.2.3", 80, 80}, ErrorKind::kInvalidArgument, "invalid host address '1.2.3'"},
        Case{{"tcp", "", 80, 0},
             ErrorKind::kInvalidArgument,
             "container port 0 cannot be published"}}) {
    Result<Attachment> refused = root.networks->attach(root.bridge, kFirst, {each.request});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), each.kind);
    EXPECT_EQ(refused.error().message(), each.message);
  }
  Result<Attachment> twice = root.networks->attach(
      root.bridge, kFirst, {{"tcp", "", 80, 80}, {"tcp", "127.0.0.1", 80, 81}});
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().message(), "port 80/tcp is published twice");
  Network host;
  host.name = "host";
  host.driver = "host";
  EXPECT_FALSE(root.networks->attach(host, kFirst, {}).has_value());
  EXPECT_FALSE(root.networks->ensure_bridge(host).has_value());
}

}  // namespace
}  // namespace wherry::network
