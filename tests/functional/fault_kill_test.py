"""kill -9 and SIGSTOP of the CLI and of monitors, at random times and at chosen ones."""
import contextlib
import os
import pathlib
import select
import signal
import subprocess
import time

from base import IMAGE
from faults import FULL, FaultTest, seeded
from harness import invariants

ROUNDS = 60 if FULL else 12
STOP_S = 20.0  # well below what a wait for the stopped process would take; sanitized programs are slow


def kill_and_wait(pid: int) -> None:
    """Returns when the kernel has taken what the process held."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 10)
    finally:
        os.close(process)


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


class KilledClient(FaultTest):
    """`run` takes about 25 ms: the kill comes somewhere from before its first step to after its end."""

    def kill_at_random(self, *command) -> subprocess.CompletedProcess:
        delay = self.random.uniform(0, 0.04)
        process = self.w.start(*command, stdin=subprocess.DEVNULL)
        try:
            out, err = process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())

    def setUp(self):
        super().setUp()
        self.random = seeded(self.id())

    def rounds(self, *command):
        for index in range(ROUNDS):
            with self.subTest(round=index):
                done = self.kill_at_random(*command)
                self.after_a_fault()
                yield done
                self.to_rest()

    def test_run_d_killed_at_random_times_leaves_a_listed_container_or_nothing(self):
        for done in self.rounds("run", "-d", "--name", "victim", "-p", "198.51.100.2:18091:80", IMAGE, "sleep",
                                "1000"):
            if done.stdout:
                self.assertEqual(self.w.ids(), done.stdout.split())
                self.assertTrue(self.w.inspect("victim")["State"]["Running"])
            if self.w.ids():
                self.w.ok("rm", "-f", "victim")
            self.works_again("victim", "-p", "198.51.100.2:18091:80")

    def test_a_container_whose_attached_client_is_killed_goes_on_and_settles_itself(self):
        for _ in self.rounds("run", "--name", "victim", IMAGE, "sh", "-c", "echo begun; sleep 0.1; exit 7"):
            if not self.w.ids():
                continue
            self.w.wait_for(lambda: self.w.inspect("victim")["State"]["Status"] == "exited", timeout=5)
            self.assertEqual(self.w.inspect("victim")["State"]["ExitCode"], 7)
            self.assertEqual(self.w.ok("logs", "victim"), "begun\n")

    def test_a_run_rm_whose_client_is_killed_removes_itself(self):
        for _ in self.rounds("run", "--rm", "--name", "victim", "-v", "/anonymous", IMAGE, "sleep", "0.1"):
            self.wait_until_settled_by_itself()
            # The record goes last.
            self.w.wait_for(lambda: self.w.ids() == [], timeout=5)
            self.works_again("victim")

    def wait_until_settled_by_itself(self):
        """Without any command: the monitor does it."""
        self.w.wait_for(lambda: not os.listdir(self.w.run_root / "containers"), timeout=5)


def state_of(pid: int) -> str:
    """One letter, "" when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it went before the file was opened, or read
        return ""


def children_of(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):  # it went before the file was opened, or read
        return []


class MonitorLeftBehind(FaultTest):
    """A monitor that has heard all it needs, and stands still on its way."""

    def stopped_at(self, failpoint: str, *command) -> tuple[subprocess.Popen, int]:
        """The client and its monitor."""
        client = self.w.start(*command, env={"WHERRY_FAILPOINT": f"{failpoint}:stop"}, stdin=subprocess.DEVNULL)
        self.addCleanup(client.communicate, timeout=60)
        self.addCleanup(client.kill)
        self.w.wait_for(lambda: [pid for pid in children_of(client.pid) if state_of(pid) == "T"], timeout=20)
        monitor, = children_of(client.pid)
        return client, monitor

    def let_go(self, monitor: int):
        with contextlib.suppress(ProcessLookupError):
            os.kill(monitor, signal.SIGCONT)

    def test_the_first_process_has_failed_before_it_is_let_go(self):
        client, monitor = self.stopped_at("runtime.create.cloned", "run", "--rm", "--network", "none", IMAGE, "nosuch")
        self.w.wait_for(lambda: [state_of(pid) for pid in children_of(monitor)] == ["Z"], timeout=20)
        self.let_go(monitor)
        _, err = client.communicate(timeout=20)
        self.assertEqual(client.returncode, 127, err)
        self.assertIn(b"nosuch", err)
        self.to_rest()

    def test_a_client_killed_behind_its_permit_leaves_a_container_that_runs_or_nothing(self):
        client, monitor = self.stopped_at("runtime.create.permitted", "run", "-d", "--name", "victim", IMAGE, "sleep", "1000")
        kill_and_wait(client.pid)
        listing = self.w.start("ps", "-q")
        self.let_go(monitor)
        out, err = listing.communicate(timeout=20)
        self.assertEqual((listing.returncode, err), (0, b""))
        self.w.wait_for(lambda: self.w.ids() == self.w.ids(running_only=True), timeout=5)
        if self.w.ids():
            self.w.ok("rm", "-f", "victim")
        self.works_again("victim")
        self.to_rest()

    def test_a_monitor_that_comes_after_its_container_was_taken_back_starts_nothing(self):
        client, monitor = self.stopped_at("monitor.started", "run", "-d", "--name", "victim", IMAGE, "sleep", "1000")
        self.w.wait_for(lambda: self.w.ids(), timeout=20)
        kill_and_wait(client.pid)
        self.assertEqual(self.w.ids(), [])
        self.let_go(monitor)
        self.w.wait_for(lambda: state_of(monitor) == "", timeout=20)
        self.assertEqual(self.w.ids(), [])
        self.works_again("victim")
        self.to_rest()


class KilledMonitor(FaultTest):
    def monitor_of(self, name: str) -> int:
        return parent_of(self.w.inspect(name)["State"]["Pid"])

    def test_killed_while_running_it_takes_its_container_along_and_is_recorded(self):
        name = self.running("--name", "bereft", "-p", "198.51.100.2:18092:80")
        pid = self.w.inspect(name)["State"]["Pid"]
        kill_and_wait(self.monitor_of(name))
        begin = time.monotonic()
        state = self.w.inspect(name)["State"]
        self.assertLess(time.monotonic() - begin, 1.0)
        self.assertEqual((state["Status"], state["Running"], state["Pid"], state["ExitCode"], state["Error"]),
                         ("exited", False, 0, 255, "monitor lost"))
        self.assertFalse(os.path.exists(f"/proc/{pid}/root/bin"))
        self.w.ok("start", name)
        self.assertTrue(self.w.inspect(name)["State"]["Running"])
        self.to_rest()

    def test_killed_in_the_middle_of_many_processes_none_is_left(self):
        name = self.running("--name", "crowd", command=("sh", "-c", "for i in $(seq 50); do sleep 1000 & done; wait"))
        self.w.wait_for(lambda: self.w.ok("exec", name, "ps").count("sleep 1000") >= 50)
        kill_and_wait(self.monitor_of(name))
        self.assertIn("Exited (255)", self.w.ok("ps", "-a"))
        self.to_rest()

    def test_of_a_run_rm_container_it_leaves_nothing(self):
        process = self.w.start("run", "--rm", "--name", "fleeting", IMAGE, "sleep", "1000",
                               stdin=subprocess.DEVNULL)
        self.w.wait_for(lambda: self.w.ids(running_only=True))
        kill_and_wait(self.monitor_of("fleeting"))
        process.communicate(timeout=10)
        self.assertEqual(process.returncode, 125)
        self.assertEqual(self.w.ids(), [])
        self.to_rest()
        self.works_again("fleeting")

    def test_killed_at_random_times_of_short_lives_nothing_is_left_and_states_are_true(self):
        random = seeded(self.id())
        for index in range(ROUNDS):
            with self.subTest(round=index):
                process = self.w.start("run", "--name", "victim", IMAGE, "true", stdin=subprocess.DEVNULL)
                deadline = time.monotonic() + random.uniform(0, 0.03)
                victims = []
                while time.monotonic() < deadline or (not victims and process.poll() is None):
                    victims = self.monitors()
                for pid in victims:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                process.communicate(timeout=10)
                self.after_a_fault()
                for name in self.w.ids():
                    state = self.w.inspect(name)["State"]
                    self.assertNotEqual(state["Status"], "running")
                    # No exit code is invented: it is the program's own, or there was none.
                    self.assertIn((state["ExitCode"], state["Error"] != ""), [(0, False), (255, True), (128, True)])
                    self.w.ok("start", name)
                self.to_rest()

    def monitors(self) -> list[int]:
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/comm") as file:
                        if file.read() == "wherry-monitor\n":
                            found.append(int(entry))
                except OSError:
                    pass
        return found


class StoppedMonitor(FaultTest):
    def setUp(self):
        super().setUp()
        self.running("--name", "frozen", "-p", "198.51.100.2:18093:80")
        self.running("--name", "other")
        self.pid = parent_of(self.w.inspect("frozen")["State"]["Pid"])
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(self.wake)

    def wake(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def promptly(self, *args) -> str:
        begin = time.monotonic()
        out = self.w.ok(*args, timeout=20)
        self.assertLess(time.monotonic() - begin, STOP_S, args)
        return out

    def test_everybody_else_is_answered(self):
        self.assertEqual(len(self.promptly("ps", "-q").split()), 2)
        self.assertIn('"Running": true', self.promptly("inspect", "frozen"))
        self.promptly("logs", "frozen")
        self.promptly("info")
        self.assertEqual(self.promptly("run", "--rm", IMAGE, "echo", "ok"), "ok\n")
        self.promptly("run", "-d", "--name", "third", IMAGE, "sleep", "1000")
        self.assertEqual(self.promptly("exec", "other", "echo", "ok"), "ok\n")
        self.promptly("stop", "-t", "0", "other")
        self.promptly("rm", "-f", "third")
        self.promptly("tag", IMAGE, "busybox:second")
        self.promptly("rmi", "busybox:second")

    def test_a_stop_that_waits_for_it_goes_on_when_it_wakes(self):
        stopping = self.w.start("stop", "-t", "0", "frozen", stdin=subprocess.DEVNULL)
        self.assertEqual(self.promptly("run", "--rm", IMAGE, "echo", "ok"), "ok\n")
        self.wake()
        stopping.communicate(timeout=10)
        self.assertEqual(stopping.returncode, 0)
        self.assertEqual(self.w.inspect("frozen")["State"]["Status"], "exited")

    def test_rm_f_removes_a_container_whose_monitor_does_not_answer(self):
        self.w.ok("rm", "-f", "frozen", timeout=30)
        self.assertEqual(len(self.w.ids()), 1)
        self.to_rest()
        self.works_again("frozen", "-p", "198.51.100.2:18093:80")

    def test_stop_of_it_ends_with_an_error_or_does_its_work(self):
        done = self.w.try_run("stop", "-t", "1", "frozen", timeout=30)
        if done.returncode != 0:
            self.assertIn("does not answer", done.stderr)
        self.assertEqual(invariants.check_states(self.w), [])


class StoppedClient(FaultTest):
    """A reader that has gone to sleep with a full pipe blocks at most its own container's output."""

    def setUp(self):
        super().setUp()
        self.client = self.w.start("run", "--name", "flood", IMAGE, "sh", "-c",
                                   "while :; do echo 0123456789012345678901234567890123456789; done",
                                   stdin=subprocess.DEVNULL)
        self.w.wait_for(lambda: self.w.ids(running_only=True))
        self.client.stdout.read(4096)
        os.kill(self.client.pid, signal.SIGSTOP)
        self.addCleanup(self.end_client)

    def end_client(self):
        self.client.kill()
        self.client.communicate()

    def test_other_clients_are_served(self):
        begin = time.monotonic()
        self.assertEqual(self.w.ok("exec", "flood", "echo", "ok"), "ok\n")
        self.assertTrue(self.w.ok("logs", "--tail", "1", "flood"))
        self.assertTrue(self.w.inspect("flood")["State"]["Running"])
        self.assertEqual(self.w.ok("run", "--rm", IMAGE, "echo", "ok"), "ok\n")
        self.assertLess(time.monotonic() - begin, STOP_S)

    def test_stop_is_not_held_up(self):
        begin = time.monotonic()
        self.w.ok("stop", "-t", "0", "flood", timeout=20)
        self.assertLess(time.monotonic() - begin, STOP_S)
        self.assertEqual(self.w.inspect("flood")["State"]["Status"], "exited")

    def test_rm_f_is_not_held_up_and_the_name_is_free(self):
        begin = time.monotonic()
        self.w.ok("rm", "-f", "flood", timeout=20)
        self.assertLess(time.monotonic() - begin, STOP_S)
        self.works_again("flood")

    def test_when_it_is_killed_the_container_goes_on(self):
        self.end_client()
        log = pathlib.Path(self.w.inspect("flood")["LogPath"])
        size = log.stat().st_size
        self.w.wait_for(lambda: log.stat().st_size > size)
        self.assertTrue(self.w.inspect("flood")["State"]["Running"])
