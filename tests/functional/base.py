"""The base of every functional test: one root per class, a busybox image in it, a leak check after each test."""
import os
import pathlib
import subprocess
import unittest

from harness import images, invariants, leaks
from harness.wherry import Wherry

IMAGE = "busybox:test"


class FunctionalTest(unittest.TestCase):
    """self.w drives wherry; after each test its containers are removed and nothing else may be left."""

    needs_image = True
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.w = Wherry()
        cls.addClassCleanup(cls.w.close)
        if cls.needs_image:
            cls.w.ok("import", images.busybox_tar(), IMAGE)
            # Made-once things (bridge, base rules, lock files) are there before the first snapshot.
            cls.w.ok("run", "--rm", "-p", "127.0.0.1::9", "-v", "/volume", IMAGE, "true")

    def setUp(self):
        self._before = leaks.snapshot(self._watched())
        # Cleanups run last to first: those of a test, then these.
        self.addCleanup(self._check_leaks)
        self.addCleanup(self._check_and_remove)

    def _watched(self) -> list[pathlib.Path]:
        return [self.w.run_root, self.w.root / "incoming", self.w.root / "containers"]

    def _check_and_remove(self):
        if self.w.root.exists():
            wrong = invariants.check_states(self.w)
            self.w.remove_containers()
            self.assertEqual(wrong, [])

    def _check_leaks(self):
        left = leaks.wait_until_clean(self._before, self._watched())
        if left:
            self.fail("\n".join(["left over after the test:", *left[:30]]))

    # --- assertions

    def run_image(self, *command, options=(), **settings) -> subprocess.CompletedProcess:
        """run --rm [options] IMAGE command."""
        return self.w.try_run("run", "--rm", *options, IMAGE, *command, **settings)

    def output(self, *command, options=(), **settings) -> str:
        """stdout of `run --rm`, which must succeed with nothing on stderr."""
        done = self.run_image(*command, options=options, **settings)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def assert_fails(self, done: subprocess.CompletedProcess, code: int, *words: str):
        """The exit code, and each of `words` on stderr."""
        self.assertEqual(done.returncode, code, done)
        for word in words:
            self.assertIn(word.lower(), done.stderr.lower())

    def fsck_finds(self, *words: str, quick: bool = True):
        """By itself, and with `quick` also with --quick."""
        for options in (["--quick"], []) if quick else ([],):
            done = self.w.try_run("fsck", *options)
            self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
            for word in words:
                self.assertIn(word, done.stdout)

    def scratch(self, name: str) -> pathlib.Path:
        """A fresh folder on the test's disk, removed after the test."""
        path = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"{name}-{self.id().rpartition('.')[2]}"
        path.mkdir()
        self.addCleanup(subprocess.run, ["rm", "-rf", str(path)], check=True)
        return path

    def running(self, *options, command=("sleep", "1000")) -> str:
        """The id of a detached container."""
        return self.w.detached(*options, IMAGE, *command)
