"""Full disks, no inodes, few descriptors."""
import os
import pathlib
import resource
import subprocess

from base import IMAGE, FunctionalTest
from faults import FaultTest
from harness import archives, images, invariants, leaks
from harness.powercut import PowerCutDisk
from harness.store_check import check_store
from harness.wherry import Wherry

NO_SPACE = "no space left on device"
# What bookkeeping of the file system and of the state's log may take.
SLACK = 128 << 10


class FullDiskTest(FunctionalTest):
    needs_image = False
    inodes = 0

    @classmethod
    def setUpClass(cls):
        """Each test has a small disk of its own instead of the shared root."""

    def setUp(self):
        self.before = leaks.snapshot()
        self.addCleanup(lambda: self.assertEqual(leaks.wait_until_clean(self.before)[:20], []))
        folder = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"small-{self._testMethodName[:40]}"
        self.disk = PowerCutDisk(folder, megabytes=48, inodes=self.inodes)
        self.disk.__enter__()
        self.addCleanup(self.disk.__exit__)
        self.w = Wherry(disk=str(self.disk.path))
        self.addCleanup(self.close)
        self.w.ok("import", images.busybox_tar(), IMAGE)
        self.w.ok("run", "--rm", IMAGE, "true")
        self.filler = self.disk.path / "filler"

    def close(self):
        self.empty()
        self.w.close()
        self.w.remove_cgroups()

    def fill(self, leave: int = 0):
        """To the last block, or so that `leave` bytes are free."""
        with open(self.filler, "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                        os.fsync(file.fileno())  # delayed allocation
                except OSError:
                    pass
            file.truncate(max(0, file.tell() - leave))

    def empty(self):
        self.filler.unlink(missing_ok=True)

    def free(self) -> int:
        found = os.statvfs(self.disk.path)
        return found.f_bfree * found.f_frsize

    def check_import_fails_cleanly(self):
        os.sync()
        before = self.free(), os.statvfs(self.disk.path).f_ffree
        done = self.w.try_run("import", images.many_files_tar(800), "other:test")
        self.assert_fails(done, 1, NO_SPACE)
        os.sync()
        self.assertLess(before[0] - self.free(), SLACK)
        # The file system gives inodes of dead processes back in its own time.
        self.w.wait_for(lambda: os.statvfs(self.disk.path).f_ffree >= before[1], timeout=5)
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        self.assertEqual(self.w.ok("images", "-q", "other"), "")

    def check_all_well(self):
        self.assertEqual(self.w.ok("run", "--rm", IMAGE, "echo", "ok"), "ok\n")
        self.assertEqual(invariants.check_states(self.w), [])


class FullDisk(FullDiskTest):
    # When ext4 gives freed blocks back depends on its journal: under load these have failed by chance.
    full_only = True

    def test_import_fails_cleanly(self):
        for leave in (0, 256 << 10, 1 << 20, 4 << 20):
            with self.subTest(leave=leave):
                self.fill(leave)
                self.check_import_fails_cleanly()
                self.empty()
        self.check_all_well()
        self.w.ok("import", images.padded_tar(), "other:test")

    def test_run_says_what_is_wrong_and_leaves_nothing(self):
        self.fill()
        for options in (("--rm",), ("-d",)):
            done = self.w.try_run("run", *options, "--name", "unlucky", IMAGE, "true")
            if done.returncode != 0:
                self.assert_fails(done, 125, NO_SPACE)
                self.assertEqual([self.w.inspect(name)["State"]["Running"] for name in self.w.ids()],
                                 [False] * len(self.w.ids()))
            self.w.remove_containers()
        self.empty()
        self.check_all_well()

    def test_ps_stop_rm_and_rmi_work_without_a_free_byte(self):
        self.w.ok("import", images.padded_tar(), "other:test")
        for name in ("first", "second", "third"):
            self.w.detached("--name", name, "-v", "/anonymous", IMAGE, "sleep", "1000")
        self.fill()
        self.assertEqual(len(self.w.ok("ps", "-q").split()), 3)
        self.w.ok("stop", "-t", "0", "first")
        self.assertEqual(self.w.inspect("first")["State"]["Status"], "exited")
        self.fill()
        self.w.ok("kill", "second")
        self.w.ok("rm", "-v", "first")
        self.fill()
        self.w.ok("rm", "-f", "-v", "third")
        self.fill()
        self.w.ok("rmi", "other:test")
        self.assertGreater(self.free(), 1 << 20)
        self.empty()
        self.check_all_well()

    def test_gc_frees_space_without_a_free_byte(self):
        # Of what came compressed the blob is kept: that is what a budget frees.
        packed = archives.compressed(images.many_files_tar(800).read_bytes())
        self.w.ok("import", "-", "other:test", input=packed, text=False)
        self.fill()
        self.w.ok("gc", "--budget", "1")
        self.assertGreater(self.free(), 1 << 20)
        self.empty()
        self.check_all_well()
        self.assertEqual(check_store(self.w.root), [])

    def test_a_log_that_finds_no_room_does_not_stop_its_container(self):
        name = self.w.detached(IMAGE, "sh", "-c",
                               "mkfifo /dev/shm/go; read go < /dev/shm/go; for i in $(seq 5000); do echo line $i; done; "
                               "echo > /dev/shm/done; sleep 1000")
        self.fill()
        self.w.ok("exec", name, "sh", "-c", "while [ ! -p /dev/shm/go ]; do :; done; echo > /dev/shm/go")
        self.w.wait_for(lambda: self.w.try_run("exec", name, "test", "-e", "/dev/shm/done").returncode == 0)
        self.assertTrue(self.w.inspect(name)["State"]["Running"])
        self.empty()
        self.w.ok("rm", "-f", name)
        self.check_all_well()


class NoInodes(FullDiskTest):
    inodes = 1024

    def test_import_fails_cleanly(self):
        self.check_import_fails_cleanly()
        self.check_all_well()

    def test_ps_stop_rm_and_rmi_work_without_a_free_inode(self):
        self.w.ok("import", images.padded_tar(), "other:test")
        self.w.detached("--name", "first", IMAGE, "sleep", "1000")
        folder = self.disk.path / "taken"
        folder.mkdir()
        index = 0
        try:
            while True:
                (folder / str(index)).touch()
                index += 1
        except OSError:
            pass
        self.assertEqual(os.statvfs(self.disk.path).f_ffree, 0)
        done = self.w.try_run("run", "--rm", IMAGE, "true")
        self.assert_fails(done, 125, NO_SPACE)
        self.assertEqual(len(self.w.ok("ps", "-q").split()), 1)
        self.w.ok("stop", "-t", "0", "first")
        self.w.ok("rm", "first")
        self.w.ok("rmi", "other:test")
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        self.check_all_well()


class FewDescriptors(FaultTest):
    def limited(self, count: int, *command) -> subprocess.CompletedProcess:
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

        return subprocess.run(self.w.command(*command), capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env=self.w.environment(), preexec_fn=limit)

    def test_a_command_works_or_says_so_and_leaves_nothing(self):
        worked = 0
        for count in (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 64, 128):
            with self.subTest(count=count):
                done = self.limited(count, "run", "--rm", "--name", "few", "-p", "20997:80", IMAGE, "echo", "ok")
                if done.returncode == 0:
                    worked += 1
                    self.assertEqual(done.stdout, "ok\n")
                else:
                    self.assertTrue(done.stderr.strip() and done.returncode in (125, 126, 127), done)
                self.after_a_fault()
                self.works_again("few", "-p", "20997:80")
                self.to_rest()
        self.assertGreaterEqual(worked, 2)

    def test_images_can_be_imported_with_40(self):
        done = self.limited(40, "import", images.padded_tar(), "other:test")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.w.ok("rmi", "other:test")
        self.to_rest()

    def test_a_failed_import_leaves_nothing(self):
        for count in (4, 5, 6, 7, 8, 9, 10):
            done = self.limited(count, "import", images.padded_tar(), "other:test")
            if done.returncode == 0:
                self.w.ok("rmi", "other:test")
            else:
                self.assertIn("too many open files", done.stderr.lower())
            self.assertEqual(self.w.ok("images", "-q", "other"), "")
            self.assertEqual(self.layer_names(), self.layers_at_rest)
            self.to_rest()
