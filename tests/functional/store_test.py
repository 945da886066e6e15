"""The store as users see it: what images share, how they differ, what a tree is, rungs and formats."""
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import tarfile

from base import FunctionalTest
from harness import images
from harness.wherry import Wherry


def tar_of(path: pathlib.Path, files: dict[str, bytes], **metadata) -> pathlib.Path:
    """A tar of plain files and their directories, in the order given; `metadata` for each of them."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.mode = 0o755
            member.size = len(data)
            for key, value in metadata.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data))
    return path


class StoreTest(FunctionalTest):
    needs_image = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Made-once things are there before the first snapshot.
        cls.w.ok("import", "-", "first:1", input="\0" * 1024)
        cls.w.ok("rmi", "first:1")

    def setUp(self):
        super().setUp()
        self.folder = self.scratch("tars")
        self.addCleanup(self.remove_images)

    def remove_images(self):
        for image in self.w.ok("images", "-q", "--no-trunc").split():
            self.w.try_run("rmi", "-f", image)

    def imported(self, name: str, files: dict[str, bytes], **metadata) -> str:
        return self.w.ok("import", tar_of(self.folder / f"{name}.tar", files, **metadata), f"{name}:1").strip()

    def objects(self) -> set[str]:
        return {path.parent.name + path.name for path in (self.w.root / "objects").glob("*/*")}

    def rows(self, *command) -> list[dict]:
        return [json.loads(line) for line in self.w.ok(*command, "--format", "{{json .}}").splitlines()]


class Objects(StoreTest):
    def test_a_file_is_there_once_whatever_brings_it(self):
        same = b"the same content\n" * 1000
        self.imported("a", {"one": same, "d/": b"", "d/two": same}, mode=0o755)
        self.imported("b", {"three": same, "other": b"x"}, mode=0o600, uid=7)
        self.assertEqual(self.objects(), {hashlib.sha256(same).hexdigest(), hashlib.sha256(b"x").hexdigest()})
        self.w.ok("rmi", "a:1")
        self.assertEqual(len(self.objects()), 2)
        self.w.ok("rmi", "b:1")
        self.assertEqual(self.objects(), set())

    def test_equal_file_systems_have_equal_trees_whatever_their_layers(self):
        a = self.w.ok("image", "tree", "--digest", self.imported("a", {"d/": b"", "d/f": b"1", "g": b"2"}, mtime=5))
        other_order = self.imported("b", {"g": b"old", "d/": b"", "d/f": b"1"}, mtime=5)
        self.assertNotEqual(self.w.ok("image", "tree", "--digest", other_order), a)
        # In two layers, with a file that is replaced on the way.
        archive = self.folder / "layers.tar"
        first = tar_of(self.folder / "1.tar", {"g": b"old", "d/": b"", "d/x": b"gone"}, mtime=5)
        second = tar_of(self.folder / "2.tar", {"d/": b"", "d/.wh.x": b"", "d/f": b"1", "g": b"2"}, mtime=5)
        digests = ["sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": digests}}
        with tarfile.open(archive, "w") as tar:
            for name, data in (("c.json", json.dumps(config).encode()),
                               ("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": ["c:1"],
                                                              "Layers": ["1.tar", "2.tar"]}]).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            tar.add(first, "1.tar")
            tar.add(second, "2.tar")
        self.w.ok("load", "-i", archive)
        self.assertEqual(self.w.ok("image", "tree", "--digest", "c:1"), a)
        self.assertEqual(self.w.ok("diff", "a:1", "c:1"), "")

    def test_the_same_files_under_another_layer_write_no_object(self):
        files = {f"f{number}": str(number).encode() * 50 for number in range(100)}
        self.imported("a", files, mtime=1)
        before = {name: (self.w.root / "objects" / name[:2] / name[2:]).stat().st_ino for name in self.objects()}
        self.imported("b", files, mtime=2)
        self.assertEqual({name: (self.w.root / "objects" / name[:2] / name[2:]).stat().st_ino
                          for name in self.objects()}, before)


class Differences(StoreTest):
    def test_added_removed_and_changed_by_path_and_size(self):
        self.imported("a", {"kept": b"k", "gone": b"123", "grown": b"1", "mode": b"m"}, mtime=1)
        self.imported("b", {"kept": b"k", "grown": b"12345", "mode": b"m", "new": b"1234567"}, mtime=1)
        self.assertEqual(self.w.ok("diff", "a:1", "b:1").splitlines(),
                         ["D /gone\t-3B\tfile", "C /grown\t+4B\tcontent", "A /new\t+7B\tfile"])
        self.assertEqual(self.w.ok("diff", "a:1", "a:1"), "")

    def test_what_changed_is_named(self):
        self.imported("a", {"f": b"same"}, mtime=1)
        for change, word in (({"mode": 0o600}, "mode"), ({"uid": 5}, "owner"), ({"mtime": 2}, "time")):
            with self.subTest(word=word):
                self.imported("b", {"f": b"same"}, **{"mtime": 1, **change})
                self.assertEqual(self.w.ok("diff", "a:1", "b:1").split("\t")[-1].strip(), word)

    def test_unknown_images_are_named(self):
        self.imported("a", {"f": b"1"})
        self.assert_fails(self.w.try_run("diff", "a:1", "nothere"), 1, "nothere")
        self.assert_fails(self.w.try_run("image", "tree", "nothere"), 1, "nothere")
        self.assert_fails(self.w.try_run("image", "tree", "a:1", "/nothere"), 1, "/nothere")

    def test_a_tree_is_listed_from_a_path(self):
        self.imported("a", {"d/": b"", "d/e/": b"", "d/e/f": b"12", "x": b"1"}, mtime=1, mode=0o750)
        lines = self.w.ok("image", "tree", "a:1", "/d").splitlines()
        self.assertIn("-rwxr-x---\t0:0\t2\t1970-01-01T00:00:01Z\t/d/e/f", lines)
        self.assertNotIn("/x", "\n".join(lines))


class Usage(StoreTest):
    def test_what_an_image_costs_alone_and_with_whom_it_shares(self):
        shared, own = b"s" * 100_000, b"o" * 30_000
        self.imported("a", {"shared": shared, "own": own})
        self.imported("b", {"elsewhere": shared, "little": b"l"}, mode=0o644)
        self.imported("c", {"nothing in common": b"c" * 5000})
        rows = {row["Image"]: row for row in self.rows("du")}
        self.assertEqual({name: (row["Size"], row["Alone"]) for name, row in rows.items()},
                         {"a:1": ("130kB", "30kB"), "b:1": ("100kB", "1B"), "c:1": ("5kB", "5kB")})
        self.assertIn("b:1", rows["a:1"]["SharedWith"])
        self.assertEqual(rows["c:1"]["SharedWith"], "")
        self.assertEqual([row["Image"] for row in self.rows("du", "b:1")], ["b:1"])
        self.assert_fails(self.w.try_run("du", "nothere"), 1, "nothere")

    def test_a_collection_explains_itself_and_frees_nothing_that_is_needed(self):
        self.imported("a", {"f": b"needed"})
        before = self.objects()
        self.assertIn("an image has it", self.w.ok("gc", "--dry-run", "-v"))
        stray = self.w.root / "objects/ab" / ("c" * 62)
        stray.write_bytes(b"x" * 700)
        said = self.w.ok("gc", "--dry-run")
        self.assertIn("no layer names it", said)
        self.assertTrue(stray.exists())
        self.w.ok("gc")
        self.assertFalse(stray.exists())
        self.assertEqual(self.objects(), before)

    def test_a_dry_run_gives_one_reason_for_each_object(self):
        self.imported("a", {"f": b"needed", "d/g": b"also needed"})
        kept = self.objects()
        self.imported("b", {"f": b"needed", "gone": b"x" * 500})
        layer = self.w.inspect("b:1")["RootFS"]["Layers"][0].removeprefix("sha256:")
        own, = self.objects() - kept
        shutil.copytree(self.w.root / "layers" / layer, self.folder / "layer")
        shutil.copy2(self.w.root / "objects" / own[:2] / own[2:], self.folder / "object")
        self.w.ok("rmi", "b:1")
        # As if its record alone had been lost.
        shutil.copytree(self.folder / "layer", self.w.root / "layers" / layer)
        shutil.copy2(self.folder / "object", self.w.root / "objects" / own[:2] / own[2:])
        stray = self.w.root / "objects/ab" / ("c" * 62)
        stray.write_bytes(b"x" * 700)

        short = self.w.ok("gc", "--dry-run")
        self.assertNotIn("keep ", short)
        said = self.w.ok("gc", "--dry-run", "-v")
        fates = dict(re.findall(r"^((?:free|keep) .*object sha256:[0-9a-f]{64}): (.*)$", said, re.M))
        named = {line.split()[0] + line.split()[-1].removeprefix("sha256:"): why for line, why in fates.items()}
        top = self.w.inspect("a:1")["RootFS"]["Layers"][0]
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in (("f", b"needed"), ("g", b"also needed"))}
        self.assertEqual(named, {
            "keep" + digests["f"]: f"it is '/f' of layer {top}, of image 'a:1'",
            "keep" + digests["g"]: f"it is '/d/g' of layer {top}, of image 'a:1'",
            "free" + own: f"it is '/gone' of layer sha256:{layer}, which goes; no other layer names it",
            "free" + stray.parent.name + stray.name: "no layer names it"})
        self.assertIn("would free", said.splitlines()[-1])
        self.assertIn("in 3 items", said.splitlines()[-1])
        self.assertIn("in 3 items", self.w.ok("gc", "-v"))
        self.assertEqual(self.objects(), kept)

    def test_of_a_layer_of_several_images_one_is_named(self):
        self.imported("a", {"f": b"needed"})
        self.w.ok("build", "-t", "b:1", "-", input="FROM a:1\nENV x=y\n")
        said = self.w.ok("gc", "--dry-run", "-v")
        self.assertRegex(said, "it is '/f' of layer sha256:[0-9a-f]{64}, of images '[ab]:1' and 1 more\n")


class Settings(FunctionalTest):
    needs_image = False

    def of(self, **config) -> Wherry:
        w = Wherry(config=config)
        self.addCleanup(w.close)
        return w

    def test_a_layer_may_have_as_many_entries_as_the_setting_says(self):
        folder = self.scratch("tars")
        tar = tar_of(folder / "a.tar", {f"f{number}": b"" for number in range(11)})
        self.of(**{"max-layer-entries": 11}).ok("import", tar, "a:1")
        w = self.of(**{"max-layer-entries": 10})
        self.assert_fails(w.try_run("import", tar, "a:1"), 1, "more than 10 entries", "max-layer-entries", "raise it")
        self.assertEqual(list((w.root / "incoming").iterdir()), [])

    def test_a_layer_that_is_made_here_may_have_as_many(self):
        w = self.of(**{"max-layer-entries": 4000})
        w.ok("import", images.busybox_tar(), "base:1")
        words = ("more than 4000 entries", "max-layer-entries", "raise it")
        made = "FROM base:1\nRUN mkdir /d && for i in $(seq %d); do : > /d/$i; done\n"
        w.ok("build", "-t", "made:1", "-", input=made % 3999)
        self.assert_fails(w.try_run("build", "-t", "more:1", "-", input=made % 4000), 1, *words)
        folder = self.scratch("context")
        tar_of(folder / "a.tar", {f"f{number}": b"" for number in range(4001)})
        (folder / "Dockerfile").write_text("FROM base:1\nADD a.tar /d/\n")
        self.assert_fails(w.try_run("build", folder), 1, *words)
        w.ok("run", "--name", "full", "base:1", "sh", "-c", "for i in $(seq 4001); do : > /$i; done")
        self.assert_fails(w.try_run("commit", "full", "more:1"), 1, *words)
        self.assertEqual(w.ok("images", "-q", "more"), "")
        w.ok("gc")
        self.assertEqual(list((w.root / "incoming").iterdir()), [])

    def test_a_budget_is_met_by_blobs_that_can_be_had_again(self):
        tar = tar_of(self.scratch("tars") / "a.tar", {"f": os.urandom(300_000)})
        w = self.of(**{"storage-budget": "400k"})
        w.ok("import", tar, "a:1")
        w.try_run("save", "a:1", text=False)
        blobs = w.root / "blobs/sha256"
        self.assertEqual(len(list(blobs.iterdir())), 1)
        self.assertIn("it can be packed again", w.ok("gc", "--dry-run"))
        self.assertIn("saves packing it again", w.ok("gc", "-v", "--budget", "1g"))
        self.assertEqual(len(list(blobs.iterdir())), 1)
        w.ok("gc")
        self.assertEqual(list(blobs.iterdir()), [])
        self.assertIn("a:1", w.ok("fsck") + w.ok("images", "--format", "{{.Repository}}:{{.Tag}}"))
        self.assertIn("is not met", w.try_run("gc", "--budget", "1k").stderr)

    def test_settings_that_cannot_be_are_refused_by_name(self):
        for key, value in (("storage-budget", "much"), ("storage-budget", 5), ("max-layer-entries", 0),
                           ("max-layer-entries", 20_000_000), ("max-layer-entries", "many")):
            with self.subTest(key=key, value=value):
                self.assert_fails(self.of(**{key: value}).try_run("images"), 1, key)


class Formats(FunctionalTest):
    needs_image = False

    def test_a_store_of_a_newer_format_is_refused_and_left_alone(self):
        w = Wherry()
        self.addCleanup(w.close)
        w.ok("images")
        (w.root / "format").write_text("3\n")
        for command in (("images",), ("import", "-", "x"), ("gc",), ("fsck",)):
            self.assert_fails(w.try_run(*command), 1, "format '3'", "--root")
        self.assertEqual((w.root / "format").read_text(), "3\n")

    def test_a_driver_that_is_unknown_or_not_ours_is_named(self):
        for driver, words in (("ladder", ["'ladder'"]), ("farms", ["did you mean 'farm'"]),
                              ("overlay2", ["overlay2", "leave the key out"])):
            w = Wherry(config={"storage-driver": driver})
            self.addCleanup(w.close)
            self.assert_fails(w.try_run("import", "-", "x"), 1, *words)
