"""Death and full disks at every failpoint of run; many commands at once."""
import concurrent.futures
import os
import random

from base import IMAGE, FunctionalTest
from harness import images, invariants
from harness.invariants import ImageWitness

FULL = os.environ.get("WHERRY_TEST_FULL") == "1"


def sample(items: list, count: int) -> list:
    """All of them in --full, else a seeded choice in order."""
    if FULL or len(items) <= count:
        return items
    chosen = random.Random(int(os.environ["WHERRY_TEST_SEED"])).sample(range(len(items)), count)
    return [items[index] for index in sorted(chosen)]


class Failpoints(FunctionalTest):
    def loop(self, actions, *command, count=12, cleanup=lambda: None):
        points = self.w.failpoints_of(*command)
        cleanup()
        self.assertGreater(len(points), 3, "the command passes failpoints")
        for point, action in sample([(p, a) for p in points for a in actions], count):
            with self.subTest(point=point, action=action):
                done = self.w.with_failpoint(point, action, *command)
                self.check_after(done, point, action)
                cleanup()

    def check_after(self, done, point, action):
        # Hit in a helper or the monitor, an action may leave the command itself whole; a command that says
        # it failed must say why.
        if action != "kill" and done.returncode != 0:
            self.assertTrue(done.stderr.strip(), "an error without a word")
        self.assertEqual(invariants.check_states(self.w), [])
        self.assertEqual(invariants.check_not_wedged(self.w, IMAGE, "again"), [])

    def test_run_at_every_failpoint(self):
        self.loop(["kill", "enospc", "eio"], "run", "--rm", "--name", "again", IMAGE, "true",
                  cleanup=self.w.remove_containers)

    def test_run_detached_at_every_failpoint(self):
        self.loop(["kill", "enospc"], "run", "-d", "--name", "again", "-p", "127.0.0.1:18090:80", IMAGE,
                  "sleep", "100", cleanup=self.w.remove_containers)

    def test_rm_at_every_failpoint(self):
        self.running("--name", "victim")
        points = self.w.failpoints_of("rm", "-f", "victim")
        for point in sample(points, 6):
            with self.subTest(point=point):
                self.running("--name", "victim")
                self.w.with_failpoint(point, "kill", "rm", "-f", "victim")
                self.w.try_run("rm", "-f", "victim")
                self.assertEqual(self.w.ids(), [])

    def test_import_at_every_failpoint(self):
        witness = ImageWitness(self.w, IMAGE)
        points = self.w.failpoints_of("import", images.busybox_tar(), "other:test")
        self.w.ok("rmi", "other:test")
        self.assertGreater(len(points), 3)
        for point, action in sample([(p, a) for p in points for a in ("kill", "enospc", "eio")], 12):
            with self.subTest(point=point, action=action):
                done = self.w.with_failpoint(point, action, "import", images.busybox_tar(), "other:test")
                if done.returncode == 0:
                    self.w.ok("run", "--rm", "--network", "none", "other:test", "true")
                self.assertEqual(witness.check(), [])
                # Again, and it works.
                self.w.ok("import", images.busybox_tar(), "other:test")
                self.w.ok("run", "--rm", "--network", "none", "other:test", "true")
                self.w.ok("rmi", "-f", "other:test")


class LostMonitor(FunctionalTest):
    def test_a_killed_monitor_takes_its_container_along_and_is_recorded(self):
        name = self.running("--name", "bereft")
        pid = self.w.inspect(name)["State"]["Pid"]
        with open(f"/proc/{pid}/stat") as file:
            monitor = int(file.read().rpartition(")")[2].split()[1])
        os.kill(monitor, 9)
        self.w.wait_for(lambda: not os.path.exists(f"/proc/{pid}/root/bin"))
        state = self.w.inspect(name)["State"]
        self.assertEqual((state["Running"], state["Error"]), (False, "monitor lost"))
        self.w.ok("start", name)
        self.assertTrue(self.w.inspect(name)["State"]["Running"])


class ManyAtOnce(FunctionalTest):
    def test_fifty_runs_and_removals_at_once(self):
        def one(index: int):
            name = f"crowd{index}"
            started = self.w.try_run("run", "-d", "--name", name, IMAGE, "sleep", "1000", timeout=120)
            removed = self.w.try_run("rm", "-f", name, timeout=120)
            return started, removed

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            for started, removed in pool.map(one, range(50)):
                self.assertEqual((started.returncode, removed.returncode), (0, 0),
                                 started.stderr + removed.stderr)
        self.assertEqual(self.w.ids(), [])

    def test_one_name_for_many_has_one_winner(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: self.w.try_run("run", "-d", "--name", "one", IMAGE, "sleep", "1000"),
                                 range(8)))
        self.assertEqual(sorted(item.returncode for item in done), [0] + [125] * 7)


class FullDisk(FunctionalTest):
    needs_image = False

    def test_import_onto_a_full_disk_says_so_and_leaves_nothing(self):
        from harness.powercut import PowerCutDisk
        from harness.wherry import Wherry
        import pathlib
        with PowerCutDisk(pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "small", megabytes=40) as disk:
            w = Wherry(disk=str(disk.path))
            w.ok("images")
            filler = disk.path / "filler"
            with open(filler, "wb") as file:
                free = os.statvfs(disk.path)
                os.posix_fallocate(file.fileno(), 0, free.f_bfree * free.f_frsize - (1 << 20))
            done = w.try_run("import", images.busybox_tar(), IMAGE)
            self.assert_fails(done, 1, "no space left on device")
            filler.unlink()
            self.assertEqual(w.ok("images", "-q"), "")
            w.ok("import", images.busybox_tar(), IMAGE)
            self.assertEqual(w.ok("run", "--rm", "--network", "none", IMAGE, "echo", "ok"), "ok\n")
