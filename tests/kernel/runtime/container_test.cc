// A container's life: create, start, exit, errors, exec, terminals, links; and that nothing
// remains.
#include <arpa/inet.h>
#include <sys/ioctl.h>

#include "container_fixture.h"
#include "sys/clone.h"
#include "sys/rtnetlink.h"

namespace wherry::runtime {
namespace {

using ContainerLife = ContainerTest;

TEST_F(ContainerLife, ReportsExitCodesAndSignals) {
  ASSERT_RAN(seven, run({"exit", "7"}));
  EXPECT_EQ(seven.code, 7);
  ASSERT_RAN(last, run({"exit", "255"}));
  EXPECT_EQ(last.code, 255);
  ASSERT_RAN(container, start_waiting());
  ASSERT_TRUE(sys::signal_process(container.pidfd(), SIGKILL));
  auto exit = container.reap();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 137);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_FALSE(exit->oom_killed);
  EXPECT_TRUE(container.destroy());
  EXPECT_TRUE(container.destroy()) << "twice is fine";
  expect_nothing_left();
}

TEST_F(ContainerLife, WaitsForItsStart) {
  auto wanted = options();
  sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  wanted.stdio = {null.get(), null.get(), null.get()};
  ASSERT_RAN(container, Container::create(wanted));
  std::string exe = "/proc/" + std::to_string(container.pid()) + "/exe";
  EXPECT_NE(fs::read_symlink(exe), "/bin/payload");
  EXPECT_EQ(sys::process_start_time(container.pid()), container.start_time());
  ASSERT_TRUE(container.destroy());
  expect_nothing_left();
}

TEST_F(ContainerLife, EntersANetworkNamespaceThatWasMadeForItWhereItWantsANewOne) {
  auto number_of = [](const std::string& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_ino;
  };
  const ino_t own = number_of("/proc/self/ns/net");
  ASSERT_RAN(network, sys::make_network_namespace());
  EXPECT_EQ(number_of("/proc/self/ns/net"), own);
  const ino_t made = number_of("/proc/self/fd/" + std::to_string(network.get()));
  EXPECT_NE(made, own);
  sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  // It runs at once, and is to be there still when it is looked at.
  spec_.process.args = {"/bin/payload", "wait"};
  for (bool wants_one : {true, false}) {
    auto wanted = options();
    wanted.permit = [&] { return network.dup(); };
    wanted.stdio = {null.get(), null.get(), null.get()};
    ASSERT_RAN(container, Container::create(wanted));
    EXPECT_EQ(number_of("/proc/" + std::to_string(container.pid()) + "/ns/net"),
              wants_one ? made : own);
    ASSERT_TRUE(container.destroy());
    std::erase_if(spec_.namespaces, [](const auto& one) { return one.type == "network"; });
    spec_.sysctl.clear();
  }
  expect_nothing_left();
}

TEST_F(ContainerLife, NamesAProgramThatCannotBeExecutedInTheWordsEnginesKnow) {
  fs::create_directories(base_ / "lower/opt/directory");
  write_lower("opt/plain", "no program");
  struct Case {
    std::string program;
    ErrorKind kind;
    std::string message;
  };
  for (const Case& c :
       {Case{"foo", ErrorKind::kNotFound, "exec: \"foo\": executable file not found in $PATH"},
        Case{"/x", ErrorKind::kNotFound, "exec: \"/x\": stat /x: no such file or directory"},
        Case{"/opt/plain", ErrorKind::kPermissionDenied, "exec: \"/opt/plain\": permission denied"},
        Case{"/opt/directory", ErrorKind::kPermissionDenied,
             "exec: \"/opt/directory\": is a directory"}}) {
    spec_.process.args = {c.program};
    auto ran = run_options(options());
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error().message(), c.message);
    EXPECT_EQ(ran.error().kind(), c.kind);
  }
  expect_nothing_left();
}

TEST_F(ContainerLife, NamesAnExecThatTheKernelRefuses) {
  write_lower("opt", "no program");
  fs::permissions(base_ / "lower/opt", fs::perms(0755));
  spec_.process.args = {"/opt"};
  auto ran = run_options(options());
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(), "exec: \"/opt\": exec format error");
  EXPECT_EQ(ran.error().errnum(), ENOEXEC);
  expect_nothing_left();
}

TEST_F(ContainerLife, FindsTheProgramInThePath) {
  spec_.process.args = {"payload", "exit", "3"};
  ASSERT_RAN(ran, run_options(options()));
  EXPECT_EQ(ran.code, 3);
}

TEST_F(ContainerLife, MakesTheWorkingDirectoryOnlyWhenAsked) {
  spec_.process.cwd = "/srv/deep/er";
  auto refused = run({"report"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().message(),
      "cannot enter the working directory '/srv/deep/er': cannot open '/srv/deep/er': no such "
      "file or directory");
  spec_.process.args = {"/bin/payload"};
  auto wanted = options();
  wanted.create_cwd = true;
  ASSERT_RAN(ran, run_options(wanted));
  EXPECT_TRUE(ran.says("cwd=/srv/deep/er"));
}

TEST_F(ContainerLife, RefusesAWorkingDirectoryThroughADescriptor) {
  sys::Fd host(open("/", O_RDONLY | O_DIRECTORY));
  for (int fd = 0; fd < 20; ++fd) {
    spec_.process.cwd = "/proc/self/fd/" + std::to_string(fd);
    EXPECT_FALSE(run({"report"})) << fd;
  }
}

TEST_F(ContainerLife, UndoesEverythingWhenAMountIsBad) {
  spec_.mounts.push_back({"/data", "bind", "/no/such/source", {"rbind"}});
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(),
            "cannot mount '/data': cannot clone the mount at '/no/such/source': no such file or "
            "directory");
  expect_nothing_left();
}

TEST_F(ContainerLife, RunsFromAPlainDirectoryAsWell) {
  spec_.process.args = {"/bin/payload", "exit", "4"};
  auto wanted = options();
  wanted.root = {};
  wanted.root.directory = base_ / "lower";
  spec_.root_readonly = true;
  ASSERT_RAN(ran, run_options(wanted));
  EXPECT_EQ(ran.code, 4);
}

TEST_F(ContainerLife, MakesAReadOnlyRoot) {
  spec_.root_readonly = true;
  ASSERT_RAN(ran, run({"write", "/file", "x"}));
  EXPECT_EQ(ran.out, "error " + std::to_string(EROFS) + "\n");
  ASSERT_RAN(shm, run({"write", "/dev/shm/file", "x"}));
  EXPECT_EQ(shm.out, "ok\n");
}

TEST_F(ContainerLife, GivesATerminalOfTheContainersOwn) {
  spec_.process.terminal = true;
  spec_.process.console_rows = 33;
  spec_.process.console_columns = 99;
  spec_.process.args = {"/bin/payload", "terminal"};
  ASSERT_RAN(container, Container::create(options()));
  sys::Fd console = container.take_console();
  ASSERT_TRUE(console);
  ASSERT_TRUE(container.start());
  std::string out;
  char buffer[512];
  // The master reports EIO when the last slave is closed.
  for (ssize_t got; (got = read(console.get(), buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(got));
  EXPECT_NE(out.find("tty=1 size=33x99 name=/dev/pts/0"), std::string::npos) << out;
  EXPECT_NE(out.find("rdev=136:0"), std::string::npos) << "/dev/console is the terminal: " << out;
  ASSERT_TRUE(container.reap());
  EXPECT_TRUE(container.destroy());
}

TEST_F(ContainerLife, JoinsABridgeThroughItsOwnLink) {
  const uint32_t gateway = (10u << 24) | (77u << 16) | 1;
  ASSERT_TRUE(sys::ensure_bridge_link("wtest0", gateway, 16));
  spec_.process.args = {"/bin/payload", "read", "/proc/net/route"};
  auto wanted = options();
  wanted.link.emplace();
  wanted.link->bridge = "wtest0";
  wanted.link->host_interface = "wtestveth0";
  wanted.link->mac = {2, 66, 10, 77, 0, 5};
  wanted.link->address = gateway + 4;
  wanted.link->gateway = gateway;
  ASSERT_RAN(ran, run_options(wanted));
  EXPECT_TRUE(ran.mentions("eth0\t00000000\t01004D0A")) << ran.out;
  EXPECT_TRUE(sys::delete_link("wtest0"));
}

TEST_F(ContainerLife, UndoesTheContainerWhenTheLinkFails) {
  auto wanted = options();
  wanted.link.emplace();
  wanted.link->bridge = "no-such-bridge";
  wanted.link->host_interface = "wtestveth1";
  wanted.link->address = 1;
  spec_.process.args = {"/bin/payload"};
  auto ran = run_options(wanted);
  ASSERT_FALSE(ran);
  EXPECT_NE(ran.error().message().find("cannot connect the network"), std::string::npos)
      << ran.error().message();
  expect_nothing_left();
}

TEST_F(ContainerLife, SharesNamespacesThatHaveAPath) {
  ASSERT_RAN(first, start_waiting());
  std::string proc = "/proc/" + std::to_string(first.pid()) + "/ns/";
  oci::RuntimeSpec shared = spec_;
  shared.cgroups_path = cgroup_top_ + "/y";
  shared.hostname.clear();
  shared.sysctl.clear();
  for (oci::Namespace& space : shared.namespaces) {
    if (space.type == "pid") space.path = proc + "pid";
    if (space.type == "network") space.path = proc + "net";
    if (space.type == "uts") space.path = proc + "uts";
    if (space.type == "ipc") space.path = proc + "ipc";
  }
  shared.process.args = {"/bin/payload", "report"};
  auto wanted = options();
  wanted.spec = &shared;
  fs::create_directories(base_ / "upper2");
  fs::create_directories(base_ / "work2");
  wanted.root.upper = base_ / "upper2";
  wanted.root.work = base_ / "work2";
  ASSERT_RAN(ran, run_options(wanted));
  EXPECT_TRUE(ran.says("hostname=inside"));
  EXPECT_FALSE(ran.mentions("pid=1 "));
  ASSERT_TRUE(end(first));
}

TEST_F(ContainerLife, ExecJoinsEverythingWithItsOwnConfinement) {
  ASSERT_RAN(container, start_waiting());
  auto out = sys::make_pipe();
  ASSERT_TRUE(out);
  ExecOptions exec;
  exec.init_pid = container.pid();
  exec.init_start_time = container.start_time();
  exec.cgroups_path = spec_.cgroups_path;
  exec.process = spec_.process;
  exec.process.args = {"payload", "report"};
  exec.process.cwd = "/tmp";
  exec.user = "5:6";
  exec.stdio = {-1, out->write.get(), out->write.get()};
  ASSERT_RAN(process, ExecProcess::start(exec));
  out->write.reset();
  auto text = sys::read_all(out->read.get(), 1 << 20);
  ASSERT_TRUE(text);
  Ran ran{0, *text};
  EXPECT_TRUE(ran.says("uid=5 gid=6 groups=6")) << ran.out;
  EXPECT_TRUE(ran.says("hostname=inside"));
  EXPECT_TRUE(ran.says("cwd=/tmp"));
  EXPECT_TRUE(ran.says("fds=0,1,2,"));
  EXPECT_TRUE(ran.says("CapBnd:\t00000000a80425fb"));
  EXPECT_TRUE(ran.says("CapEff:\t0000000000000000"));
  auto exit = process.reap();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
  exec.process.args = {"payload", "read", "/proc/self/cgroup"};
  auto again = sys::make_pipe();
  ASSERT_TRUE(again);
  exec.stdio = {-1, again->write.get(), again->write.get()};
  ASSERT_RAN(second, ExecProcess::start(exec));
  again->write.reset();
  auto cgroups = sys::read_all(again->read.get(), 1 << 20);
  ASSERT_TRUE(cgroups);
  EXPECT_NE(cgroups->find("pids:" + spec_.cgroups_path + "\n"), std::string::npos) << *cgroups;
  EXPECT_NE(cgroups->find("0::" + spec_.cgroups_path + "\n"), std::string::npos) << *cgroups;
  ASSERT_TRUE(second.reap());
  ASSERT_TRUE(end(container));
}

TEST_F(ContainerLife, ExecGivesATerminal) {
  ASSERT_RAN(container, start_waiting());
  ExecOptions exec;
  exec.init_pid = container.pid();
  exec.init_start_time = container.start_time();
  exec.cgroups_path = spec_.cgroups_path;
  exec.process = spec_.process;
  exec.process.terminal = true;
  exec.process.console_rows = 10;
  exec.process.console_columns = 20;
  exec.process.args = {"payload", "terminal"};
  ASSERT_RAN(process, ExecProcess::start(exec));
  sys::Fd console = process.take_console();
  char buffer[512];
  std::string out;
  for (ssize_t got; (got = read(console.get(), buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(got));
  EXPECT_NE(out.find("tty=1 size=10x20"), std::string::npos) << out;
  ASSERT_TRUE(process.reap());
  ASSERT_TRUE(end(container));
}

TEST_F(ContainerLife, ExecRefusesAnInitThatIsNotTheOneItWas) {
  ASSERT_RAN(container, start_waiting());
  ExecOptions exec;
  exec.init_pid = container.pid();
  exec.init_start_time = container.start_time() + 1;
  exec.cgroups_path = spec_.cgroups_path;
  exec.process = spec_.process;
  auto process = ExecProcess::start(exec);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().message(), "the container is not running");
  EXPECT_EQ(process.error().kind(), ErrorKind::kConflict);
  exec.init_start_time -= 1;
  exec.process.args = {"no-such-program"};
  auto missing = ExecProcess::start(exec);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(),
            "exec: \"no-such-program\": executable file not found in $PATH");
  ASSERT_TRUE(end(container));
}

TEST_F(ContainerLife, DiesWithItsMonitor) {
  sys::Pipe pipe = std::move(*sys::make_pipe());
  pid_t monitor = fork();
  ASSERT_GE(monitor, 0);
  if (monitor == 0) {
    auto container = start_waiting();
    pid_t pid = container ? container->pid() : 0;
    [[maybe_unused]] ssize_t written = write(pipe.write.get(), &pid, sizeof pid);
    if (pid > 0) pause();
    _exit(0);
  }
  pid_t pid = 0;
  ASSERT_EQ(read(pipe.read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ASSERT_GT(pid, 0);
  auto init = sys::open_process(pid, *sys::process_start_time(pid));
  ASSERT_TRUE(init);
  kill(monitor, SIGKILL);
  pollfd entry{init->get(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 5000), 1) << "the init outlived its monitor";
  waitpid(monitor, nullptr, 0);
}

}  // namespace
}  // namespace wherry::runtime
