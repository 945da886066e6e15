"""Damage planted on purpose: fsck finds it and says what it is, loading or pulling heals it, it never runs silently."""
import os
import pathlib

from base import IMAGE
from faults import FaultTest
from harness import archives, images, store_records
from harness.damage import ANY, CONTENT, flip, flip_unseen, replace, truncate, truncate_unseen
from harness.fake_registry import FakeRegistry
from harness.store_check import check_store

OTHER = "other:test"
SEALED = (1_000_000_000, 1_000_000_000)


class DamageTest(FaultTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove)
        before = self.layer_names(), self.names("trees"), self.names("blobs/sha256")
        self.bring()
        self.layer = (self.layer_names() - before[0]).pop()
        self.tree = self.w.root / "trees" / (self.names("trees") - before[1]).pop()
        # Of what came compressed.
        self.blobs = [self.w.root / "blobs" / "sha256" / name for name in self.names("blobs/sha256") - before[2]]
        # In this boot it has run, so that it is known.
        self.runs()

    def names(self, folder: str) -> set[str]:
        return set(os.listdir(self.w.root / folder))

    def remove(self):
        for name in set(self.w.ok("images", "-q", "--no-trunc").split()):
            if name != self.w.ok("images", "-q", "--no-trunc", IMAGE).strip():
                self.w.ok("rmi", "-f", name)
        self.assertEqual(check_store(self.w.root), [])

    # --- how the image comes; a subclass may say another way

    def bring(self):
        if not hasattr(self, "archive"):
            self.archive = self.scratch("archive") / "other.tar"
            self.archive.write_bytes(archives.oci_layout([images.padded_tar().read_bytes()],
                                                         f"docker.io/library/{OTHER}").bytes())
        self.w.ok("load", "-i", self.archive)

    image = OTHER

    # --- what must hold

    def runs(self):
        self.assertEqual(self.w.ok("run", "--rm", self.image, "cat", "/etc/padding"), images.PADDING)

    def object(self, path: bytes = b"etc/padding") -> pathlib.Path:
        entries = store_records.layer_entries(self.w.root, self.layer)
        return store_records.object_path(self.w.root, next(e.object for e in entries if e.path == path))

    def refused(self, *words: str):
        """By run, create and build, and not only the first time."""
        for command in (["run", "--rm", self.image, "true"], ["run", "--rm", self.image, "true"],
                        ["run", "-d", "--name", "no", self.image, "true"]):
            done = self.w.try_run(*command)
            self.assert_fails(done, 125, "is damaged", "load, pull or import it again", *words)
            self.w.remove_containers()
        done = self.w.try_run("build", "--no-cache", "-q", "-", input=f"FROM {self.image}\nRUN true\n")
        self.assert_fails(done, 1, *words)

    def whole(self):
        done = self.w.try_run("fsck")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(check_store(self.w.root), [])
        self.runs()
        self.assertEqual(self.w.ok("run", "--rm", IMAGE, "echo", "up"), "up\n")


class Loaded(DamageTest):
    def test_an_object(self):
        for plant in ANY:
            with self.subTest(plant.__name__):
                plant(self.object())
                self.refused("/etc/padding")
                self.fsck_finds("/etc/padding", self.image, f"sha256:{self.layer}", "load or pull it again")
                self.refused("/etc/padding")
                self.bring()
                self.whole()

    def test_an_object_that_repair_has_taken_away(self):
        for plant in ANY:
            with self.subTest(plant.__name__):
                plant(self.object())
                self.w.try_run("fsck", "--repair")
                self.fsck_finds("/etc/padding", "is missing")
                self.refused("/etc/padding", "is missing")
                self.bring()
                self.whole()

    def test_an_object_of_several_images(self):
        """What one of them brings heals the other."""
        flip_unseen(self.object(b"bin/busybox"))
        self.fsck_finds("/bin/busybox", self.image, IMAGE)
        self.refused("/bin/busybox")
        self.assert_fails(self.w.try_run("run", "--rm", IMAGE, "true"), 125, "/bin/busybox")
        self.bring()
        self.whole()

    def test_a_record(self):
        for plant in CONTENT:
            with self.subTest(plant.__name__):
                plant(self.w.root / "layers" / self.layer / "tree")
                self.fsck_finds(f"sha256:{self.layer}", self.image, "load or pull it again")
                self.bring()
                self.whole()

    def test_a_recipe(self):
        for plant in CONTENT:
            with self.subTest(plant.__name__):
                plant(self.w.root / "layers" / self.layer / "recipe")
                self.fsck_finds(f"sha256:{self.layer}", self.image, "load or pull it again")
                self.runs()
                self.bring()
                self.whole()

    def test_an_index_is_made_again(self):
        for plant in CONTENT:
            for repair in (True, False):
                with self.subTest(plant.__name__, repair=repair):
                    plant(self.w.root / "layers" / self.layer / "index")
                    self.fsck_finds(f"sha256:{self.layer}", "index", self.image, "fsck --repair")
                    if repair:
                        self.assertIn("repaired", self.w.try_run("fsck", "--repair").stdout)
                    else:
                        self.bring()
                    self.whole()

    def test_a_layers_folder(self):
        self.w.ok("fsck")
        os.rename(self.w.root / "layers" / self.layer, self.w.root / "gone")
        self.addCleanup(os.system, f"rm -rf {self.w.root / 'gone'}")
        self.fsck_finds(f"sha256:{self.layer}", self.image, "load or pull it again")
        self.refused(f"sha256:{self.layer}")
        self.bring()
        self.whole()

    def test_a_snapshot_is_made_again(self):
        for plant in (flip, truncate, replace, truncate_unseen, flip_unseen):
            for repair in (True, False):
                with self.subTest(plant.__name__, repair=repair):
                    plant(self.tree)
                    self.fsck_finds(self.tree.name, self.image, "made again", quick="unseen" not in plant.__name__)
                    if repair:
                        self.assertIn("repaired", self.w.try_run("fsck", "--repair").stdout)
                    self.runs()
                    self.whole()

    def test_a_snapshot_that_is_not_there_is_no_damage(self):
        self.tree.unlink()
        self.whole()

    def test_a_blob(self):
        blob, = self.blobs
        for plant in (flip, truncate, pathlib.Path.unlink):
            with self.subTest(plant.__name__):
                plant(blob)
                self.fsck_finds(f"sha256:{blob.name}", self.image, "load or pull it again",
                           quick=plant is not flip)
                self.runs()
                self.w.try_run("fsck", "--repair")
                self.assertEqual(self.w.try_run("fsck").returncode, 0)
                self.bring()
                self.whole()
                self.assertTrue(blob.exists())

    def test_what_is_not_there_for_save_is_said(self):
        self.object().unlink()
        self.w.try_run("fsck", "--repair")
        self.blobs[0].unlink()
        done = self.w.try_run("save", self.image, "-o", str(self.scratch("out") / "saved.tar"))
        self.assertEqual(done.returncode, 1)


class Pulled(DamageTest):
    def bring(self):
        if not hasattr(self, "registry"):
            self.registry = self.enterContext(FakeRegistry())
            self.registry.repository("app").add_image("1", [images.padded_tar().read_bytes()])
            self.image = f"{self.registry.host}/app:1"
        self.w.ok("pull", self.image)

    def test_an_object(self):
        for plant in ANY:
            with self.subTest(plant.__name__):
                plant(self.object())
                self.refused("/etc/padding")
                self.bring()
                self.whole()

    def test_a_record_a_recipe_and_an_index(self):
        for name in ("tree", "recipe", "index"):
            for plant in CONTENT:
                with self.subTest(name, plant=plant.__name__):
                    plant(self.w.root / "layers" / self.layer / name)
                    self.bring()
                    self.whole()


class Imported(DamageTest):
    def bring(self):
        self.w.ok("import", images.padded_tar(), OTHER)

    def test_an_object(self):
        for plant in ANY:
            with self.subTest(plant.__name__):
                plant(self.object())
                self.refused("/etc/padding")
                self.bring()
                self.whole()


class AfterBoot(DamageTest):
    """An image of more files than a start looks at: the first start of a boot looks at all of them."""

    def bring(self):
        self.w.ok("import", images.many_files_tar(800), OTHER)

    def runs(self):
        self.w.ok("run", "--rm", self.image, "true")

    def test_any_object(self):
        entries = [entry for entry in store_records.layer_entries(self.w.root, self.layer)
                   if entry.type == store_records.FILE and entry.size]
        for entry in (entries[0], entries[400], entries[-1]):
            with self.subTest(entry.path):
                flip_unseen(store_records.object_path(self.w.root, entry.object))
                (self.w.run_root / "looked").unlink()
                self.refused("/" + os.fsdecode(entry.path))
                self.bring()
                self.whole()

    def test_later_starts_come_round_to_it(self):
        flip_unseen(self.object(b"usr/share/part7/file7"))
        codes = []
        while not codes or codes[-1] == 0:
            self.assertLess(len(codes), 20)
            codes.append(self.w.try_run("run", "--rm", self.image, "true").returncode)
        self.refused("/usr/share/part7/file7")
        self.bring()
        self.whole()

    def test_a_restored_backup_is_read_once_and_runs(self):
        for entry in store_records.layer_entries(self.w.root, self.layer):
            if entry.type == store_records.FILE and entry.size:
                path = store_records.object_path(self.w.root, entry.object)
                os.utime(path, ns=SEALED)
        (self.w.run_root / "looked").unlink()
        self.runs()
        self.whole()
