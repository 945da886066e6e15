// A container's life under its monitor, as clients and later commands see it.
#include <filesystem>

#include "kernel/monitor/monitor_fixture.h"
#include "runtime/cgroup.h"

namespace wherry::monitor {
namespace {

using LifeTest = MonitorTest;

// A network namespace that the process holds and that is not `host`; empty: none.
std::string held_network(pid_t pid, const std::string& host) {
  const std::string directory = "/proc/" + std::to_string(pid) + "/fd/";
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(directory, gone)) {
    const std::string link = std::filesystem::read_symlink(entry.path(), gone).string();
    if (link.starts_with("net:[") && link != host) return link;
  }
  return "";
}

TEST_F(LifeTest, RunsAProgramAndTellsItsExit) {
  Client client = launch(shell("echo out; echo err >&2; exit 3"));
  EXPECT_EQ(client.welcome().status, "created");
  EXPECT_EQ(state().status, "created");
  EXPECT_TRUE(locked());
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  Seen seen = until_exit(client);
  EXPECT_EQ(seen.out, "out\n");
  EXPECT_EQ(seen.err, "err\n");
  EXPECT_EQ(seen.exited.code, 3);
  EXPECT_EQ(seen.exited.signal, 0);
  RunState end = state();
  EXPECT_EQ(end.status, "exited");
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_GE(end.finished_ns, end.started_ns);
  EXPECT_FALSE(locked());
  EXPECT_FALSE(sys::exists_at(run_dir_.get(), "monitor.sock"));
  EXPECT_NE(log().find("{\"log\":\"out\\n\",\"stream\":\"stdout\""), std::string::npos);
  EXPECT_NE(log().find("{\"log\":\"err\\n\",\"stream\":\"stderr\""), std::string::npos);
  EXPECT_EQ(client.receive().error().kind(), ErrorKind::kUnavailable);
}

TEST_F(LifeTest, SaysRunningBeforeStartedIsAnswered) {
  Client client = launch(config({"sleep", "1000"}));
  ASSERT_TRUE(client.call(Start{}));
  RunState running = state();
  EXPECT_EQ(running.status, "running");
  EXPECT_EQ(sys::process_start_time(running.pid), running.start_time);
  EXPECT_EQ(connect().welcome().status, "running");
  EXPECT_EQ(client.call(Start{}).error().kind(), ErrorKind::kConflict);
  ASSERT_TRUE(client.send(WatchExit{}));
  ASSERT_TRUE(client.call(Signal{SIGKILL}));
  Seen seen = until_exit(client);
  EXPECT_EQ(seen.exited.code, 137);
  EXPECT_EQ(seen.exited.signal, SIGKILL);
}

TEST_F(LifeTest, PassesInputAndItsHalfClose) {
  MonitorConfig with_input = shell("cat; echo end");
  with_input.open_stdin = true;
  Client client = launch(with_input);
  ASSERT_TRUE(client.send(Attach{true, true, true}));
  ASSERT_TRUE(client.send(Input{"before "}));
  ASSERT_TRUE(client.call(Start{}));
  ASSERT_TRUE(client.send(Input{"after\n"}));
  ASSERT_TRUE(client.send(InputEof{}));
  EXPECT_EQ(until_exit(client).out, "before after\nend\n");
}

TEST_F(LifeTest, ReadsNothingWithoutInput) {
  Client client = launch(shell("cat; echo end"));
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  EXPECT_EQ(until_exit(client).out, "end\n");
}

// With the host's own null device as its stdin a container could chmod that for everybody.
TEST_F(LifeTest, GivesTheContainersOwnNullDeviceAsStdin) {
  Client client = launch(shell("busybox stat -L -c %d:%t:%T /proc/self/fd/0 /dev/null"));
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  std::string out = until_exit(client).out;
  size_t half = out.size() / 2;
  EXPECT_TRUE(out.ends_with(":1:3\n")) << out;
  EXPECT_EQ(out.substr(0, half), out.substr(half)) << "another file system's node is stdin";
}

TEST_F(LifeTest, ClosesStdinWhenTheOnlyFeederGoes) {
  MonitorConfig with_input = shell("cat; exit 5");
  with_input.open_stdin = with_input.stdin_once = true;
  Client feeder = launch(with_input);
  ASSERT_TRUE(feeder.send(Attach{true, false, false}));
  ASSERT_TRUE(feeder.call(Start{}));
  Client watcher = connect();
  ASSERT_TRUE(watcher.send(WatchExit{}));
  {
    Client gone = std::move(feeder);
  }
  EXPECT_EQ(until_exit(watcher).exited.code, 5);
}

TEST_F(LifeTest, GivesATerminalItsSizeAndMergesStreams) {
  MonitorConfig terminal = shell("stty size; echo err >&2; read x; stty size; cat");
  terminal.open_stdin = true;
  terminal.container->spec.process.terminal = true;
  Client client = launch(terminal);
  ASSERT_TRUE(client.send(Attach{true, true, true}));
  ASSERT_TRUE(client.send(Resize{33, 44}));
  ASSERT_TRUE(client.call(Start{}));
  until_output(client, "33 44\r\nerr\r\n");
  ASSERT_TRUE(client.send(Resize{55, 66}));
  ASSERT_TRUE(client.send(Input{"go\n"}));
  until_output(client, "55 66\r\n");
  ASSERT_TRUE(client.send(Input{"\x04"}));
  EXPECT_EQ(until_exit(client).exited.code, 0);
}

TEST_F(LifeTest, TellsThatAProgramIsMissing) {
  Result<Client> client = try_launch(config({"nosuch"}));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(client.error().message(), "exec: \"nosuch\": executable file not found in $PATH");
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
}

TEST_F(LifeTest, RecordsWhyAProgramCouldNotBeExecuted) {
  // Found and executable, but no format the kernel knows: only execve itself can tell.
  std::string program = directory_ + "/root/bin/garbage";
  sys::Fd file = *sys::open_file(program, O_WRONLY | O_CREAT, 0755);
  ASSERT_TRUE(sys::write_all(file.get(), "\x01\x02\x03"));
  file.reset();
  Client client = launch(config({"garbage"}));
  sys::Fd init = pidfd(state().pid);
  Result<void> started = client.call(Start{});
  ASSERT_FALSE(started);
  wait_for_end(init);
  RunState end = state();
  EXPECT_EQ(end.status, "exited");
  EXPECT_EQ(end.error, started.error().message());
  EXPECT_EQ(end.error_kind, kind_name(started.error().kind()));
  EXPECT_EQ(end.started_ns, 0);
  EXPECT_FALSE(locked());
  EXPECT_EQ(client.receive().error().kind(), ErrorKind::kUnavailable);
}

TEST_F(LifeTest, TellsWhyAContainerCannotBeCreatedAndKeepsNothing) {
  MonitorConfig broken = shell("true");
  broken.container->spec.mounts.push_back({"/x", "bind", directory_ + "/missing", {"rbind"}});
  Result<Client> client = try_launch(broken);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().message().find("missing"), std::string::npos)
      << client.error().message();
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
}

TEST_F(LifeTest, LeavesNoTraceWhenTheClientVanishesBeforeStart) {
  sys::Fd monitor, init;
  {
    Client client = launch(shell("true"));
    monitor = pidfd(state().monitor_pid);
    init = pidfd(state().pid);
  }
  wait_for_end(monitor);
  wait_for_end(init);
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
}

TEST_F(LifeTest, AMonitorOnStandbyEndsWhenNobodyNeedsIt) {
  pid_t pid = 0;
  {
    Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine"});
    ASSERT_TRUE(standby);
    pid = standby->pid();
    EXPECT_TRUE(sys::process_start_time(pid));
  }
  EXPECT_FALSE(sys::process_start_time(pid)) << "it is reaped";
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
}

TEST_F(LifeTest, WhatStopsAMonitorOnStandbyIsToldAtTheLaunch) {
  setenv("WHERRY_FAILPOINT", "monitor.standby:eio", 1);
  Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine", cgroup_ + "/c", true});
  unsetenv("WHERRY_FAILPOINT");
  ASSERT_TRUE(standby);
  wait_for_end(pidfd(standby->pid()));
  Result<Client> client = Client::launch(shell("true"), std::move(*standby));
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().message().find("monitor.standby"), std::string::npos)
      << client.error().message();
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
  EXPECT_FALSE(runtime::Cgroup::find(cgroup_ + "/c"));
}

TEST_F(LifeTest, AMonitorOnStandbyTakesTheContainersCgroupBackWhenNobodyNeedsIt) {
  Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine", cgroup_ + "/c", true});
  ASSERT_TRUE(standby);
  const auto made = [&] { return runtime::Cgroup::find(cgroup_ + "/c").has_value(); };
  for (int i = 0; i < 10000 && !made(); ++i) usleep(1000);
  EXPECT_TRUE(made());
  {
    Standby ends = std::move(*standby);
  }
  EXPECT_FALSE(made());
}

TEST_F(LifeTest, StartsAtOnceWhenItIsPermittedInWhatWasMadeBeforehand) {
  char host[64] = "";
  ASSERT_GT(readlink("/proc/self/ns/net", host, sizeof host - 1), 0);
  for (bool beforehand : {true, false}) {
    MonitorConfig looks = shell("busybox readlink /proc/self/ns/net; busybox ip link show lo");
    looks.starts_at_once = true;
    looks.container->spec.resources.pids_limit = 77;
    Result<Standby> standby = Standby::spawn(
        {"c", cgroup_ + "/engine", beforehand ? cgroup_ + "/c" : std::string(), beforehand});
    ASSERT_TRUE(standby);
    std::string made;
    const auto permit = [&, monitor = standby->pid()]() -> Result<void> {
      EXPECT_EQ(sys::exists_at(run_dir_.get(), "state.json"), !beforehand) << "nothing runs yet";
      for (int i = 0; beforehand && i < 10000 && made.empty(); ++i) {
        made = held_network(monitor, host);
        usleep(1000);
      }
      return {};
    };
    Result<Client> client =
        Client::run(looks, std::move(*standby), {WatchExit{}, Attach{}}, permit);
    ASSERT_TRUE(client) << client.error().message();
    EXPECT_EQ(client->welcome().status, "created");
    const std::string out = until_exit(*client).out;
    EXPECT_EQ(out.find(host), out.npos) << out;
    EXPECT_EQ(!made.empty() && out.find(made) == 0, beforehand) << out;
    EXPECT_NE(out.find("LOOPBACK,UP"), out.npos) << out;
    EXPECT_EQ(client->receive().error().kind(), ErrorKind::kUnavailable);
    EXPECT_TRUE(runtime::remove_cgroup(cgroup_ + "/c"));
  }
}

TEST_F(LifeTest, LetsGoOfTheNetworkNamespaceItMadeBeforehand) {
  char host[64] = "";
  ASSERT_GT(readlink("/proc/self/ns/net", host, sizeof host - 1), 0);
  MonitorConfig waits = config({"sleep", "1000"});
  waits.starts_at_once = true;
  Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine", cgroup_ + "/c", true});
  ASSERT_TRUE(standby);
  const pid_t monitor = standby->pid();
  Result<Client> client =
      Client::run(waits, std::move(*standby), {WatchExit{}}, [] { return Result<void>(); });
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_EQ(held_network(monitor, host), "") << "it would outlive the container";
  ASSERT_TRUE(client->call(Signal{SIGKILL}));
  until_exit(*client);
}

TEST_F(LifeTest, LeavesNoTraceOfALaunchThatIsCalledOff) {
  MonitorConfig wanted = shell("echo ran > /dev/shm/x; sleep 1000");
  wanted.starts_at_once = true;
  Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine", cgroup_ + "/c", true});
  ASSERT_TRUE(standby);
  Result<Client> client = Client::run(wanted, std::move(*standby), {WillSettle{}}, [] {
    return Result<void>(Error(ErrorKind::kConflict, "somebody was faster"));
  });
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().message(), "somebody was faster");
  EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty());
  EXPECT_FALSE(runtime::Cgroup::find(cgroup_ + "/c"));
}

TEST_F(LifeTest, TellsWhyAProgramThatWasPermittedCannotStart) {
  sys::Fd file = *sys::open_file(directory_ + "/root/bin/garbage", O_WRONLY | O_CREAT, 0755);
  ASSERT_TRUE(sys::write_all(file.get(), "\x01\x02\x03"));
  file.reset();
  MonitorConfig wanted = config({"garbage"});
  wanted.starts_at_once = true;
  Result<Standby> standby = Standby::spawn({"c", cgroup_ + "/engine"});
  ASSERT_TRUE(standby);
  Result<Client> client =
      Client::run(wanted, std::move(*standby), {WillSettle{}}, [] { return Result<void>(); });
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().message().find("garbage"), std::string::npos);
}

TEST_F(LifeTest, RefusesASecondMonitorForOneRunDirectory) {
  Client client = launch(shell("true"));
  Result<Client> second = try_launch(shell("true"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(state().status, "created");
}

TEST_F(LifeTest, OutlivesSignalsMeantForItsCaller) {
  Client client = launch(config({"sleep", "1000"}));
  ASSERT_TRUE(client.call(Start{}));
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::kill(state().monitor_pid, number);
  EXPECT_EQ(connect().welcome().status, "running");
  EXPECT_NE(getsid(state().monitor_pid), getsid(0));
  ASSERT_TRUE(client.send(WatchExit{}));
  ASSERT_TRUE(client.call(Signal{SIGKILL}));
  until_exit(client);
}

TEST_F(LifeTest, TakesItsContainerAlongWhenItIsKilled) {
  Client client = launch(config({"sleep", "1000"}));
  ASSERT_TRUE(client.call(Start{}));
  sys::Fd init = pidfd(state().pid);
  ::kill(state().monitor_pid, SIGKILL);
  wait_for_end(init);
  EXPECT_EQ(client.receive().error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(locked());
  EXPECT_EQ(state().status, "running");  // what "monitor lost" looks like
}

TEST_F(LifeTest, ThawsItsContainerWhenWhoHasFrozenItIsGone) {
  Client client = launch(shell("while :; do echo x; sleep 0.01; done"));
  ASSERT_TRUE(client.call(Start{}));
  const std::string container = cgroup_ + "/c";
  for (bool told_otherwise : {false, true}) {
    {
      Client freezer = connect();
      ASSERT_TRUE(freezer.call(ThawIfGone{true}));
      ASSERT_TRUE(runtime::freeze_cgroup(container, true));
      if (told_otherwise) {
        ASSERT_TRUE(freezer.call(ThawIfGone{false}));
      }
      EXPECT_TRUE(*runtime::cgroup_frozen(container));
    }
    // Both are answered after what ended before them.
    connect();
    connect();
    EXPECT_EQ(*runtime::cgroup_frozen(container), told_otherwise);
  }
  ASSERT_TRUE(runtime::freeze_cgroup(container, false));
  ASSERT_TRUE(client.send(Attach{}));
  until_output(client, "x\n");
  ASSERT_TRUE(client.call(Signal{SIGKILL}));
  until_exit(client);
}

TEST_F(LifeTest, KillsWhatTheInitLeavesBehind) {
  Client client = launch(shell("sleep 1000 & echo $!; exit 0"));
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  EXPECT_EQ(until_exit(client).exited.code, 0);
}

TEST_F(LifeTest, UndoesEverythingAtEachFailpointBeforeRunning) {
  for (const char* point :
       {"monitor.standby", "monitor.started", "monitor.created", "monitor.welcome"}) {
    setenv("WHERRY_FAILPOINT", (std::string(point) + ":enospc").c_str(), 1);
    Result<Client> client = try_launch(shell("true"));
    ASSERT_FALSE(client) << point;
    EXPECT_EQ(client.error().kind(), ErrorKind::kResourceExhausted) << point;
    EXPECT_TRUE(sys::list_dir(run_dir_.get())->empty()) << point;
  }
  for (const char* point : {"monitor.before_start", "monitor.running"}) {
    setenv("WHERRY_FAILPOINT", (std::string(point) + ":enospc").c_str(), 1);
    Client client = launch(config({"sleep", "1000"}));
    sys::Fd init = pidfd(state().pid);
    ASSERT_FALSE(client.call(Start{})) << point;
    wait_for_end(init);
    EXPECT_EQ(state().status, "exited") << point;
    EXPECT_EQ(client.receive().error().kind(), ErrorKind::kUnavailable);
  }
}

TEST_F(LifeTest, DiesWithItsContainerAtEachFailpoint) {
  for (const char* point :
       {"monitor.standby", "monitor.started", "monitor.created", "monitor.welcome"}) {
    setenv("WHERRY_FAILPOINT", (std::string(point) + ":kill").c_str(), 1);
    EXPECT_FALSE(try_launch(shell("true"))) << point;
    EXPECT_FALSE(locked()) << point;
  }
  for (const char* point : {"monitor.before_start", "monitor.running", "monitor.exited",
                            "monitor.state_written", "monitor.before_settle"}) {
    setenv("WHERRY_FAILPOINT", (std::string(point) + ":kill").c_str(), 1);
    Client client = launch(shell("true"));
    sys::Fd init = pidfd(state().pid);
    [[maybe_unused]] Result<void> started = client.call(Start{});
    while (client.receive()) {
    }
    wait_for_end(init);
    EXPECT_FALSE(locked()) << point;
    EXPECT_TRUE(runtime::kill_cgroup(cgroup_ + "/c", 5000));
    EXPECT_TRUE(runtime::remove_cgroup(cgroup_ + "/c"));
  }
}

}  // namespace
}  // namespace wherry::monitor
