"""Power cuts: what was acknowledged is there with the right bytes, the rest is absent or whole, nothing wedges."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

from base import IMAGE, FunctionalTest
from faults import FULL, seeded
from harness import archives, images, leaks
from harness.fake_registry import FakeRegistry
from harness.powercut import PowerCutDisk
from harness.store_check import check_store
from harness.wherry import Wherry, forget_networks

# Of each command.
CUTS = 40 if FULL else 3
OTHER = "other:test"
DOCKERFILE = f"FROM {IMAGE}\nCOPY files /files\nRUN echo made > /made\n"


class PowerCutTest(FunctionalTest):
    """A machine of its own for each test: a disk that loses power, and a run root that a reboot empties."""

    needs_image = False

    @classmethod
    def setUpClass(cls):
        """Without the shared root."""

    def setUp(self):
        self.before = leaks.snapshot()
        self.addCleanup(self.check_leaks)
        folder = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"power-{self._testMethodName[:40]}"
        self.disk = PowerCutDisk(folder, megabytes=160)
        self.disk.__enter__()
        self.addCleanup(self.disk.__exit__)
        self.w = Wherry(disk=str(self.disk.path))
        self.addCleanup(self.close)
        self.w.ok("import", images.busybox_tar(), IMAGE)

    def close(self):
        self.w.close()
        self.w.remove_cgroups()

    def check_leaks(self):
        self.assertEqual(leaks.wait_until_clean(self.before)[:20], [])

    def cut(self):
        """The power goes and comes back: processes, run root, links, rules and cgroups are gone, the store is well."""
        self.lose_power()
        self.check_store()

    def lose_power(self):
        self.disk.cut(self.kill_all)
        self.w.wait_for(lambda: not self.w.processes())
        self.w.forget_run_root()
        forget_networks()

    def kill_all(self):
        for pid in self.w.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def check_image(self, name: str, tar: pathlib.Path):
        """As it was imported, to the byte."""
        trees = self.w.layer_paths(name)
        for tree in trees:
            self.assertEqual(images.wrong_files(tree, tar)[:10], [], name)
        shutil.rmtree(trees[0].parent)

    def archive(self, name: str) -> pathlib.Path:
        """An OCI layout of one layer beside the disk."""
        path = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"{self._testMethodName[:40]}.tar"
        self.addCleanup(path.unlink)
        path.write_bytes(archives.oci_layout([images.padded_tar().read_bytes()],
                                             f"docker.io/library/{name}").bytes())
        return path

    def check_blobs(self, count: int):
        """Kept blobs are what their names say."""
        blobs = self.w.root / "blobs" / "sha256"
        names = sorted(os.listdir(blobs))
        self.assertEqual(len(names), count)
        for name in names:
            self.assertEqual(archives.digest_of((blobs / name).read_bytes()), f"sha256:{name}")

    def context(self) -> pathlib.Path:
        """A build's, beside the disk."""
        path = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"context-{self._testMethodName[:40]}"
        (path / "files").mkdir(parents=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", str(path)], check=True)
        (path / "Dockerfile").write_text(DOCKERFILE)
        for index in range(60):
            (path / "files" / str(index)).write_bytes(bytes([index]) * (index * 700))
        return path

    def check_built(self):
        files = b"".join(bytes([index]) * (index * 700) for index in sorted(range(60), key=str))
        self.assertEqual(self.w.ok("run", "--rm", OTHER, "sh", "-c", "cat /made; cat /files/* | sha256sum"),
                         f"made\n{hashlib.sha256(files).hexdigest()}  -\n")

    def registry(self) -> str:
        """The name of an image of two layers that a registry of this test's own has."""
        fake = self.enterContext(FakeRegistry())
        fake.repository("app").add_image("1", [images.padded_tar().read_bytes(),
                                               archives.layer_tar({"etc/top": "on top\n"})])
        return f"{fake.host}/app:1"

    def check_store(self, at_rest: bool = False):
        """By the engine's eyes and by the formats' description alone."""
        done = self.w.try_run("fsck")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(check_store(self.w.root, at_rest)[:10], [])

    def whole_or_absent(self, name: str, tar: pathlib.Path) -> bool:
        there = self.w.ok("images", "-q", name) != ""
        if there:
            self.check_image(name, tar)
        return there

    def check_usable(self):
        self.check_image(IMAGE, images.busybox_tar())
        self.assertEqual(self.w.ok("run", "--rm", IMAGE, "echo", "up"), "up\n")
        # Half-made layers that the disk brings back are swept by whoever changes images next.
        self.w.ok("tag", IMAGE, "sweeper:test")
        self.w.ok("rmi", "sweeper:test")
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        # What no list had reached the disk for is collection's.
        self.w.ok("gc")
        self.check_store(at_rest=True)


class AfterAcknowledgement(PowerCutTest):
    def test_what_a_removal_has_left_behind_goes_with_the_next_command(self):
        self.w.ok("rmi", IMAGE)
        self.lose_power()
        self.w.ok("ps")
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        self.assertEqual(self.w.ok("images", "-q"), "")
        self.check_store(at_rest=True)

    def test_import(self):
        self.w.ok("import", images.padded_tar(), OTHER)
        self.cut()
        self.check_image(OTHER, images.padded_tar())
        self.check_usable()

    def test_import_of_thousands_of_files(self):
        self.w.ok("import", images.many_files_tar(), OTHER)
        self.cut()
        self.check_image(OTHER, images.many_files_tar())
        self.check_usable()

    def test_load(self):
        archive = self.archive(OTHER)
        self.w.ok("load", "-i", archive)
        self.cut()
        self.check_image(OTHER, images.padded_tar())
        self.check_blobs(1)
        self.check_usable()

    def test_tag(self):
        self.w.ok("tag", IMAGE, OTHER)
        self.cut()
        self.check_image(OTHER, images.busybox_tar())
        self.check_usable()

    def test_rmi(self):
        self.w.ok("import", images.padded_tar(), OTHER)
        self.w.ok("rmi", OTHER)
        self.cut()
        self.assertEqual(self.w.ok("images", "-q", OTHER), "")
        # What a reboot brings back of its files has no owner: the next import sweeps and succeeds.
        self.w.ok("import", images.padded_tar(), OTHER)
        self.check_image(OTHER, images.padded_tar())
        self.check_usable()

    def test_rmi_of_an_image_that_shares_files(self):
        self.w.ok("import", images.many_files_tar(800), OTHER)
        self.w.ok("rmi", OTHER)
        self.cut()
        self.check_usable()

    def test_pull(self):
        name = self.registry()
        self.w.ok("pull", name)
        self.cut()
        self.assertEqual(self.w.ok("run", "--rm", name, "cat", "/etc/padding", "/etc/top"),
                         images.PADDING + "on top\n")
        self.assertIn("up to date", self.w.ok("pull", name))
        self.check_usable()

    def test_build(self):
        context = self.context()
        self.w.ok("build", "-t", OTHER, context)
        self.cut()
        self.check_built()
        again = self.w.try_run("build", "--progress", "plain", "-t", OTHER, context)
        self.assertEqual((again.returncode, again.stderr.count("CACHED")), (0, 2), again.stderr)
        self.check_usable()

    def test_commit(self):
        self.w.ok("run", "--name", "changed", IMAGE, "sh", "-c", "echo made > /made")
        self.w.ok("commit", "changed", OTHER)
        self.cut()
        self.assertEqual(self.w.ok("run", "--rm", OTHER, "cat", "/made"), "made\n")
        self.w.ok("commit", "changed", OTHER)
        self.w.ok("rm", "changed")
        self.check_usable()

    def test_gc_and_prune(self):
        self.w.ok("import", images.padded_tar(), OTHER)
        self.w.ok("import", images.many_files_tar(800), OTHER)
        self.w.ok("image", "prune", "-f")
        self.w.ok("gc", "--budget", "1")
        self.cut()
        self.check_image(OTHER, images.many_files_tar(800))
        self.check_usable()

    def test_run_d_is_listed_with_its_configuration(self):
        name = self.w.detached("--name", "kept", "-e", "KEY=value", "-v", "data:/data", "-p", "18094:80",
                               "--label", "a=b", IMAGE, "sleep", "1000")
        self.cut()
        kept = self.w.inspect("kept")
        self.assertEqual(kept["Id"], name)
        self.assertIn("KEY=value", kept["Config"]["Env"])
        self.assertEqual(kept["Config"]["Labels"], {"a": "b"})
        self.assertEqual((kept["State"]["Status"], kept["State"]["ExitCode"], kept["State"]["Pid"]),
                         ("exited", 255, 0))
        self.w.ok("start", "kept")
        self.assertTrue(self.w.inspect("kept")["State"]["Running"])
        self.w.ok("exec", "kept", "touch", "/data/file")
        self.w.ok("rm", "-f", "kept")
        self.check_usable()

    def test_rm(self):
        self.w.detached("--name", "gone", IMAGE, "sleep", "1000")
        self.w.ok("rm", "-f", "gone")
        self.cut()
        self.assertEqual(self.w.ids(), [])
        self.assertEqual(self.w.ok("run", "--rm", "--name", "gone", IMAGE, "echo", "up"), "up\n")
        self.check_usable()

    def test_exit_code_of_a_container_that_was_waited_for(self):
        self.w.detached("--name", "ended", IMAGE, "sh", "-c", "exit 3")
        self.assertEqual(self.w.ok("wait", "ended"), "3\n")
        self.cut()
        self.assertEqual(self.w.inspect("ended")["State"]["ExitCode"], 3)
        self.check_usable()


class AtRandomTimes(PowerCutTest):
    def cut_during(self, longest: float, *command) -> bool:
        """True when the command was acknowledged before the cut."""
        process = self.w.start(*command, stdin=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, longest))  # the moment of the cut is the test's input
        acknowledged = process.poll() == 0
        self.cut()
        process.kill()
        process.communicate()
        return acknowledged

    def duration(self, *command) -> float:
        begin = time.monotonic()
        self.w.ok(*command)
        return time.monotonic() - begin

    def setUp(self):
        super().setUp()
        self.random = seeded(self.id())

    def test_of_import(self):
        tar = images.many_files_tar(800)
        longest = self.duration("import", tar, OTHER) * 1.3
        self.w.ok("rmi", OTHER)
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, "import", tar, OTHER)
                there = self.whole_or_absent(OTHER, tar)
                self.assertTrue(there or not acknowledged, "acknowledged and lost")
                self.w.ok("import", tar, OTHER)
                self.check_image(OTHER, tar)
                self.forget_image()
                self.assertEqual(len(os.listdir(self.w.root / "layers")), 1)
                self.check_usable()

    def test_of_load(self):
        archive, tar = self.archive(OTHER), images.padded_tar()
        longest = self.duration("load", "-i", archive) * 1.3
        self.w.ok("rmi", OTHER)
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, "load", "-i", archive)
                there = self.whole_or_absent(OTHER, tar)
                self.assertTrue(there or not acknowledged, "acknowledged and lost")
                self.w.ok("load", "-i", archive)
                self.check_image(OTHER, tar)
                self.check_blobs(1)
                self.w.ok("rmi", "-f", OTHER)
                self.check_usable()
                self.check_blobs(0)

    def test_of_pull(self):
        name = self.registry()
        longest = self.duration("pull", name) * 1.3
        self.w.ok("rmi", name)
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, "pull", name)
                there = self.w.ok("images", "-q", name) != ""
                self.assertTrue(there or not acknowledged, "acknowledged and lost")
                self.w.ok("pull", name)
                self.assertEqual(self.w.ok("run", "--rm", name, "cat", "/etc/padding", "/etc/top"),
                                 images.PADDING + "on top\n")
                self.w.ok("rmi", name)
                self.check_usable()

    def test_of_build(self):
        context = self.context()
        command = ("build", "--no-cache", "-t", OTHER, context)
        longest = self.duration(*command) * 1.3
        self.forget_build()
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, *command)
                if self.w.ok("images", "-q", OTHER):
                    self.check_built()
                else:
                    self.assertFalse(acknowledged, "acknowledged and lost")
                self.w.ok("build", "-t", OTHER, context)
                self.check_built()
                self.forget_build()
                self.check_usable()
                self.assertEqual(len(os.listdir(self.w.root / "layers")), 1)

    def forget_image(self):
        self.w.ok("rmi", "-f", OTHER)
        for dangling in self.w.ok("images", "-q", "--filter", "dangling=true").split():
            self.w.ok("rmi", "-f", dangling)

    def forget_build(self):
        self.forget_image()
        self.w.ok("builder", "prune", "-a", "-f")

    def test_of_commit(self):
        self.w.detached("--name", "changed", IMAGE, "sh", "-c", """[ -d /files ] || { mkdir /files
            for i in $(seq 60); do head -c $((i * 700)) /dev/zero | tr '\\0' "\\$((40 + i % 8))" > /files/$i; done
            rm /bin/true; echo made > /made; }; sleep 1000""")
        self.w.wait_for(lambda: self.w.try_run("exec", "changed", "test", "-e", "/made").returncode == 0)
        # What a container writes is its own to sync.
        subprocess.run(["sync", "-f", self.disk.path], check=True)
        show = ("sh", "-c", "cat /made; [ -e /bin/true ] || echo gone; cat /files/* | sha256sum")
        changed = self.w.try_run("exec", "changed", *show).stdout
        longest = self.duration("commit", "changed", OTHER) * 1.3
        self.forget_image()
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, "commit", "changed", OTHER)
                there = self.w.ok("images", "-q", OTHER) != ""
                self.assertTrue(there or not acknowledged, "acknowledged and lost")
                if there:
                    self.assertEqual(self.w.try_run("run", "--rm", OTHER, *show).stdout, changed)
                self.w.ok("start", "changed")  # it went with the machine
                self.w.ok("commit", "changed", OTHER)
                self.assertEqual(self.w.try_run("run", "--rm", OTHER, *show).stdout, changed)
                self.forget_image()
                self.check_usable()
                self.assertEqual(len(os.listdir(self.w.root / "layers")), 1)
        self.w.ok("rm", "-f", "changed")

    def test_of_tag_and_rmi(self):
        tar = images.padded_tar()
        longest = 0.0
        for index in range(CUTS + 1):
            with self.subTest(round=index):
                self.w.ok("import", tar, OTHER)
                if index == 0:
                    longest = self.duration("tag", OTHER, "second:test") + self.duration("rmi", OTHER)
                    longest += self.duration("rmi", "second:test")
                    continue
                tagged = self.cut_during(longest / 2, "tag", OTHER, "second:test")
                self.assertTrue(self.whole_or_absent("second:test", tar) or not tagged, "acknowledged and lost")
                self.check_image(OTHER, tar)
                self.w.try_run("rmi", "second:test")
                removed = self.cut_during(longest / 2, "rmi", OTHER)
                self.assertFalse(self.whole_or_absent(OTHER, tar) and removed, "acknowledged and there")
                self.w.try_run("rmi", OTHER)
                self.assertEqual(self.w.ok("images", "-q", OTHER), "")
                self.check_usable()

    def test_of_run_d(self):
        command = ("run", "-d", "--name", "victim", "-v", "/anonymous", IMAGE, "sleep", "1000")
        longest = self.duration(*command) * 1.3
        self.w.ok("rm", "-f", "-v", "victim")
        for index in range(CUTS):
            with self.subTest(round=index):
                acknowledged = self.cut_during(longest, *command)
                listed = self.w.ok("ps", "-a", "--format", "{{.Names}}").split()
                self.assertIn(listed, [["victim"]] if acknowledged else [["victim"], []])
                for name in listed:
                    self.assertEqual(self.w.inspect(name)["State"]["Pid"], 0)
                    self.w.ok("start", name)
                    self.w.ok("rm", "-f", "-v", name)
                self.w.ok(*command)
                self.w.ok("rm", "-f", "-v", "victim")
                self.assertEqual(os.listdir(self.w.root / "containers"), [])
                self.check_usable()
