"""What the fault tests share: seeded samples, and what must hold after a fault (invariants I1 to I6)."""
import os
import pathlib
import random
import time

from base import IMAGE, FunctionalTest
from harness import invariants, leaks

FULL = os.environ.get("WHERRY_TEST_FULL") == "1"
PROGRAMS = ("wherry", "wherry-monitor", "wherry-unpack")
ERRNO_WORDS = {"enospc": "no space left on device", "eio": "input/output error"}


def seeded(name: str) -> random.Random:
    """A generator of its own for each test, so that adding one does not change the others."""
    return random.Random(f"{os.environ['WHERRY_TEST_SEED']} {name}")


def sample(items: list, count: int, name: str) -> list:
    """All of them in --full, else a seeded choice in order."""
    if FULL or len(items) <= count:
        return items
    chosen = seeded(name).sample(range(len(items)), count)
    return [items[index] for index in sorted(chosen)]


class FaultTest(FunctionalTest):
    """After each fault: settle(), which is the next command and the checks; then rest()."""

    # Files below the root that belong to nobody when no container and no other image is there.
    def _watched(self) -> list[pathlib.Path]:
        return [*super()._watched(), self.w.root / "volumes", self.w.root / "cache"]

    def setUp(self):
        super().setUp()
        self.at_rest = leaks.snapshot(self._watched())
        self.layers_at_rest = self.layer_names()

    def layer_names(self) -> set[str]:
        return set(os.listdir(self.w.root / "layers"))

    def after_a_fault(self):
        """The next command answers, and what it says is the kernel's truth."""
        listing = self.w.try_run("ps", "-a")
        self.assertEqual((listing.returncode, listing.stderr), (0, ""), "ps after the fault")
        # The monitor needs a moment between the end of a process and its word about it.
        deadline = time.monotonic() + 1
        while (wrong := invariants.check_states(self.w)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(wrong, [])

    def to_rest(self):
        """rm -f works, and then nothing is left that was not there before."""
        for name in self.w.ids():
            removed = self.w.try_run("rm", "-f", "-v", name)
            if removed.returncode != 0 and "no such container" not in removed.stderr.lower():
                self.fail(f"rm -f after the fault: {removed.stderr}")
        self.assertEqual(self.w.ids(), [])
        self.assertEqual(leaks.wait_until_clean(self.at_rest, self._watched())[:20], [])

    def works_again(self, name: str, *options):
        done = self.w.try_run("run", "--rm", "--name", name, *options, IMAGE, "echo", "again")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "again\n", ""), "the same name again")

    def assert_explained(self, done, action: str, codes: tuple[int, ...]):
        """A command that says it failed says why, with the right code; a killed one may say nothing."""
        if action == "kill" or done.returncode == 0:
            return
        self.assertIn(done.returncode, codes, done)
        self.assertIn(ERRNO_WORDS[action], done.stderr.lower())
