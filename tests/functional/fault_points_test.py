"""kill -9, a full disk and an I/O error at every failpoint of every command, in the CLI, its monitor and helper."""
import collections

from base import IMAGE
from faults import PROGRAMS, FaultTest, sample
from harness import images
from harness.invariants import ImageWitness
from harness.store_check import check_store

NAME = "victim"
PORT = ("-p", "127.0.0.1:18090:80", "-p", "198.51.100.2:18090:80")


class FailpointTest(FaultTest):
    share = 14  # cases of one command in the gate; --full has all
    programs = PROGRAMS
    # Failpoints of the store and the builder that the command must pass; a gate sees that each is in some loop.
    reaches: frozenset[str] = frozenset()

    def prepare(self):
        """What the command needs; called before each case."""

    def command(self) -> list:
        raise NotImplementedError

    def check(self, done, program, action):
        raise NotImplementedError

    def cases(self) -> list[tuple]:
        """(program, point, hit, action) of each hit of a failpoint."""
        found = []
        for program in self.programs:
            self.prepare()
            counts = collections.Counter(self.failpoints(program))
            self.tidy()
            found += [(program, point, hit, action) for point, hits in counts.items()
                      for hit in range(1, min(hits, 8) + 1) for action in ("kill", "enospc", "eio")]
        return found

    def failpoints(self, program: str) -> list[str]:
        return self.w.failpoint_hits(program, *self.command())

    def tidy(self):
        self.to_rest()

    def loop(self):
        cases = self.cases()
        self.assertGreater(len(cases), 8, "the command passes failpoints")
        self.assertEqual(self.reaches - {point for _, point, _, _ in cases}, set(), "not passed")
        for program, point, hit, action in sample(cases, self.share, type(self).__name__):
            with self.subTest(program=program, point=point, hit=hit, action=action):
                self.prepare()
                done = self.w.with_failpoint(point, action, *self.command(), hit=hit, program=program,
                                             timeout=30)
                self.after_a_fault()
                self.check(done, program, action)
                self.tidy()


class Run(FailpointTest):
    def command(self):
        return ["run", "--rm", "--name", NAME, *PORT, "-v", "/anonymous", IMAGE, "true"]

    def check(self, done, program, action):
        self.assert_explained(done, action, (125,))
        # The container of a killed client goes on by itself to its end.
        self.w.wait_for(lambda: self.w.ids() == [], timeout=2)
        self.works_again(NAME, *PORT)

    def test_run_at_every_failpoint(self):
        self.loop()


class RunDetached(FailpointTest):
    share = 20

    def command(self):
        return ["run", "-d", "--name", NAME, *PORT, "-v", "/anonymous", IMAGE, "sleep", "1000"]

    def check(self, done, program, action):
        self.assert_explained(done, action, (125,))
        if done.returncode == 0:
            self.assertEqual(self.w.ids(), done.stdout.split())
            # Only a monitor that has died itself takes an acknowledged container along.
            if program == "wherry":
                self.assertTrue(self.w.inspect(NAME)["State"]["Running"])
        if self.w.ids():
            self.w.ok("rm", "-f", "-v", NAME)
        self.works_again(NAME, *PORT)

    def test_run_detached_at_every_failpoint(self):
        self.loop()


class OnRunning(FailpointTest):
    def prepare(self):
        self.w.ok("run", "-d", "--name", NAME, *PORT, IMAGE, "sleep", "1000")

    def running(self) -> bool:
        return self.w.inspect(NAME)["State"]["Running"]


class Exec(OnRunning):
    def command(self):
        return ["exec", NAME, "echo", "inside"]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1, 125, 126))
        if done.returncode == 0:
            self.assertEqual(done.stdout, "inside\n")
        self.assertTrue(self.running(), "an exec that fails leaves its container alone")
        self.assertEqual(self.w.ok("exec", NAME, "echo", "again"), "again\n")
        self.w.wait_for(lambda: "echo" not in self.w.ok("exec", NAME, "ps"), timeout=2)

    def test_exec_at_every_failpoint(self):
        self.loop()


class Stop(OnRunning):
    def command(self):
        return ["stop", "-t", "0", NAME]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertFalse(self.running())
        self.w.ok("stop", "-t", "0", NAME)
        self.assertEqual(self.w.inspect(NAME)["State"]["Status"], "exited")
        self.w.ok("start", NAME)
        self.assertTrue(self.running())

    def test_stop_at_every_failpoint(self):
        self.loop()


class Start(FailpointTest):
    def prepare(self):
        self.w.ok("run", "-d", "--name", NAME, *PORT, IMAGE, "sleep", "1000")
        self.w.ok("stop", "-t", "0", NAME)

    def command(self):
        return ["start", NAME]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0 and program == "wherry":
            self.assertTrue(self.w.inspect(NAME)["State"]["Running"])
        self.w.ok("start", NAME)
        self.assertTrue(self.w.inspect(NAME)["State"]["Running"])

    def test_start_at_every_failpoint(self):
        self.loop()


class Remove(OnRunning):
    def command(self):
        return ["rm", "-f", NAME]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertEqual(self.w.ids(), [])
        elif self.w.ids():
            self.w.ok("rm", "-f", NAME)
        self.works_again(NAME, *PORT)

    def test_rm_f_at_every_failpoint(self):
        self.loop()


class ImageFailpointTest(FailpointTest):
    other = "other:test"

    def setUp(self):
        super().setUp()
        self.witness = ImageWitness(self.w, IMAGE)

    def other_image(self) -> str:
        return self.w.ok("images", "-q", "--no-trunc", self.other).strip()

    def remove_other(self):
        if self.other_image():
            self.w.ok("rmi", "-f", self.other)
        for dangling in set(self.w.ok("images", "-q", "--no-trunc").split()) - {self.witness.id}:
            self.w.ok("rmi", "-f", dangling)

    def after_a_fault(self):
        super().after_a_fault()
        self.assertEqual(check_store(self.w.root), [], "after the next command")

    def tidy(self):
        self.remove_other()
        self.assertEqual(check_store(self.w.root), [])
        self.assertEqual(self.w.try_run("fsck").returncode, 0)
        self.assertEqual(self.witness.check(), [])
        self.assertEqual(self.layer_names(), self.layers_at_rest)
        self.to_rest()

    def import_other(self):
        self.w.ok("import", self.tar(), self.other)

    def tar(self):
        return images.padded_tar()

    def runs(self):
        self.assertEqual(self.w.ok("run", "--rm", "--network", "none", self.other, "cat", "/etc/padding"),
                         images.PADDING)


class Import(ImageFailpointTest):
    share = 20
    reaches = frozenset({
        "archive.object.write", "archive.objects.record", "archive.unpack.entry",
        "store.entry.emptied", "store.image.after", "store.image.before", "store.import.begin", "store.layer.renamed",
        "store.layer.synced", "store.layer.unpacked", "store.object.moved", "store.snapshot.made",
        "store.snapshot.renamed"})

    def command(self):
        return ["import", self.tar(), self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertEqual(self.other_image(), done.stdout.strip())
        elif action != "kill":
            # An error may come after the commit, never half of an image.
            self.assertIn(len(self.layer_names() - self.layers_at_rest), (0, 1))
        if self.other_image():
            self.runs()
        self.import_other()
        self.runs()

    def test_import_at_every_failpoint(self):
        self.loop()


class Tag(ImageFailpointTest):
    share = 8

    def command(self):
        return ["tag", IMAGE, self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        self.assertIn(self.other_image(), [self.witness.id] + ([""] if done.returncode else []))
        self.w.ok(*self.command())
        self.assertEqual(self.other_image(), self.witness.id)

    def test_tag_at_every_failpoint(self):
        self.loop()


class RemoveImage(ImageFailpointTest):
    reaches = frozenset({"store.entry.emptied", "store.object.removed", "store.remove.before", "store.remove.recorded"})

    def prepare(self):
        self.import_other()

    def command(self):
        return ["rmi", self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertEqual(self.other_image(), "")
        if self.other_image():
            self.runs()
        self.import_other()
        self.runs()

    def test_rmi_at_every_failpoint(self):
        self.loop()
