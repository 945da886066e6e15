"""What a build stands on stays while it runs, whatever is removed beside it, and goes when nobody needs it."""
import os
import pathlib
import signal

from builds import FROM, BuildTest

SLEEP = "987654"


class HeldLayers(BuildTest):
    def setUp(self):
        super().setUp()
        self.w.ok("builder", "prune", "-a", "-f")
        self.before = self.layers()
        self.build(FROM + "RUN echo base > /base\n", tag="base")
        self.w.ok("builder", "prune", "-a", "-f")
        self.base = (self.layers() - self.before).pop()

    def layers(self) -> set[str]:
        return set(os.listdir(self.w.root / "layers"))

    def waiting(self, dockerfile: str):
        """A build that waits in a step, and the process of that step that it waits for."""
        self.write({"Dockerfile": dockerfile})
        build = self.w.start("build", "--progress", "plain", "-t", "built", str(self.context))
        self.addCleanup(self.w.ok, "builder", "prune", "-f")
        self.addCleanup(build.communicate)
        self.addCleanup(build.kill)
        return build, self.w.wait_for(self.sleeper)

    def sleeper(self) -> int:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == f"sleep\0{SLEEP}\0".encode():
                    return int(pid)
            except OSError:
                pass
        return 0

    def test_a_base_that_is_removed_stays_until_the_build_is_done(self):
        build, sleeper = self.waiting(f"FROM base\nRUN sleep {SLEEP}; cat /base > /copy\nRUN cat /base >> /copy\n")
        removed = self.w.ok("rmi", "-f", "base")
        self.assertIn("Untagged: base:latest", removed)
        self.assertNotIn(self.base, removed, "the layer is in use")
        self.w.ok("builder", "prune", "-a", "-f")
        os.kill(sleeper, signal.SIGTERM)
        _, err = build.communicate(timeout=60)
        self.assertEqual(build.returncode, 0, err)
        self.assertEqual(self.inside("cat /base /copy"), "base\n" * 3)
        self.w.ok("rmi", "built")
        self.w.ok("builder", "prune", "-a", "-f")
        self.assertEqual(self.layers(), self.before)

    def test_a_stage_and_cached_steps_that_are_pruned_stay_until_the_build_is_done(self):
        first = "FROM base AS first\nRUN echo cached > /cached\n"
        self.build(first)
        self.w.ok("rmi", "built")
        build, sleeper = self.waiting(first + f"FROM base\nRUN sleep {SLEEP}; true\n"
                                      "COPY --from=first /cached /got\n")
        self.w.ok("rmi", "-f", "base")
        self.w.ok("builder", "prune", "-a", "-f")
        os.kill(sleeper, signal.SIGTERM)
        _, err = build.communicate(timeout=60)
        self.assertEqual(build.returncode, 0, err)
        self.assertIn(b"CACHED", err)
        self.assertEqual(self.inside("cat /base /got"), "base\ncached\n")

    def test_what_only_a_failed_build_held_goes_with_it(self):
        build, sleeper = self.waiting(f"FROM base\nRUN sleep {SLEEP}; exit 3\n")
        self.w.ok("rmi", "-f", "base")
        self.assertIn(self.base, self.layers())
        os.kill(sleeper, signal.SIGTERM)
        build.communicate(timeout=60)
        self.assertEqual(build.returncode, 1)
        self.assertEqual(self.layers(), self.before)

    def test_what_only_a_killed_build_held_goes_with_the_next_command(self):
        build, _ = self.waiting(f"FROM base\nRUN sleep {SLEEP}\n")
        self.w.ok("rmi", "-f", "base")
        build.kill()
        build.communicate(timeout=20)
        self.w.wait_for(lambda: not self.sleeper())
        self.w.ok("builder", "prune", "-f")
        self.assertEqual(self.layers(), self.before)

    def test_two_builds_hold_one_layer_until_the_last_is_done(self):
        self.waiting(f"FROM base\nRUN sleep {SLEEP}\n")
        self.build("FROM base\nCMD true\n", context=self.context, tag="other")
        self.w.ok("rmi", "-f", "base", "other")
        self.w.ok("builder", "prune", "-a", "-f")
        self.assertIn(self.base, self.layers())
