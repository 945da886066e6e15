"""wherry build under faults: kill -9 and full disks at every failpoint, two builds at once, Ctrl-C."""
import os
import signal

from base import IMAGE
from builds import FROM, BuildTest
from fault_points_test import FailpointTest
from harness.store_check import check_store

DOCKERFILE = FROM + "WORKDIR /w\nCOPY f /f\nRUN echo x > /x\nRUN true\nENV A=1\n"


class Build(FailpointTest):
    share = 24
    reaches = frozenset({
        "archive.pack.entry", "build.copy.copied", "build.copy.entry", "build.copy.source", "build.digest.read",
        "build.image.after", "build.image.before", "build.packed", "build.step.begin", "build.step.made",
        "build.step.sealed", "store.image.before", "store.layer.synced", "store.object.moved"})

    def setUp(self):
        super().setUp()
        self.context = self.scratch("context")
        (self.context / "Dockerfile").write_text(DOCKERFILE)
        (self.context / "f").write_text("content")

    def command(self):
        return ["build", "--no-cache", "-t", "victim:1", str(self.context)]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertEqual(self.w.ok("run", "--rm", "victim:1", "cat", "/x"), "x\n")
        self.w.ok("build", "-t", "victim:1", str(self.context))
        self.assertEqual(self.w.ok("run", "--rm", "victim:1", "cat", "/f", "/x"), "contentx\n")
        self.assertEqual(check_store(self.w.root), [])
        self.w.ok("rmi", "victim:1")

    def test_build_at_every_failpoint(self):
        self.loop()


class TwoAtOnce(BuildTest):
    def test_both_succeed_with_the_same_layers(self):
        self.write({"Dockerfile": FROM + "RUN touch -d @1 /x; sleep 0.2\nRUN touch -d @1 /y\n"})
        builds = [self.w.start("build", "-t", f"twin:{n}", str(self.context)) for n in (1, 2)]
        for build in builds:
            out, err = build.communicate(timeout=60)
            self.assertEqual(build.returncode, 0, err)
        for n in (1, 2):
            self.assertEqual(self.w.ok("run", "--rm", f"twin:{n}", "ls", "/x", "/y"), "/x\n/y\n")


class Ending(BuildTest):
    def started(self, *options):
        """A build whose step has begun to run."""
        self.write({"Dockerfile": FROM + "RUN echo begun; sleep 1000\n"})
        build = self.w.start("build", "--progress", "plain", *options, str(self.context))
        for line in build.stderr:
            if line.strip().endswith(b"begun") and b"RUN" not in line:
                return build
        self.fail("the step did not begin")

    def nothing_runs(self):
        def gone():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if b"sleep\0001000" in open(f"/proc/{pid}/cmdline", "rb").read():
                        return False
                except OSError:
                    pass
            return True
        self.w.wait_for(gone, timeout=5)

    def test_control_c_ends_the_step_and_leaves_nothing(self):
        build = self.started()
        build.send_signal(signal.SIGINT)
        err = build.communicate(timeout=20)[1].decode()
        self.assertEqual(build.returncode, 130, err)
        self.assertIn("CANCELED", err)
        self.nothing_runs()

    def test_a_killed_builder_takes_its_step_along(self):
        build = self.started()
        build.kill()
        build.communicate(timeout=20)
        self.nothing_runs()
        self.assertEqual(self.w.ok("ps", "-a", "-q"), "")
        self.w.ok("build", "-q", "-t", "built", "-", input=FROM + "RUN true\n")

    def test_a_step_is_no_container(self):
        build = self.started()
        self.assertEqual(self.w.ok("ps", "-a", "-q"), "")
        self.w.ok("run", "--rm", IMAGE, "true")
        self.assertIsNone(build.poll(), "a command beside it leaves it alone")
        build.send_signal(signal.SIGTERM)
        build.communicate(timeout=20)
        self.assertEqual(build.returncode, 143)
