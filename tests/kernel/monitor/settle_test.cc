// Who settles the end, slow and vanished clients, and exec sessions.
#include "kernel/monitor/monitor_fixture.h"

namespace wherry::monitor {
namespace {

class SettleTest : public MonitorTest {
 protected:
  MonitorConfig settling(const std::string& script) {
    MonitorConfig with_command = shell(script);
    with_command.settle_command = {"/bin/busybox", "touch", directory_ + "/settled"};
    return with_command;
  }
  bool settled() const { return std::filesystem::exists(directory_ + "/settled"); }
};

TEST_F(SettleTest, RunsTheCommandWhenNobodyIsThere) {
  sys::Fd monitor;
  {
    Client client = launch(settling("exit 0"));
    monitor = pidfd(state().monitor_pid);
    ASSERT_TRUE(client.call(Start{}));
  }
  wait_for_end(monitor);
  EXPECT_TRUE(settled());
  EXPECT_EQ(state().status, "exited");
}

TEST_F(SettleTest, LeavesSettlingToTheClientThatPromisedIt) {
  Client client = launch(settling("exit 0"));
  sys::Fd monitor = pidfd(state().monitor_pid);
  ASSERT_TRUE(client.send(WillSettle{}));
  ASSERT_TRUE(client.send(WatchExit{}));
  ASSERT_TRUE(client.call(Start{}));
  until_exit(client);
  ASSERT_TRUE(client.send(Settled{}));
  wait_for_end(monitor);
  EXPECT_FALSE(settled());
}

TEST_F(SettleTest, RunsTheCommandWhenThatClientVanishes) {
  sys::Fd monitor;
  {
    Client client = launch(settling("exit 0"));
    monitor = pidfd(state().monitor_pid);
    ASSERT_TRUE(client.send(WillSettle{}));
    ASSERT_TRUE(client.send(WatchExit{}));
    ASSERT_TRUE(client.call(Start{}));
    until_exit(client);
    EXPECT_FALSE(settled());
  }
  wait_for_end(monitor);
  EXPECT_TRUE(settled());
}

TEST_F(SettleTest, FreesTheRunDirectoryBeforeItTellsTheEnd) {
  Client client = launch(settling("exit 0"));
  ASSERT_TRUE(client.send(WillSettle{}));
  ASSERT_TRUE(client.send(WatchExit{}));
  ASSERT_TRUE(client.call(Start{}));
  until_exit(client);
  // The next run may begin while the last one's monitor still waits for Settled.
  Client again = launch(shell("exit 4"));
  ASSERT_TRUE(again.send(WatchExit{}));
  ASSERT_TRUE(again.call(Start{}));
  EXPECT_EQ(until_exit(again).exited.code, 4);
}

// 400 times 32 KiB: more than the queue of a client, its socket and the pipe hold together.
constexpr size_t kFlood = 400 * 32768;
constexpr const char* kFloodScript =
    "i=0; while [ $i -lt 400 ]; do printf %32768d 1; i=$((i+1)); done; exit 9";

TEST_F(SettleTest, KeepsEveryByteForAClientThatReadsLate) {
  Client client = launch(shell(kFloodScript));
  sys::Fd monitor = pidfd(state().monitor_pid);
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  // Nothing is read until the monitor has stopped reading itself.
  EXPECT_FALSE(ended_within(monitor, 300));
  Seen seen = until_exit(client);
  EXPECT_EQ(seen.out.size(), kFlood);
  EXPECT_EQ(seen.exited.code, 9);
}

TEST_F(SettleTest, HoldsTheProgramBackForASlowClientUntilItVanishes) {
  Client watcher = launch(shell(kFloodScript));
  ASSERT_TRUE(watcher.send(WatchExit{}));
  {
    Client slow = connect();
    ASSERT_TRUE(slow.send(Attach{}));
    ASSERT_TRUE(watcher.call(Start{}));
    until_output(slow, " ");
    pollfd quiet{watcher.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&quiet, 1, 300), 0);
    EXPECT_EQ(state().status, "running");
  }
  EXPECT_EQ(until_exit(watcher).exited.code, 9);
}

TEST_F(SettleTest, FollowersHearThatTheLogGrewAndTheEnd) {
  Client client = launch(shell("echo one; echo two"));
  ASSERT_TRUE(client.send(WatchLog{}));
  ASSERT_TRUE(client.send(WatchExit{}));
  ASSERT_TRUE(client.call(Start{}));
  EXPECT_TRUE(std::holds_alternative<LogGrew>(next(client)));
  until_exit(client);
  EXPECT_NE(log().find("two"), std::string::npos);
}

TEST_F(SettleTest, ProgramsThatDoNotReadHoldTheirFeedersBack) {
  MonitorConfig deaf = config({"sleep", "1000"});
  deaf.open_stdin = true;
  Client feeder = launch(deaf);
  ASSERT_TRUE(feeder.send(Attach{true, true, true}));
  ASSERT_TRUE(feeder.call(Start{}));
  // Ends because the monitor stops reading: what is accepted is bounded.
  size_t accepted = 0;
  for (;;) {
    pollfd room{feeder.fd(), POLLOUT, 0};
    ASSERT_GE(poll(&room, 1, 300), 0);
    if ((room.revents & POLLOUT) == 0) break;
    ASSERT_TRUE(feeder.send(Input{std::string(32768, 'x')}));
    accepted += 32768;
    ASSERT_LT(accepted, 4u << 20);
  }
  Client other = connect();
  ASSERT_TRUE(other.send(WatchExit{}));
  ASSERT_TRUE(other.call(Signal{SIGKILL}));
  EXPECT_EQ(until_exit(other).exited.code, 137);
}

class ExecTest : public MonitorTest {
 protected:
  // A container that sleeps, and an exec session's configuration in it.
  Client start_container() {
    Client client = launch(config({"sleep", "1000"}));
    EXPECT_TRUE(client.call(Start{}));
    return client;
  }
  MonitorConfig session(const std::string& script, const std::string& id = "e") {
    std::filesystem::create_directories(directory_ + "/run/exec/" + id);
    MonitorConfig exec;
    exec.container_id = "c";
    exec.run_dir = directory_ + "/run/exec/" + id;
    MonitorConfig::ExecPlan& plan = exec.exec.emplace();
    plan.options.init_pid = state().pid;
    plan.options.init_start_time = state().start_time;
    plan.options.cgroups_path = cgroup_ + "/c";
    plan.options.process.args = {"sh", "-c", script};
    plan.options.process.env = {"PATH=/bin"};
    plan.options.seccomp_filter = runtime::default_seccomp_filter();
    return exec;
  }
};

TEST_F(ExecTest, RunsASessionWithStreamsInputAndExitCode) {
  Client container = start_container();
  MonitorConfig with_input = session("cat; echo err >&2; exit 7");
  with_input.open_stdin = true;
  Client client = launch(with_input);
  ASSERT_TRUE(client.send(Attach{true, true, true}));
  ASSERT_TRUE(client.call(Start{}));
  ASSERT_TRUE(client.send(Input{"in"}));
  ASSERT_TRUE(client.send(InputEof{}));
  Seen seen = until_exit(client);
  EXPECT_EQ(seen.out, "in");
  EXPECT_EQ(seen.err, "err\n");
  EXPECT_EQ(seen.exited.code, 7);
  EXPECT_EQ(state().status, "running");
}

TEST_F(ExecTest, EndsThoughAProcessItLeftBehindHoldsItsStreams) {
  Client container = start_container();
  Client client = launch(session("echo early; sleep 1000 & exit 0"));
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  Seen seen = until_exit(client);
  EXPECT_EQ(seen.out, "early\n");
  EXPECT_EQ(seen.exited.code, 0);
  EXPECT_EQ(state().status, "running");
}

TEST_F(ExecTest, ReadsNothingThoughTheContainerHasBrokenItsNullDevice) {
  Client container = start_container();
  Client breaker = launch(session("busybox rm /dev/null; busybox ln -s /proc/kmsg /dev/null"));
  ASSERT_TRUE(breaker.send(Attach{}));
  ASSERT_TRUE(breaker.call(Start{}));
  ASSERT_EQ(until_exit(breaker).exited.code, 0);
  Client client = launch(session("cat; echo end"));
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.call(Start{}));
  EXPECT_EQ(until_exit(client).out, "end\n");
}

#ifndef WHERRY_SANITIZED  // A program must be static to start inside; with sanitizers it is not.
// CVE-2019-5736: "/proc/self/exe" as a program runs the monitor's own file, and root in a container
// owns that. "Text file busy" would only put off who wants to write to it.
TEST_F(ExecTest, ShowsTheMonitorsProgramToAContainerOnAReadOnlyMountOnly) {
  Client container = start_container();
  ASSERT_EQ(mkfifo((directory_ + "/root/fifo").c_str(), 0600), 0);
  MonitorConfig itself = session("");
  itself.exec->options.process.args = {"/proc/self/exe", "x", "", "", ""};
  // Opening the list waits for a reader of the fifo.
  itself.exec->options.process.env.emplace_back("WHERRY_FAILPOINT_LIST=/fifo");
  Client victim = launch(itself);
  ASSERT_TRUE(victim.send(Attach{}));
  ASSERT_TRUE(victim.call(Start{}));
  std::string program = WHERRY_BIN_DIR "/wherry-monitor";
  std::string before = *sys::read_file(program, 64 << 20);
  Client attacker = launch(
      session("for p in /proc/[0-9]*; do\n"
              "  case $(busybox readlink $p/exe) in */wherry-monitor) ;; *) continue ;; esac\n"
              "  exec 5<$p/exe\n"
              "  busybox chmod 755 $p/exe\n"
              "  busybox chmod 755 /proc/self/fd/5\n"
              "  (echo attack >>$p/exe)\n"
              "done 2>&1\n",
              "attacker"));
  ASSERT_TRUE(attacker.send(Attach{}));
  ASSERT_TRUE(attacker.call(Start{}));
  std::string out = until_exit(attacker).out;
  size_t first = out.find("Read-only file system");
  ASSERT_NE(first, out.npos) << out;
  EXPECT_NE(out.find("Read-only file system", first + 1), out.npos) << out;
  EXPECT_NE(out.find("can't create /proc/"), out.npos) << out;
  EXPECT_EQ(*sys::read_file(program, 64 << 20), before);
}
#endif

TEST_F(ExecTest, GivesASessionATerminal) {
  Client container = start_container();
  MonitorConfig terminal = session("stty size");
  terminal.exec->options.process.terminal = true;
  Client client = launch(terminal);
  ASSERT_TRUE(client.send(Attach{}));
  ASSERT_TRUE(client.send(Resize{12, 34}));
  ASSERT_TRUE(client.call(Start{}));
  EXPECT_EQ(until_exit(client).exited.code, 0);
}

TEST_F(ExecTest, TellsWhyAProgramCannotStart) {
  Client container = start_container();
  MonitorConfig missing = session("");
  missing.exec->options.process.args = {"nosuch"};
  Client client = launch(missing);
  Result<void> started = client.call(Start{});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace wherry::monitor
