"""kill -9, a full disk and an I/O error at every failpoint of what brings images, takes them away and looks after them.

import, tag and rmi are in fault_points_test.py, build in build_fault_test.py.
"""
import os
import pathlib

from base import IMAGE
from fault_points_test import ImageFailpointTest
from faults import PROGRAMS
from harness import archives, images, store_records
from harness.fake_registry import FakeRegistry
from harness.store_check import check_store


class Load(ImageFailpointTest):
    share = 24
    reaches = frozenset({"archive.blob.write", "archive.unpack.entry", "store.image.before", "store.layer.renamed",
                         "store.load.begin", "store.load.layer", "store.load.opened", "store.snapshot.made"})

    def setUp(self):
        super().setUp()
        self.archive = self.scratch("archive") / "other.tar"
        self.archive.write_bytes(archives.oci_layout(
            [images.padded_tar().read_bytes(), archives.layer_tar({"etc/top": "on top\n"})],
            f"docker.io/library/{self.other}").bytes())

    def command(self):
        return ["load", "-i", self.archive]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertNotEqual(self.other_image(), "")
        if self.other_image():
            self.runs()
        self.w.ok(*self.command())
        self.runs()

    def test_load_at_every_failpoint(self):
        self.loop()


class Pull(ImageFailpointTest):
    share = 24
    programs = (*PROGRAMS, "wherry-transfer")
    reaches = frozenset({"archive.unpack.entry", "store.image.before", "store.layer.renamed", "store.snapshot.made",
                         "transfer.pull.config", "transfer.pull.layer", "transfer.pull.layers",
                         "transfer.pull.recorded", "transfer.pull.resolved"})

    def setUp(self):
        super().setUp()
        registry = self.enterContext(FakeRegistry())
        registry.repository("app").add_image("1", [images.padded_tar().read_bytes(),
                                                   archives.layer_tar({"etc/top": "on top\n"})])
        self.other = f"{registry.host}/app:1"

    def command(self):
        return ["pull", self.other]

    def check(self, done, program, action):
        # A helper's failing step may be one that is tried again.
        if program != "wherry-transfer":
            self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertNotEqual(self.other_image(), "")
        if self.other_image():
            self.runs()
        self.w.ok(*self.command())
        self.runs()

    def test_pull_at_every_failpoint(self):
        self.loop()


class Removing(ImageFailpointTest):
    """What takes away: the other image is there whole or not at all, and the same command again ends it."""

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if self.other_image():
            self.runs()
        self.w.ok(*self.command())
        self.assertEqual(check_store(self.w.root), [])
        self.import_other()
        self.runs()


class Prune(Removing):
    reaches = frozenset({"store.remove.before", "store.remove.recorded"})

    def other_image(self) -> str:
        """Not while its name is another image's."""
        return super().other_image().replace(self.witness.id, "")

    def prepare(self):
        # Dangling: its name has gone to another image.
        self.import_other()
        self.w.ok("tag", IMAGE, self.other)

    def command(self):
        return ["image", "prune", "-f"]

    def test_image_prune_at_every_failpoint(self):
        self.loop()


class PruneBuilds(Removing):
    reaches = frozenset({"build.pruned", "store.object.removed", "store.prune.before", "store.prune.recorded"})

    def setUp(self):
        super().setUp()
        self.context = self.scratch("context")
        (self.context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY f /f\nRUN echo x > /x\n")
        (self.context / "f").write_text("content")

    def prepare(self):
        self.w.ok("build", "-q", "--no-cache", "-t", self.other, self.context)
        self.w.ok("rmi", self.other)

    def command(self):
        return ["builder", "prune", "-a", "-f"]

    def test_builder_prune_at_every_failpoint(self):
        self.loop()


class LeaseThatEnds(ImageFailpointTest):
    """A build whose image is removed beside it: what it stood on goes when it ends."""

    share = 8
    reaches = frozenset({"store.lease.before", "store.lease.recorded"})

    def prepare(self):
        """A build that died; its lease is found free by the next command."""
        self.import_other()
        context = self.scratch_once()
        build = self.w.start("build", "--progress", "plain", "--no-cache", str(context))
        for line in build.stderr:
            if line.strip().endswith(b"begun") and b"RUN" not in line:
                break
        self.w.ok("rmi", "-f", self.other)
        build.kill()
        build.communicate()

    def scratch_once(self) -> pathlib.Path:
        if not hasattr(self, "context"):
            self.context = self.scratch("context")
            (self.context / "Dockerfile").write_text(f"FROM {self.other}\nRUN echo begun; sleep 1000\n")
        return self.context

    def command(self):
        return ["gc"]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        self.w.ok("gc")
        self.assertEqual(self.layer_names(), self.layers_at_rest)
        self.import_other()
        self.runs()

    def test_a_dead_builds_lease_at_every_failpoint(self):
        self.loop()


class Collect(Removing):
    reaches = frozenset({"store.collect.before", "store.collect.recorded", "store.object.removed"})

    def prepare(self):
        """An image with blobs to spare, an object and a snapshot that nobody names."""
        self.import_other()
        for name in ("0" * 64, "1" * 64):
            path = store_records.object_path(self.w.root, name)
            path.write_bytes(b"nobody's")
        (self.w.root / "trees" / ("2" * 64 + ".erofs")).write_bytes(b"nobody's")

    def after_a_fault(self):
        # What nobody names is only collection's to find.
        super(ImageFailpointTest, self).after_a_fault()
        self.assertEqual(check_store(self.w.root, at_rest=False), [])

    def command(self):
        return ["gc", "--budget", "1"]

    def test_gc_at_every_failpoint(self):
        self.loop()


class Repair(ImageFailpointTest):
    share = 18
    reaches = frozenset({"store.repair.begin", "store.repair.done"})

    def tar(self):
        """Compressed, so that its blob is kept."""
        if not hasattr(self, "compressed"):
            self.compressed = self.scratch("compressed") / "other.tar.gz"
            self.compressed.write_bytes(archives.compressed(images.padded_tar().read_bytes()))
        return self.compressed

    def prepare(self):
        """The other image's own object is cut short, its layer's record, snapshot and blob have other bytes."""
        layer = self.made_other()
        wrong = [entry for entry in store_records.layer_entries(self.w.root, layer) if entry.path == b"etc/padding"]
        os.truncate(store_records.object_path(self.w.root, wrong[0].object), 3)
        for path in (self.w.root / "trees").glob("*.erofs"):
            self.flip(path)
        self.flip(self.blob)
        self.flip(self.w.root / "layers" / layer / "index")

    def made_other(self) -> str:
        blobs = self.w.root / "blobs" / "sha256"
        before = set(os.listdir(blobs)), self.layer_names()
        self.import_other()
        self.blob = blobs / (set(os.listdir(blobs)) - before[0]).pop()
        return (self.layer_names() - before[1]).pop()

    def flip(self, path: pathlib.Path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def command(self):
        return ["fsck", "--repair"]

    def failpoints(self, program: str) -> list[str]:
        # It has found something, so its exit code is 1.
        listing = self.w.run_root.parent / "failpoints"
        self.w.try_run(*self.command(), env={"WHERRY_FAILPOINT_LIST": str(listing), "WHERRY_FAILPOINT_PROGRAM": program})
        names = listing.read_text().split() if listing.exists() else []
        listing.unlink(missing_ok=True)
        return names

    def after_a_fault(self):
        super(ImageFailpointTest, self).after_a_fault()

    def check(self, done, program, action):
        self.assertIn(done.returncode, (1, -9), done)
        self.w.try_run(*self.command())
        self.import_other()
        self.assertEqual(check_store(self.w.root), [])
        self.runs()

    def test_fsck_repair_at_every_failpoint(self):
        self.loop()


class OnFarm(ImageFailpointTest):
    """The next best that containers stand on: a checkout of the merged tree."""

    share = 18
    reaches = frozenset({"store.checkout.begin", "store.checkout.done", "store.checkout.file", "store.farm.linked",
                         "store.farm.made", "store.snapshot.made", "store.snapshot.renamed"})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = pathlib.Path(cls.w.environment()["HOME"]) / ".config" / "wherry"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"storage-driver": "farm"}')
        cls.w.ok("run", "--rm", IMAGE, "true")

    def command(self):
        return ["import", self.tar(), self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if self.other_image():
            self.runs()
        self.import_other()
        self.runs()

    def test_import_on_a_farm_at_every_failpoint(self):
        self.loop()


class Save(ImageFailpointTest):
    """Of an image whose layers are kept in no compressed form: they are packed first."""

    reaches = frozenset({"archive.rebuild.part", "store.blob.packed", "store.blob.renamed"})

    def setUp(self):
        super().setUp()
        self.out = self.scratch("out") / "saved.tar"

    def prepare(self):
        self.import_other()
        self.out.unlink(missing_ok=True)

    def command(self):
        return ["save", "-o", self.out, self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        self.assertEqual(self.out.exists(), done.returncode == 0)
        self.w.ok(*self.command())
        self.w.ok("rmi", self.other)
        self.w.ok("load", "-i", self.out)
        self.runs()

    def test_save_at_every_failpoint(self):
        self.loop()


class Commit(ImageFailpointTest):
    share = 20
    reaches = frozenset({"archive.pack.entry", "store.image.before", "store.layer.renamed", "store.object.moved",
                         "store.upper.copied", "store.upper.file"})

    def prepare(self):
        self.w.ok("run", "--name", "victim", IMAGE, "sh", "-c", "echo made > /made")

    def command(self):
        return ["commit", "victim", self.other]

    def check(self, done, program, action):
        self.assert_explained(done, action, (1,))
        if done.returncode == 0:
            self.assertEqual(self.other_image(), done.stdout.strip())
        if self.other_image():
            self.runs()
        self.w.ok(*self.command())
        self.runs()

    def runs(self):
        self.assertEqual(self.w.ok("run", "--rm", "--network", "none", self.other, "cat", "/made"), "made\n")

    def test_commit_at_every_failpoint(self):
        self.loop()
