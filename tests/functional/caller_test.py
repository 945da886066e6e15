"""A container knows nothing of its caller and needs it for nothing; several roots live side by side."""
import os
import pathlib
import resource
import signal
import subprocess

from base import IMAGE, FunctionalTest
from harness import images
from harness.wherry import Wherry


def stat_words(pid: int) -> list[str]:
    """The words of /proc/PID/stat after the name, from the state on."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def status(pid) -> dict[str, str]:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def become_an_odd_caller():
    os.umask(0o077)
    os.nice(10)
    os.chdir("/tmp")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    os.sched_setaffinity(0, {0})
    pathlib.Path("/proc/self/oom_score_adj").write_text("500")


class Odd(FunctionalTest):
    """One container from an odd caller, with many things to see from inside and outside."""

    def setUp(self):
        super().setUp()
        self.secret = self.scratch("secret")
        with open(self.secret / "held-open", "w") as file:
            process = self.w.start("run", "-d", IMAGE, "sleep", "1000", stdin=subprocess.DEVNULL,
                                   env={"SECRET": "x"}, preexec_fn=become_an_odd_caller,
                                   pass_fds=[file.fileno()])
            out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, err)
        self.name = out.decode().strip()
        self.pid = self.w.inspect(self.name)["State"]["Pid"]
        self.monitor = int(stat_words(self.pid)[1])

    def test_nothing_of_the_caller_leaks_into_the_container_or_its_monitor(self):
        for who, pid in (("container", self.pid), ("monitor", self.monitor)):
            found = status(pid)
            with self.subTest(who, what="umask"):
                self.assertEqual(found["Umask"], "0022")
            with self.subTest(who, what="nice"):
                self.assertEqual(stat_words(pid)[16], "0")
            with self.subTest(who, what="working directory"):
                self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
            with self.subTest(who, what="processors"):
                self.assertEqual(found["Cpus_allowed_list"], status("self")["Cpus_allowed_list"])
            with self.subTest(who, what="oom score"):
                self.assertNotEqual(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text(), "500\n")
            with self.subTest(who, what="environment"):
                self.assertNotIn(b"SECRET", pathlib.Path(f"/proc/{pid}/environ").read_bytes())
            with self.subTest(who, what="descriptors"):
                targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                self.assertFalse([target for target in targets if str(self.secret) in target])
        found = status(self.pid)
        self.assertEqual((found["SigIgn"], found["SigBlk"]), ("0" * 16, "0" * 16))
        self.assertGreater(self.open_files(), 64)

    def open_files(self) -> int:
        limits = pathlib.Path(f"/proc/{self.pid}/limits").read_text().splitlines()
        return int(next(line for line in limits if line.startswith("Max open files")).split()[3])

    def test_exec_from_the_odd_caller_is_as_clean(self):
        process = self.w.start("exec", self.name, "sh", "-c", "umask; pwd; ls /proc/self/fd; grep -E "
                               "'SigIgn|SigBlk|Cpus_allowed_list' /proc/self/status; cut -d' ' -f19 /proc/self/stat; "
                               "echo [$SECRET]", env={"SECRET": "x"}, preexec_fn=become_an_odd_caller,
                               stdin=subprocess.DEVNULL)
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, err), (0, b""))
        self.assertEqual(out.decode().split(),
                         ["0022", "/", "0", "1", "2", "3", "SigBlk:", "0" * 16, "SigIgn:", "0" * 16,
                          "Cpus_allowed_list:", status("self")["Cpus_allowed_list"], "0", "[]"])


class Ended(FunctionalTest):
    def end_session(self, script: str, *ready: str):
        """Runs a script in a session of its own, waits for lines, and kills the session whole."""
        process = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   env={**self.w.environment(), "W": subprocess.list2cmdline(self.w.command())})
        for line in ready:
            self.assertEqual(process.stdout.readline(), line + "\n")
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if stat_words(int(entry))[3] == str(process.pid):
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                pass  # it has ended meanwhile
        process.communicate(timeout=20)

    def test_kill_of_the_whole_session_leaves_containers_running_logging_and_ending_well(self):
        self.end_session(f"$W run -d --name background {IMAGE} sleep 1000 >&2; echo started\n"
                         f"$W run --name attached {IMAGE} sh -c "
                         "'echo ready; trap \"echo asked; exit 3\" TERM; while :; do sleep 0.1; echo tick; done'",
                         "started", "ready")
        for name in ("background", "attached"):
            self.assertTrue(self.w.inspect(name)["State"]["Running"], name)
        seen = len(self.w.ok("logs", "attached"))
        self.w.wait_for(lambda: len(self.w.ok("logs", "attached")) > seen)
        self.w.ok("stop", "attached")
        self.assertEqual(self.w.ok("wait", "attached"), "3\n")
        self.assertEqual(self.w.ok("logs", "--tail", "1", "attached"), "asked\n")

    def test_a_container_of_rm_is_removed_although_nobody_waits_for_it(self):
        self.end_session(f"$W run --rm --name brief {IMAGE} sh -c "
                         "'echo ready; while ! test -e /go; do sleep 0.05; done'", "ready")
        self.w.ok("exec", "brief", "touch", "/go")
        self.w.wait_for(lambda: self.w.ids() == [])

    def test_an_exec_goes_on_and_its_container_too(self):
        name = self.running()
        self.end_session(f"$W exec {name} sh -c 'echo ready; while :; do sleep 0.1; done'", "ready")
        self.assertTrue(self.w.inspect(name)["State"]["Running"])
        self.assertEqual(self.w.ok("exec", name, "echo", "alive"), "alive\n")


class Roots(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = Wherry()
        cls.addClassCleanup(cls.other.close)
        cls.other.ok("import", images.busybox_tar(), IMAGE)
        cls.other.ok("run", "--rm", "-p", "127.0.0.1::9", IMAGE, "true")

    def _watched(self):
        return [*super()._watched(), self.other.run_root, self.other.root / "containers"]

    def setUp(self):
        super().setUp()
        self.addCleanup(self.other.remove_containers)

    def test_the_same_name_runs_in_each_and_neither_sees_the_other(self):
        mine = self.running("--name", "same")
        theirs = self.other.detached("--name", "same", IMAGE, "sleep", "1000")
        self.assertEqual((self.w.ids(), self.other.ids()), ([mine], [theirs]))
        self.w.ok("rm", "-f", "same")
        self.assertEqual((self.w.ids(), self.other.ids()), ([], [theirs]))
        self.assertEqual(self.other.ok("exec", "same", "echo", "alive"), "alive\n")

    def test_their_networks_have_different_addresses(self):
        self.running("--name", "same")
        self.other.detached("--name", "same", IMAGE, "sleep", "1000")
        gateways = {w.inspect("same")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
                    for w in (self.w, self.other)}
        self.assertEqual(len(gateways), 2, gateways)

    def test_a_port_of_one_is_refused_to_the_other(self):
        self.running("-p", "18301:80")
        done = self.other.try_run("run", "-d", "-p", "18301:80", IMAGE, "sleep", "1000")
        self.assert_fails(done, 125, "18301", "port is already allocated")

    def test_images_are_each_root_s_own(self):
        self.w.ok("tag", IMAGE, "mine:only")
        self.addCleanup(self.w.ok, "rmi", "mine:only")
        self.assertNotIn("mine", self.other.ok("images"))
