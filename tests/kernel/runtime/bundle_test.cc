// Containers of bundles: create and start in different processes, hooks, fds, exec, seccomp.
#include <sys/socket.h>
#include <sys/un.h>

#include "bundle_fixture.h"
#include "sys/fd_message.h"

namespace wherry::runtime {
namespace {

using Bundle = BundleTest;

TEST_F(Bundle, RunsFromItsRootAndReportsTheExitCode) {
  ASSERT_RAN(ran, run_bundle({"report"}));
  EXPECT_EQ(ran.code, 0);
  EXPECT_TRUE(ran.says("hostname=inside")) << ran.out;
  EXPECT_TRUE(ran.says("fds=0,1,2,")) << ran.out;
  EXPECT_TRUE(ran.mentions("pid=1 "));
  ASSERT_RAN(seven, run_bundle({"exit", "7"}));
  EXPECT_EQ(seven.code, 7);
  expect_nothing_left();
  EXPECT_FALSE(fs::exists(state_dir_ / "start.sock"));
}

TEST_F(Bundle, IsStartedByAnotherProcessThanItsCreator) {
  options_.detached = true;
  spec_.process.args = {"/bin/payload", "report"};
  std::string out = captured([&] {
    auto facts = sys::make_pipe();
    pid_t creator = fork();
    if (creator == 0) {
      auto container = BundleContainer::create(options_);
      uint64_t fact[2] = {};
      if (container) fact[0] = static_cast<uint64_t>(container->pid());
      if (container) fact[1] = container->start_time();
      [[maybe_unused]] auto written = write(facts->write.get(), fact, sizeof fact);
      _exit(container ? 0 : 1);
    }
    uint64_t fact[2] = {};
    ASSERT_EQ(read(facts->read.get(), fact, sizeof fact), static_cast<ssize_t>(sizeof fact));
    int status = 0;
    waitpid(creator, &status, 0);
    ASSERT_EQ(status, 0);
    StartOptions start{&spec_, "box", bundle_, state_dir_, static_cast<pid_t>(fact[0]), fact[1]};
    auto init = sys::open_process(start.init_pid, start.init_start_time);
    ASSERT_TRUE(init) << "the init lives on without its creator";
    auto started = start_created(start);
    ASSERT_TRUE(started) << started.error().message();
    auto again = start_created(start);
    ASSERT_FALSE(again) << "a second start";
    EXPECT_EQ(again.error().kind(), ErrorKind::kConflict);
    pollfd entry{init->get(), POLLIN, 0};
    EXPECT_EQ(poll(&entry, 1, 5000), 1);
    EXPECT_TRUE(destroy_created(start.init_pid, start.init_start_time, {spec_.cgroups_path, ""}));
  });
  EXPECT_NE(out.find("hostname=inside"), std::string::npos) << out;
  expect_nothing_left();
}

TEST_F(Bundle, TheStartersHearWhyTheProgramCannotBeExecuted) {
  spec_.process.args = {"/no/such"};
  auto container = BundleContainer::create(options_);
  ASSERT_FALSE(container) << "the program is looked for before anything waits";
  EXPECT_EQ(container.error().message(),
            "exec: \"/no/such\": stat /no/such: no such file or directory");
  std::ofstream(bundle_ / "rootfs/bin/bad") << "no program";
  fs::permissions(bundle_ / "rootfs/bin/bad", fs::perms(0755));
  spec_.process.args = {"/bin/bad"};
  ASSERT_RAN(waiting, BundleContainer::create(options_));
  auto started = waiting.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(), "exec: \"/bin/bad\": exec format error");
  EXPECT_TRUE(waiting.destroy());
  expect_nothing_left();
}

TEST_F(Bundle, HooksRunInTheirOrderAndPlacesWithTheStateOnTheirInput) {
  const std::string log = base_ / "log";
  auto note = [&](const std::string& name) {
    return shell("s=$(cat); echo \"" + name + " $(hostname) $s\" >> " + log);
  };
  spec_.annotations = {{"key", "value"}};
  spec_.hooks.prestart = {note("prestart")};
  spec_.hooks.create_runtime = {note("createRuntime")};
  spec_.hooks.create_container = {note("createContainer")};
  spec_.hooks.poststart = {note("poststart")};
  spec_.hooks.poststop = {note("poststop")};
  // In the container only its payload can be executed; it sees the variable of the hook.
  spec_.hooks.start_container = {
      {.path = "/bin/payload", .args = {"payload", "keep", "/seen"}, .env = {"MARK=1"}}};
  ASSERT_RAN(ran, run_bundle({"read", "/seen"}));
  EXPECT_NE(ran.out.find("\"status\":\"created\",\"pid\":1"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("env MARK=1"), std::string::npos) << ran.out;
  const std::string text = read_text(log);
  std::vector<std::string> order;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    order.push_back(line.substr(0, line.find(' ')));
  EXPECT_EQ(order,
            (std::vector<std::string>{"prestart", "createRuntime", "createContainer", "poststart"}))
      << text;
  EXPECT_NE(text.find("\"id\":\"box\",\"status\":\"creating\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"annotations\":{\"key\":\"value\"}"), std::string::npos) << text;
  EXPECT_NE(text.find("\"status\":\"running\""), std::string::npos) << text;
}

TEST_F(Bundle, AHookThatFailsUndoesTheContainerAndSaysWhatItPrinted) {
  const std::string log = base_ / "log";
  spec_.hooks.prestart = {shell("echo no good >&2; exit 3")};
  spec_.hooks.poststop = {shell("echo stopped > " + log)};
  auto ran = run_bundle({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(),
            "error running prestart hook #0 '/bin/sh': exit status 3: no good");
  EXPECT_EQ(read_text(log), "stopped\n");
  spec_.hooks.prestart.clear();
  spec_.hooks.create_container = {shell("sleep 100")};
  spec_.hooks.create_container[0].timeout = 1;
  auto late = run_bundle({"report"});
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message().find("killed after its timeout of 1 s"), std::string::npos)
      << late.error().message();
  expect_nothing_left();
}

TEST_F(Bundle, PreservesTheFdsItIsToldAndNoOther) {
  sys::Fd null(open("/dev/null", O_RDWR));
  dup2(null.get(), 3);
  dup2(null.get(), 4);
  dup2(null.get(), 9);
  options_.preserve_fds = 2;
  ASSERT_RAN(ran, run_bundle({"report"}));
  EXPECT_TRUE(ran.says("fds=0,1,2,3,4,")) << ran.out;
  options_.preserve_fds = 500;
  auto refused = run_bundle({"report"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("it is not open"), std::string::npos);
  for (int fd : {3, 4, 9})
    if (fd != null.get()) close(fd);
}

TEST_F(Bundle, NamesTheTerminalNobodyWouldGet) {
  spec_.process.terminal = true;
  options_.detached = true;
  auto refused = run_bundle({"report"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "cannot allocate tty if runc will detach without setting console socket");
}

// The fd and the text that came over a listening stream socket.
std::pair<sys::Fd, std::string> received(int listener) {
  sys::Fd connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  char text[4096];
  Result<sys::FdMessage> got = sys::receive_with_fd(connection.get(), text);
  if (!got) return {};
  return {std::move(got->fd), std::string(text, got->size)};
}

sys::Fd listen_at(const std::string& path) {
  sys::Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(socket_fd.get(), 1), 0);
  return socket_fd;
}

TEST_F(Bundle, SendsTheTerminalAndThePidfdToTheirSockets) {
  sys::Fd console_listener = listen_at(base_ / "console.sock");
  sys::Fd pidfd_listener = listen_at(base_ / "pidfd.sock");
  spec_.process.terminal = true;
  spec_.process.console_rows = 33;
  spec_.process.console_columns = 99;
  spec_.process.args = {"/bin/payload", "terminal"};
  options_.console_socket = base_ / "console.sock";
  options_.pidfd_socket = base_ / "pidfd.sock";
  options_.detached = true;
  ASSERT_RAN(container, BundleContainer::create(options_));
  auto [master, name] = received(console_listener.get());
  auto [pidfd, word] = received(pidfd_listener.get());
  EXPECT_EQ(name, "/dev/ptmx");
  ASSERT_TRUE(master && pidfd);
  EXPECT_TRUE(container.start());
  std::string out;
  char buffer[512];
  for (ssize_t got; (got = read(master.get(), buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(got));
  EXPECT_NE(out.find("tty=1 size=33x99"), std::string::npos) << out;
  pollfd entry{pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 5000), 1);
  ASSERT_TRUE(container.reap());
  EXPECT_TRUE(container.destroy());
}

TEST_F(Bundle, ExecRunsAProcessOfTheSpecificationsForm) {
  spec_.process.args = {"/bin/payload", "wait"};
  options_.detached = true;
  std::string out = captured([&] {
    ASSERT_RAN(container, BundleContainer::create(options_));
    ASSERT_TRUE(container.start());
    BundleExecOptions exec;
    exec.spec = &spec_;
    exec.id = "box";
    exec.bundle = bundle_;
    exec.init_pid = container.pid();
    exec.init_start_time = container.start_time();
    exec.cgroup = container.cgroup();
    exec.process = spec_.process;
    exec.process.args = {"payload", "report"};
    exec.process.user = {.uid = 5, .gid = 6, .umask = 027, .additional_gids = {7}};
    ASSERT_RAN(process, exec_in_bundle(exec));
    auto exit = process.reap();
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->code, 0);
    auto processes = cgroup_processes_of(container.cgroup());
    ASSERT_TRUE(processes);
    EXPECT_EQ(*processes, std::vector<pid_t>{container.pid()});
    auto stats = cgroup_stats(container.cgroup());
    ASSERT_TRUE(stats) << stats.error().message();
    EXPECT_EQ(stats->pids_current, 1u);
    EXPECT_GT(stats->memory.usage, 0u);
    EXPECT_GT(stats->cpu_total, 0u);
    EXPECT_TRUE(signal_cgroup(container.cgroup(), SIGKILL));
    ASSERT_TRUE(container.reap());
    EXPECT_TRUE(container.destroy());
  });
  EXPECT_NE(out.find("uid=5 gid=6 groups=7"), std::string::npos) << out;
  EXPECT_NE(out.find("umask=027"), std::string::npos) << out;
}

TEST_F(Bundle, WorksOnARootThatCannotBePivotedFrom) {
  options_.no_pivot = true;
  ASSERT_RAN(ran, run_bundle({"list", "/"}));
  EXPECT_TRUE(ran.says("bin")) << ran.out;
}

TEST_F(Bundle, AppliesASeccompSectionWithErrnoAndArguments) {
  spec_.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW"};
  spec_.seccomp->syscalls = {
      {.names = {"getcwd", "no_such_call"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 99},
      {.names = {"umask"},
       .action = "SCMP_ACT_ERRNO",
       .args = {{.index = 0, .value = 0, .op = "SCMP_CMP_NE"}}}};
  ASSERT_RAN(ran, run_bundle({"report"}));
  EXPECT_TRUE(ran.says("cwd=none")) << ran.out;
  EXPECT_TRUE(ran.says("Seccomp:\t2")) << ran.out;
  spec_.process.no_new_privileges = true;
  ASSERT_RAN(again, run_bundle({"report"}));
  EXPECT_TRUE(again.says("cwd=none")) << again.out;
  EXPECT_TRUE(again.says("NoNewPrivs:\t1")) << again.out;
}

TEST_F(Bundle, GivesTheSeccompListenerToTheAgent) {
  sys::Fd agent = listen_at(base_ / "agent.sock");
  spec_.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW",
                               .listener_path = base_ / "agent.sock",
                               .listener_metadata = "meta"};
  spec_.seccomp->syscalls = {{.names = {"getcwd"}, .action = "SCMP_ACT_NOTIFY"}};
  spec_.process.args = {"/bin/payload", "report"};
  std::string out = captured([&] {
    ASSERT_RAN(container, BundleContainer::create(options_));
    ASSERT_TRUE(container.start());
    auto [listener, text] = received(agent.get());
    ASSERT_TRUE(listener);
    EXPECT_NE(text.find("\"fds\":[\"seccompFd\"]"), std::string::npos) << text;
    EXPECT_NE(text.find("\"metadata\":\"meta\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"id\":\"box\""), std::string::npos) << text;
    pollfd entry{listener.get(), POLLIN, 0};
    EXPECT_EQ(poll(&entry, 1, 5000), 1) << "the call is notified";
    listener.reset();  // without an agent the call fails with ENOSYS
    ASSERT_TRUE(container.reap());
    EXPECT_TRUE(container.destroy());
  });
  EXPECT_NE(out.find("cwd=none"), std::string::npos) << out;
}

}  // namespace
}  // namespace wherry::runtime
