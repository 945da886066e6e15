"""wherry-oci killed at every step: what is left is told, cleaned by `delete --force`, and in nobody's way."""
import pathlib
import subprocess
import unittest

from oci_base import ENVIRONMENT, OciTest, config


class Faults(OciTest):
    def passed_points(self, *words) -> list[str]:
        """The failpoints that a command passes, in order."""
        listing = self.disk / "points"
        done = self.oci(*words, env={**ENVIRONMENT, "WHERRY_FAILPOINT_LIST": str(listing)}, capture_output=False,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        points = list(dict.fromkeys(listing.read_text().split()))
        listing.unlink()
        self.assertGreater(len(points), 3)
        return points

    def killed(self, point: str, *words) -> None:
        code = self.faulted("kill", point, *words)
        # The first process of a pid namespace cannot kill itself.
        self.assertTrue(code != 0 or point.startswith(("runtime.init.", "runtime.stage.")), point)

    def faulted(self, action: str, point: str, *words) -> int:
        done = self.oci(*words, env={**ENVIRONMENT, "WHERRY_FAILPOINT": f"{point}:{action}"}, capture_output=False,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode

    def usable_again(self, bundle: pathlib.Path) -> None:
        """After a forced delete the same name works, as if nothing had been."""
        self.oci_ok("delete", "--force", "a")
        self.oci_fails("state", "a", says="container does not exist")
        self.assertEqual(self.oci_ok("run", "-b", bundle, "b"), "done\n")
        self.oci_ok("run", "-b", bundle, "a")

    def test_a_create_killed_at_any_step_leaves_nothing_after_a_forced_delete(self):
        bundle = self.bundle(config("echo", "done"))
        points = self.passed_points("create", "-b", bundle, "a")
        self.oci_ok("delete", "--force", "a")
        for point in points:
            with self.subTest(point):
                self.killed(point, "create", "-b", bundle, "a")
                self.usable_again(bundle)

    def test_a_create_that_fails_at_any_step_leaves_nothing_by_itself(self):
        bundle = self.bundle(config("echo", "done"))
        points = self.passed_points("create", "-b", bundle, "a")
        self.oci_ok("delete", "--force", "a")
        for point in points:
            with self.subTest(point):
                self.assertEqual(self.faulted("eio", point, "create", "-b", bundle, "a"), 1)
                self.assertFalse((self.root / "a").exists())
                self.oci_fails("state", "a", says="container does not exist")

    def test_a_start_killed_at_any_step_leaves_a_container_that_is_told_and_deleted(self):
        bundle = self.bundle(config("sleep", "1000"))
        self._create(bundle)
        points = self.passed_points("start", "a")
        self.oci_ok("delete", "--force", "a")
        plain = self.bundle(config("echo", "done"))
        for point in points:
            with self.subTest(point):
                self._create(bundle)
                self.killed(point, "start", "a")
                status = self.state("a")["status"]
                if status == "created":
                    self.oci_ok("start", "a")
                else:
                    self.assertEqual(status, "running")
                    self.oci_fails("start", "a", says="already running")
                self.assertEqual(self.oci_ok("exec", "a", "echo", "in"), "in\n")
                self.usable_again(plain)

    def test_a_delete_killed_at_any_step_is_ended_by_the_next(self):
        bundle = self.bundle(config("sleep", "1000"))
        plain = self.bundle(config("echo", "done"))
        self._create(bundle)
        points = self.passed_points("delete", "--force", "a")
        for point in points:
            with self.subTest(point):
                self._create(bundle)
                self.oci_ok("start", "a")
                self.killed(point, "delete", "--force", "a")
                self.usable_again(plain)

    def test_a_foreground_run_killed_at_any_step_leaves_nothing_after_a_forced_delete(self):
        bundle = self.bundle(config("echo", "done"))
        points = self.passed_points("run", "-b", bundle, "a")
        for point in points:
            with self.subTest(point):
                self.killed(point, "run", "-b", bundle, "a")
                self.usable_again(bundle)

    def test_a_damaged_record_is_told_and_removed_by_force(self):
        self._create(self.bundle(config("true")))
        record = self.root / "a/state.json"
        text = record.read_text()
        record.write_text(text[:100])
        self.oci_fails("state", "a", says="the container's state is damaged")
        self.oci_fails("delete", "a", says="the container's state is damaged")
        self.assertIn("cannot list 'a'", self.oci("list").stderr)
        record.write_text(text)
        self.oci_ok("delete", "a")

    def test_commands_at_the_same_time_leave_one_winner(self):
        bundle = self.bundle(config("sleep", "1000"))
        racers = [subprocess.Popen(self.command("create", "-b", bundle, "a"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        self.assertEqual(sorted(racer.wait(60) for racer in racers), [0, 1, 1, 1, 1, 1])
        racers = [subprocess.Popen(self.command("start", "a"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL) for _ in range(6)]
        self.assertEqual(sorted(racer.wait(60) for racer in racers), [0, 1, 1, 1, 1, 1])
        racers = [subprocess.Popen(self.command("delete", "--force", "a"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        self.assertEqual([racer.wait(60) for racer in racers], [0] * 6)

    def _create(self, bundle: pathlib.Path) -> None:
        subprocess.run(self.command("create", "-b", bundle, "a"), check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


if __name__ == "__main__":
    unittest.main()
