#include "sys/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace wherry::sys {
namespace {

SpawnOptions shell(const std::string& script) {
  return {.program = "/bin/sh", .arguments = {"sh", "-c", script}, .environment = {"PATH=/bin"}};
}

TEST(Spawn, GivesExactlyTheFdsAndEnvironmentItIsTold) {
  Result<Finished> finished = run_program(
      {.program = "/bin/sh",
       .arguments = {"sh", "-c", "echo \"$A-$HOME\"; ls /proc/self/fd | tr '\\n' ' '; exit 7"},
       .environment = {"A=b", "PATH=/bin:/usr/bin"}},
      4096);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->code, 7);
  // ls has the three streams and the directory it lists.
  EXPECT_EQ(finished->out, "b-\n0 1 2 3 ");
}

TEST(Spawn, TellsWhyAProgramCannotRun) {
  Result<Finished> missing = run_program({.program = "/no/such", .arguments = {"x"}}, 10);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(), "cannot start '/no/such': no such file or directory");
}

std::string line_of(const Fd& pipe) {
  char text[64] = "";
  const ssize_t size = read(pipe.get(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

TEST(Spawn, SwapsDescriptors) {
  Result<Pipe> first = make_pipe();
  Result<Pipe> second = make_pipe();
  ASSERT_TRUE(first && second);
  const int one = first->write.get();
  const int other = second->write.get();
  ASSERT_LT(std::max(one, other), 10) << "the shell takes one digit";
  SpawnOptions options =
      shell("echo first >&" + std::to_string(other) + "; echo second >&" + std::to_string(one));
  // Copies of ours at the lowest numbers would overwrite each other.
  const int lowest = fcntl(one, F_DUPFD_CLOEXEC, 3);
  ASSERT_EQ(close(lowest), 0);
  options.fds = {{other, lowest + 1}, {one, other}, {other, one}};
  Result<Child> child = spawn(std::move(options));
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait().value_or(-1), 0);
  first->write.reset();
  second->write.reset();
  EXPECT_EQ(line_of(first->read), "first\n");
  EXPECT_EQ(line_of(second->read), "second\n");
}

// The pipe that tells errors takes the lowest free numbers too.
TEST(Spawn, TellsErrorsThoughTheirPipesNumbersAreTaken) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe);
  SpawnOptions options = {.program = "/no/such", .arguments = {"x"}};
  for (int number = 3; number < 40; ++number) options.fds.emplace_back(pipe->write.get(), number);
  Result<Child> child = spawn(std::move(options));
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::kNotFound);
}

TEST(Spawn, GivesSignalsTheirUsualEffect) {
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  struct sigaction before{};
  sigaction(SIGUSR1, &ignored, &before);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigset_t mask;
  sigprocmask(SIG_BLOCK, &blocked, &mask);
  Result<Finished> finished =
      run_program(shell("while read name value; do case $name in SigBlk:|SigIgn:) echo $value;; "
                        "esac; done </proc/self/status"),
                  4096);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  sigaction(SIGUSR1, &before, nullptr);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->out, "0000000000000000\n0000000000000000\n");
}

TEST(Spawn, TellsWhyADirectoryCannotBeUsed) {
  SpawnOptions options = shell("true");
  options.directory = "/no/such";
  Result<Child> child = spawn(std::move(options));
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::kNotFound);
}

// The child is in our memory until it has executed its program, and beside us.
TEST(Spawn, LeavesTheSpawnersErrnoAlone) {
  for (int round = 0; round < 50; ++round) {
    Result<Spawning> spawning = begin_spawn({.program = "/no/such", .arguments = {"x"}});
    ASSERT_TRUE(spawning);
    errno = 77;
    siginfo_t ended{};
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(spawning->pid()), &ended, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(errno, 77);
    EXPECT_EQ(spawning->finish().error().kind(), ErrorKind::kNotFound);
  }
}

TEST(Spawn, WorksInManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> right(8, 0);
  for (int& count : right) {
    threads.emplace_back([&count, number = &count - right.data()] {
      for (int round = 0; round < 20; ++round) {
        Result<Child> child = spawn(shell("exit " + std::to_string(number)));
        Result<Child> missing = spawn({.program = "/no/such", .arguments = {"x"}});
        if (child && child->wait().value_or(-1) == number && !missing) ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(8, 20));
}

TEST(Spawn, OneThatIsNotFinishedIsWaitedForUntilItRuns) {
  pid_t pid = 0;
  {
    Result<Spawning> spawning = begin_spawn(shell("exit 9"));
    ASSERT_TRUE(spawning);
    pid = spawning->pid();
    Spawning moved = std::move(*spawning);
    EXPECT_EQ(moved.pid(), pid);
  }
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED), 0);
  EXPECT_EQ(ended.si_status, 9) << "it is still the caller's to reap";
}

TEST(Processes, AreNamedByPidAndStartTime) {
  std::optional<uint64_t> start = process_start_time(getpid());
  ASSERT_TRUE(start);
  EXPECT_TRUE(open_process(getpid(), *start));
  EXPECT_FALSE(open_process(getpid(), *start + 1));
}

}  // namespace
}  // namespace wherry::sys
