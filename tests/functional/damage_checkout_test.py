"""Damage planted in checkouts, on the rungs that have them: a start makes them again, fsck says what is wrong, and who
runs on one goes on."""
import os
import pathlib
import struct
import subprocess
import time

from base import FunctionalTest
from harness import disks, images
from harness.damage import ANY, flip, flip_unseen, truncate
from harness.store_check import check_store
from harness.wherry import Wherry

BASE, IMAGE, OTHER = "base:test", "damaged:test", "neighbour:test"
NOBODY = 0xffffffff  # an access list's entry without an id
DOCKERFILE = f"""FROM {BASE}
RUN mkdir -p /data/deep && echo one > /data/deep/one && ln /data/deep/one /data/deep/two && \
    ln -s /data/deep/one /data/link && mknod /data/node c 1 3 && rm /etc/passwd && sleep 0
CMD ["cat", "/etc/padding", "/data/deep/one"]
"""
SAYS = images.PADDING + "one\n"


def add_a_name(path: pathlib.Path) -> None:
    (path.parent / "added").write_text("x")


def add_a_name_unseen(path: pathlib.Path) -> None:
    info = path.parent.stat()
    add_a_name(path)
    os.utime(path.parent, ns=(info.st_atime_ns, info.st_mtime_ns))


def add_an_attribute(path: pathlib.Path) -> None:
    os.setxattr(path, "user.added", b"x")


def close_its_directory(path: pathlib.Path) -> None:
    path.parent.chmod(0o700)


def lose_its_directory(path: pathlib.Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


PLANTS = (*ANY, add_a_name, add_a_name_unseen, add_an_attribute, close_its_directory, lose_its_directory)


class Checkouts:
    """Of one rung; `self.rung` names it."""

    needs_image = False

    @classmethod
    def setUpClass(cls):
        cls.w = Wherry(config={"storage-driver": cls.rung}, disk=cls.disk())
        cls.addClassCleanup(cls.w.close)
        cls.w.ok("import", images.padded_tar(), BASE)
        cls.w.ok("build", "-q", "-t", IMAGE, "-", input=DOCKERFILE)
        cls.w.ok("run", "--rm", "-p", "127.0.0.1::9", IMAGE)

    @classmethod
    def disk(cls):
        return None

    def checkouts(self) -> list[pathlib.Path]:
        return [path for path in (self.w.root / "trees").iterdir() if ".aside." not in path.name]

    def place(self, path: str) -> pathlib.Path:
        """Where the image's containers have it from."""
        image, = [tree for tree in self.checkouts() if os.path.lexists(tree / "data/deep")]
        candidates = [image / path, *(tree / path for tree in self.checkouts() if not (tree / "data").exists())]
        return next(place for place in candidates if os.path.lexists(place))

    def asides(self) -> list[str]:
        return [name for name in os.listdir(self.w.root / "trees") if ".aside." in name]

    def another_boot(self):
        (self.w.run_root / "looked").unlink(missing_ok=True)

    def runs(self):
        self.assertEqual(self.w.ok("run", "--rm", IMAGE), SAYS)

    def whole(self):
        for options in ((), ("--quick",)):
            done = self.w.try_run("fsck", *options)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(check_store(self.w.root), [])

    def test_the_first_start_of_a_boot_makes_it_again(self):
        for path in ("etc/padding", "data/deep/one"):
            for plant in PLANTS:
                with self.subTest(plant.__name__, path=path):
                    before = len(self.asides())
                    plant(self.place(path))
                    self.another_boot()
                    self.runs()
                    self.assertGreater(len(self.asides()), before)
                    self.whole()

    def test_fsck_finds_it_and_repairs_it(self):
        for repair in (True, False):
            for plant in PLANTS:
                with self.subTest(plant.__name__, repair=repair):
                    plant(self.place("data/deep/one"))
                    self.fsck_finds("snapshot '", "data/deep", IMAGE, "is made again by the next start")
                    self.fsck_finds("snapshot '", "data/deep")
                    if repair:
                        done = self.w.try_run("fsck", "--repair")
                        self.assertEqual((done.returncode, "again" in done.stdout), (1, True), done)
                        self.whole()
                    self.runs()
                    self.whole()

    def test_links_nodes_and_whiteouts(self):
        def point_elsewhere(path):
            path.unlink()
            path.symlink_to("/etc/passwd")

        def another_node(path):
            path.unlink()
            os.mknod(path, 0o644 | 0o020000, os.makedev(1, 5))

        def part_names(path):
            data = path.read_bytes()
            info = path.stat()
            path.unlink()
            path.write_bytes(data)
            path.chmod(info.st_mode & 0o7777)
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))

        plants = [(point_elsewhere, "data/link"), (another_node, "data/node"), (part_names, "data/deep/two")]
        if self.rung == "layers":
            plants.append((pathlib.Path.unlink, "etc/passwd"))
        for plant, path in plants:
            with self.subTest(path):
                plant(self.place(path))
                self.fsck_finds(path, IMAGE)
                self.runs()
                self.assertEqual(self.w.ok("run", "--rm", IMAGE, "sh", "-c", "readlink /data/link; test -c /data/node; "
                                           "cd /data/deep; test one -ef two && echo same; ls /etc/passwd || echo gone"),
                                 "/data/deep/one\nsame\ngone\n")
                self.whole()

    def test_later_starts_come_round_to_it(self):
        flip_unseen(self.place("data/deep/one"))
        for _ in range(400):
            done = self.w.ok("run", "--rm", IMAGE)
            if done == SAYS:
                return self.whole()
        self.fail("it never came round to it")

    def test_who_runs_on_it_goes_on_and_it_goes_with_the_image_or_the_boot(self):
        name = self.w.ok("run", "-d", IMAGE, "sleep", "1000").strip()
        before = self.asides()
        truncate(self.place("etc/padding"))
        self.fsck_finds("etc/padding")
        self.runs()
        new = set(self.asides()) - set(before)
        self.assertNotEqual(new, set())
        self.assertEqual(self.w.ok("exec", name, "cat", "/data/deep/two"), "one\n")
        self.w.ok("gc")
        self.assertEqual(set(self.asides()), new | set(before))
        self.assertEqual(self.w.ok("exec", name, "ls", "/data"), "deep\nlink\nnode\n")
        self.w.ok("rm", "-f", name)
        for aside in new:  # as if an earlier boot had left it
            base, _, number = aside.rpartition(".")
            os.rename(self.w.root / "trees" / aside, self.w.root / "trees" / f"{base[:-8]}00000000.{number}")
        for fact in self.w.run_root.glob("rung-*"):
            fact.unlink()
        self.runs()
        self.assertEqual(self.asides(), before)
        flip(self.place("etc/padding"))
        self.another_boot()
        self.runs()
        self.w.ok("tag", BASE, "keep:test")
        self.w.ok("rmi", "-f", IMAGE)
        self.w.ok("build", "-q", "-t", IMAGE, "-", input=DOCKERFILE)
        self.runs()
        self.w.ok("rmi", "keep:test")
        self.whole()

    def test_damaged_objects_are_not_copied(self):
        objects = self.w.root / "objects"
        victim = next(path for path in objects.glob("*/*") if path.read_bytes() == images.PADDING.encode())
        info = victim.stat()
        flip_unseen(victim)
        self.runs()
        truncate(self.place("etc/padding"))
        self.another_boot()
        for _ in range(2):
            self.assert_fails(self.w.try_run("run", "--rm", IMAGE), 125, "is damaged", "/etc/padding",
                              "load, pull or import it again")
        victim.write_bytes(images.PADDING.encode())
        os.utime(victim, ns=(info.st_atime_ns, info.st_mtime_ns))
        self.runs()
        self.whole()

    def test_what_the_disk_has_changed_is_found_by_a_whole_fsck(self):
        """And the next start makes it again, though its time of change says nothing."""
        for plant, path in ((flip_unseen, "data/deep/one"), (add_a_name_unseen, "data/deep/one")):
            with self.subTest(plant.__name__):
                before = time.time_ns()
                plant(self.place(path))
                with open(self.w.root / "own-spans", "ab") as spans:
                    spans.write(struct.pack("<qq", before - 10**8, time.time_ns()))
                done = self.w.try_run("fsck", "--quick")
                self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
                self.fsck_finds("data/deep", IMAGE, quick=False)
                self.runs()
                self.whole()

    def test_what_is_missing_and_what_is_damaged_at_once(self):
        for path in self.checkouts():
            if (path / "data/deep").exists():
                subprocess.run(["rm", "-rf", path], check=True)
        for path in self.checkouts():
            flip(path / "etc/padding")
        self.another_boot()
        self.runs()
        self.assertEqual(self.w.ok("run", "--rm", BASE, "cat", "/etc/padding"), images.PADDING)
        self.whole()

    def test_an_access_list_that_the_host_gives_is_no_damage(self):
        everybody = b"".join(struct.pack("<HHI", tag, 7, identity) for tag, identity in (
            (1, NOBODY), (2, 1000), (4, NOBODY), (16, NOBODY), (32, NOBODY)))
        os.setxattr(self.w.root / "incoming", "system.posix_acl_default", struct.pack("<I", 2) + everybody)
        self.addCleanup(os.removexattr, self.w.root / "incoming", "system.posix_acl_default")
        self.w.ok("build", "-q", "-t", OTHER, "-", input=f"FROM {BASE}\nRUN echo listed > /other && mkdir /folder\n")
        self.addCleanup(self.w.ok, "rmi", OTHER)
        self.assertEqual(self.w.ok("run", "--rm", OTHER, "cat", "/other"), "listed\n")
        self.whole()

    def test_a_restored_backup_is_read_once(self):
        for tree in self.checkouts():
            for folder, _, names in os.walk(tree):
                for name in names:
                    place = os.path.join(folder, name)
                    info = os.lstat(place)
                    os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
        known = [(self.w.root / "own-spans").read_bytes()]
        for _ in range(2):
            self.another_boot()
            self.runs()
            known.append((self.w.root / "own-spans").read_bytes())
        self.assertNotEqual(known[0], known[1], "what was read and right is noted")
        self.assertEqual(known[1], known[2], "and not read again")
        self.assertEqual(len(self.asides()), self.asides_before)
        self.whole()

    def setUp(self):
        super().setUp()
        self.asides_before = len(self.asides())


class OnFarm(Checkouts, FunctionalTest):
    rung = "farm"

    def runs(self):
        """The base's containers stand on the same inodes."""
        super().runs()
        self.assertEqual(self.w.ok("run", "--rm", BASE, "cat", "/etc/padding"), images.PADDING)

    def neighbour(self, word: str):
        self.w.ok("build", "-q", "-t", OTHER, "-", input=f"FROM {BASE}\nRUN echo {word} > /other\n")
        self.addCleanup(self.w.ok, "rmi", OTHER)

    def test_what_two_images_have_is_made_again_for_both(self):
        """A file of the farm is one inode in all trees."""
        self.neighbour("other")
        flip_unseen(self.place("etc/padding"))
        self.another_boot()
        self.assertEqual(self.w.ok("run", "--rm", OTHER, "cat", "/etc/padding"), images.PADDING)
        self.runs()
        self.whole()

    def test_a_removal_does_not_make_damage_known(self):
        """Though it changes the file's time of change within a span of somebody else's."""
        self.w.ok("build", "-q", "-t", OTHER, "-", input=f"FROM {BASE}\nRUN echo fourth > /other\n")
        flip_unseen(self.place("etc/padding"))
        begin = time.time_ns()
        self.w.ok("rmi", OTHER)
        with open(self.w.root / "own-spans", "ab") as spans:
            spans.write(struct.pack("<qq", begin - 10**8, time.time_ns()))
        self.fsck_finds("etc/padding")
        self.runs()
        self.whole()

    def test_a_new_tree_takes_up_no_damaged_file(self):
        victim = self.place("etc/padding")
        flip_unseen(victim)
        self.neighbour("third")
        self.assertEqual(self.w.ok("run", "--rm", OTHER, "cat", "/etc/padding"), images.PADDING)
        self.fsck_finds("etc/padding")
        self.runs()
        self.whole()


class OnLayers(Checkouts, FunctionalTest):
    rung = "layers"


class OnReflink(Checkouts, FunctionalTest):
    """On XFS, which shares blocks."""

    rung = "reflink"

    @classmethod
    def disk(cls):
        return cls.enterClassContext(disks.reflinking(os.environ["WHERRY_TEST_DISK"]))
