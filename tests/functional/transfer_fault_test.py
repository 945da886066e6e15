"""kill -9 and full disks in the middle of pull and push: old or new, nothing half-made, the next one succeeds."""
import contextlib
import os
import pathlib
import subprocess

from base import IMAGE
from faults import sample
from harness import images
from harness.archives import layer_tar
from harness.fake_registry import FakeRegistry, Fault
from harness.powercut import PowerCutDisk
from harness.wherry import Wherry
from transfer_base import PROMPT, RegistryTest

KILLS = 14  # without --full


class KilledPull(RegistryTest):
    def setUp(self):
        super().setUp()
        self.registry.repository("app").add_image(
            "1", [self.busybox(), self.layer("one", 100_000), self.layer("two", 100_000)], {"Cmd": ["echo", "ran"]})
        self.command = ("pull", self.name("app", "1"))

    def hits(self) -> list[tuple[str, int]]:
        names = self.w.failpoint_hits("", *self.command)
        self.remove_images()
        return [(name, names[:index + 1].count(name)) for index, name in enumerate(names)]

    def check(self, program: str, point: str, hit: int, action: str):
        done = self.w.with_failpoint(point, action, *self.command, hit=hit, program=program)
        if done.returncode == 0:
            self.assertIn("Downloaded newer image", done.stdout)
        self.after_a_fault()
        # Whatever the moment: the image is here whole, or the same command brings it.
        self.pulled("app")
        self.assertEqual(self.w.ok("run", "--rm", self.name("app", "1")), "ran\n")
        self.remove_images()
        self.to_rest()

    def test_a_kill_at_each_failpoint(self):
        hits = self.hits()
        names = {name for name, _ in hits}
        for expected in ("transfer.pull.resolved", "transfer.pull.config", "transfer.pull.layer",
                         "transfer.pull.layers", "transfer.pull.recorded", "store.image.before"):
            self.assertIn(expected, names)
        for point, hit in sample(hits, KILLS, self.id()):
            with self.subTest(point, hit=hit):
                self.check("wherry", point, hit, "kill")

    def test_errors_at_each_failpoint(self):
        for point, hit in sample(self.hits(), KILLS, self.id()):
            with self.subTest(point, hit=hit):
                self.check("", point, hit, "enospc")

    def test_a_kill_while_bytes_arrive(self):
        self.registry.repository("slow").add_image("1", [self.layer("big", 2_000_000)])
        self.registry.faults["GET .*blobs/"] = Fault(stall=1000)  # so that no pull is done before its kill
        for _ in range(3):
            process = self.w.start("pull", self.name("slow", "1"), env=PROMPT, stdin=subprocess.DEVNULL)
            self.w.wait_for(lambda: self.registry.asked("slow/blobs"))
            process.kill()
            process.communicate()
            self.registry.requests.clear()
            self.after_a_fault()
        self.registry.faults.clear()
        self.pulled("slow")

    def test_a_helper_that_is_killed_is_an_error_and_leaves_nothing(self):
        for program in ("wherry-unpack", "wherry-transfer"):
            with self.subTest(program):
                self.registry.faults["GET .*blobs/"] = Fault(stall=1000)
                self.registry.requests.clear()
                process = self.w.start("pull", self.name("app", "1"), env=PROMPT, stdin=subprocess.DEVNULL)
                # Helpers of before, like the one that asked for the configuration, have ended by then.
                self.w.wait_for(lambda: len(self.registry.asked("app/blobs")) > 1)
                pid = self.w.wait_for(lambda: self.child(process.pid, program))
                subprocess.run(["kill", "-9", str(pid)], check=True)
                _, err = process.communicate(timeout=30)
                self.assertEqual(process.returncode, 1, err)
                self.registry.faults.clear()
                self.assert_nothing_half_made()
        self.pulled("app")

    def child(self, parent: int, name: str) -> int:
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children")
        # Either may go before its file is opened, or read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in children.read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                    return int(pid)
        return 0


class KilledPush(RegistryTest):
    def setUp(self):
        super().setUp()
        self.registry.repository("origin").add_image("1", [self.busybox(), self.layer("one", 100_000)])
        self.pulled("origin")
        self.target = self.enterContext(FakeRegistry())
        self.copy = f"{self.target.host}/copy:1"
        self.w.ok("tag", self.name("origin", "1"), self.copy)

    def test_a_kill_or_an_error_at_each_failpoint_tags_nothing_half(self):
        names = self.w.failpoint_hits("", "push", self.copy)
        hits = [(name, names[:index + 1].count(name)) for index, name in enumerate(names)]
        for expected in ("prepared", "checked", "layer", "layers", "config", "manifest"):
            self.assertIn(f"transfer.push.{expected}", names)
        for action in ("kill", "eio"):
            for point, hit in sample(hits, KILLS, self.id() + action):
                with self.subTest(point, hit=hit, action=action):
                    self.target.repositories.clear()
                    self.w.with_failpoint(point, action, "push", self.copy, hit=hit)
                    self.after_a_fault()
                    tags = self.target.repository("copy").tags
                    self.assertIn(tags, ({}, self.registry.repositories["origin"].tags))
                    self.w.ok("push", self.copy, env=PROMPT)
                    self.assertEqual(self.target.repositories["copy"].tags, self.registry.repositories["origin"].tags)

    def test_a_packing_that_is_killed_leaves_nothing_and_is_done_again(self):
        name = f"{self.target.host}/made:1"
        self.w.ok("tag", IMAGE, name)
        self.addCleanup(self.w.ok, "rmi", name)
        for point in self.w.failpoints_of("push", name):
            with self.subTest(point):
                self.w.with_failpoint(point, "kill", "push", name)
                self.after_a_fault()
                self.w.ok("push", name, env=PROMPT)


class FullDisk(RegistryTest):
    def test_a_pull_that_does_not_fit_says_so_and_leaves_the_disk_as_it_was(self):
        self.registry.repository("big").add_image("1", [layer_tar({f"f{i}": bytes([i]) * (1 << 20) for i in range(90)})])
        with PowerCutDisk(self.scratch("small"), megabytes=64) as disk:
            small = Wherry(disk=str(disk.path))
            try:
                small.ok("import", images.busybox_tar(), IMAGE)
                before = self.used(disk.path)
                done = small.try_run("pull", self.name("big", "1"), env=PROMPT)
                self.assert_fails(done, 1, "no space left on device", self.name("big", "1"))
                small.ok("ps")
                self.assertEqual(small.ok("images", "-q").split(), small.ok("images", "-q", IMAGE).split())
                self.assertLess(self.used(disk.path) - before, 128 << 10)
                self.assertEqual(small.ok("run", "--rm", IMAGE, "echo", "works"), "works\n")
            finally:
                small.close()

    def used(self, path) -> int:
        info = os.statvfs(path)
        return (info.f_blocks - info.f_bfree) * info.f_frsize
