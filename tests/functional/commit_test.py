"""commit and diff: what a container has changed, as a layer and as a list, on every rung of the store."""
import hashlib
import io
import json
import os
import pathlib
import stat
import tarfile
import unittest.mock

from base import IMAGE, FunctionalTest
from fault_limits_test import NO_SPACE, FullDiskTest
from faults import FaultTest
from harness import archives, disks, images
from harness.wherry import CommandFailed

# Everything that an upper can have, made in a container of busybox.
CHANGES = """
set -e
echo new > /new; chmod 640 /new; chown 1000:2000 /new; touch -d @1234567890 /new
ln /new /linked; ln -s /new /symbolic
mkdir -p /made/deep; echo deep > /made/deep/file; chmod 1777 /made
mkfifo /made/fifo
mknod /made/null c 1 3
echo more >> /etc/passwd
chmod 600 /etc/group
mv /home/web /home/moved
rm -r /root; mkdir /root; echo fresh > /root/inside
rm /bin/env
"""


class CommitTest(FunctionalTest):
    def setUp(self):
        super().setUp()
        self.images_at_rest = set(self.images())
        self.addCleanup(self.remove_images)

    def images(self) -> list[str]:
        return self.w.ok("images", "-a", "-q", "--no-trunc").split()

    def remove_images(self):
        self.w.remove_containers()
        for image in set(self.images()) - self.images_at_rest:
            self.w.ok("rmi", "-f", image)

    def commit(self, *args) -> str:
        done = self.w.try_run("commit", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertRegex(done.stdout, r"\Asha256:[0-9a-f]{64}\n\Z")
        return done.stdout.strip()

    def root_of(self, name: str) -> pathlib.Path:
        """What a running container sees as its root."""
        return pathlib.Path(f"/proc/{self.w.inspect(name)['State']['Pid']}/root")

    def diff(self, name: str, *options) -> list[str]:
        return self.w.ok("diff", *options, name).splitlines()


MOUNTED = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf")


def describe(top: pathlib.Path) -> dict[str, str]:
    """All that can be seen of a tree but for what the engine has mounted in it."""
    found, first = {}, {}

    def look(path: str):
        place = os.path.join(top, path)
        info = os.lstat(place)
        if path in MOUNTED:
            return
        # Where the engine's mount points had to be made, the time is that of the start.
        time = info.st_mtime_ns if path != "etc" else 0
        line = f"{stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid} {info.st_rdev} {time}"
        if stat.S_ISLNK(info.st_mode):
            line += f" -> {os.readlink(place)}"
        if stat.S_ISREG(info.st_mode):
            line += f" {info.st_size} {hashlib.sha256(pathlib.Path(place).read_bytes()).hexdigest()}"
        if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
            line += f" {sorted((name, os.getxattr(place, name)) for name in os.listxattr(place))}"
        if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
            other = first.setdefault((info.st_dev, info.st_ino), path)
            line += f" same as {other}" if other != path else ""
        found["/" + path] = line
        if stat.S_ISDIR(info.st_mode):
            for name in sorted(os.listdir(place)):
                look(os.path.join(path, name))

    look("")
    return found


class Commit(CommitTest):
    def test_the_new_image_has_what_the_container_had(self):
        name = self.running("--name", "changed")
        self.w.ok("exec", name, "sh", "-c", CHANGES)
        image = self.commit("changed", "made:1")
        self.assertTrue(self.w.inspect(name)["State"]["Running"])
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")
        self.assertEqual(self.w.inspect("made:1")["Id"], image)
        self.assertEqual(len(self.w.inspect(image)["RootFS"]["Layers"]), 2)
        again = self.w.detached("made:1", "sleep", "1000")
        before, after = describe(self.root_of(name)), describe(self.root_of(again))
        self.assertEqual(before.pop("/").split()[:2], after.pop("/").split()[:2])
        self.assertEqual(after, before)
        self.assertEqual(self.diff(again), [])
        # It goes on, and its next commit has both.
        self.w.ok("exec", name, "sh", "-c", "echo later > /later; rm /linked")
        later = self.commit(name)
        self.assertEqual(self.w.ok("diff", image, later, "--format", "{{.Kind}} {{.Path}}").splitlines(),
                         ["A /later", "D /linked", "C /new"])
        self.assertEqual(self.w.ok("fsck").splitlines()[-1].rpartition(": ")[2], "no problems")

    def test_a_container_that_has_ended_or_never_ran(self):
        ended = self.w.ok("create", IMAGE, "sh", "-c", "echo x > /x").strip()
        base = self.w.inspect(IMAGE)
        fresh = self.w.inspect(self.commit(ended))
        self.assertEqual(fresh["RootFS"], base["RootFS"])
        self.assertEqual(fresh["Config"]["Cmd"], ["sh", "-c", "echo x > /x"])
        self.w.ok("start", "-a", ended)
        image = self.commit(ended, "ended")
        self.assertEqual(self.w.ok("run", "--rm", image, "cat", "/x"), "x\n")
        history = [json.loads(line) for line in
                   self.w.ok("history", "--no-trunc", "--format", "json", "ended").splitlines()]
        self.assertEqual(history[0]["CreatedBy"], "sh -c echo x > /x")

    def test_one_that_has_changed_nothing_has_no_new_layer(self):
        name = self.running()
        self.assertEqual(self.diff(name), [])
        image = self.w.inspect(self.commit("-m", "nothing", name))
        self.assertEqual(image["RootFS"], self.w.inspect(IMAGE)["RootFS"])
        self.assertEqual(self.w.ok("history", "--format", "{{.Size}} {{.Comment}}", image["Id"]).splitlines()[0],
                         "0B nothing")

    def test_its_configuration_is_the_container_s_with_the_changes(self):
        name = self.running("-e", "A=1", "-u", "web", "-w", "/tmp", "-l", "a=b", "--expose", "80", "-v", "/data",
                            "--stop-signal", "INT")
        image = self.w.inspect(self.commit("-a", "Somebody", "-m", "why", "-c", "ENV B=2 A=3", "--change",
                                           'CMD ["echo", "hi"]', "-c", "LABEL c=d", "-c", "USER root",
                                           "-c", "WORKDIR sub", name, "team/app:2"))
        config = image["Config"]
        self.assertEqual((config["Cmd"], config["WorkingDir"], config["User"], config["StopSignal"]),
                         (["echo", "hi"], "/tmp/sub", "root", "INT"))
        self.assertEqual(config["Labels"], {"a": "b", "c": "d"})
        self.assertEqual([entry for entry in config["Env"] if entry[:2] in ("A=", "B=")], ["A=3", "B=2"])
        self.assertEqual((list(config["ExposedPorts"]), list(config["Volumes"])), (["80/tcp"], ["/data"]))
        self.assertEqual((image["Author"], image["Comment"], image["RepoTags"]), ("Somebody", "why", ["team/app:2"]))
        self.assertEqual(self.w.ok("run", "--rm", "team/app:2"), "hi\n")

    def test_what_is_refused_leaves_nothing(self):
        name = self.running()
        for args, code, words in (((), 1, ("requires from 1 to 2 arguments",)),
                                  (("nobody",), 1, ("no such container: nobody",)),
                                  ((name, "UPPER"), 1, ("invalid reference format", "UPPER")),
                                  ((name, "a@sha256:" + "0" * 64), 1, ("digest reference",)),
                                  (("-c", "RUN true", name), 1, ("'RUN' is not a valid change", "CMD")),
                                  (("-c", "ENV", name), 1, ("ENV requires",)),
                                  (("--nonsense", name), 125, ("unknown flag", "--nonsense")),
                                  (("-p=perhaps", name), 125, ("perhaps",))):
            with self.subTest(args=args):
                self.assert_fails(self.w.try_run("commit", *args), code, *words)
        self.assertEqual(set(self.images()), self.images_at_rest)
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")

    def test_names_that_no_layer_can_have_are_named(self):
        name = self.running()
        self.w.ok("exec", name, "touch", "/.wh.odd")
        self.assert_fails(self.w.try_run("commit", name), 1, "/.wh.odd"[1:], "rename the file")
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")

    def test_base_and_container_may_go_afterwards(self):
        self.w.ok("tag", IMAGE, "base:x")
        name = self.running()
        self.w.ok("exec", name, "sh", "-c", "echo kept > /kept")
        image = self.commit(name)
        self.w.ok("rm", "-f", name)
        self.assertEqual(self.w.ok("run", "--rm", image, "cat", "/kept"), "kept\n")
        saved = self.w.try_run("save", image, text=False).stdout
        self.w.ok("rmi", image)
        self.w.ok("load", input=saved, text=False)
        self.assertEqual(self.w.ok("run", "--rm", image, "cat", "/kept"), "kept\n")


class Pause(CommitTest):
    writer = ("sh", "-c", "i=0; while :; do i=$((i+1)); for f in a b; do echo $i > /t; mv /t /$f; done; done")

    def test_files_are_of_one_moment(self):
        name = self.running(command=self.writer)
        self.w.wait_for(lambda: "A /b" in self.diff(name))
        for _ in range(3):
            self.commit(name, "moment")
            a, b = (int(self.w.ok("run", "--rm", "moment", "cat", path)) for path in ("/a", "/b"))
            self.assertIn(a - b, (0, 1))
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")

    def test_a_paused_one_stays_paused(self):
        name = self.running()
        self.w.ok("exec", name, "touch", "/x")
        self.w.ok("pause", name)
        for option in ("--pause", "--pause=false"):
            self.commit(option, name)
            self.assertEqual(self.w.inspect(name)["State"]["Status"], "paused")

    def test_without_a_pause_it_goes_on(self):
        name = self.running(command=self.writer)
        self.w.wait_for(lambda: "A /b" in self.diff(name))
        points = self.w.failpoints_of("commit", "-p=false", name)
        self.assertNotIn("engine.commit.frozen", points)
        self.assertIn("engine.commit.frozen", self.w.failpoints_of("commit", name))

    def test_while_it_is_frozen_others_see_it_and_may_end_it(self):
        name = self.running("--name", "still")
        commit = self.w.start("commit", name, env={"WHERRY_FAILPOINT": "engine.commit.frozen:stop"})
        self.addCleanup(commit.communicate)
        self.addCleanup(commit.kill)
        self.w.wait_for(lambda: self.w.inspect(name)["State"]["Status"] == "paused")
        commit.kill()
        commit.wait()
        self.w.wait_for(lambda: self.w.inspect(name)["State"]["Status"] == "running", timeout=2)
        self.w.ok("pause", name)
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "paused")


class Faults(FaultTest):
    """kill -9, a full disk, an I/O error at each failpoint: an image or nothing, and nobody stays frozen."""

    def remove_made(self):
        self.w.ok("image", "prune", "-f")
        for image in set(self.w.ok("images", "-a", "-q", "--no-trunc").split()) - {self.w.inspect(IMAGE)["Id"]}:
            self.w.ok("rmi", "-f", image)
        self.assertEqual(self.layer_names(), self.layers_at_rest)

    def test_commit_at_every_failpoint(self):
        name = self.running("--name", "victim")
        self.w.ok("exec", name, "sh", "-c", CHANGES)
        points = [(program, point) for program in ("wherry", "wherry-unpack")
                  for point in dict.fromkeys(self.w.failpoint_hits(program, "commit", name, "made"))]
        self.remove_made()
        names = [point for _, point in points]
        for expected in ("engine.commit.begin", "engine.commit.freezing", "engine.commit.frozen",
                         "store.upper.file", "store.upper.copied", "engine.commit.thawed", "archive.pack.entry",
                         "engine.commit.packed", "store.layer.synced", "store.layer.renamed",
                         "store.image.before", "store.image.after"):
            self.assertIn(expected, names)
        for number, (program, point) in enumerate(points):
            action = ("kill", "enospc", "eio")[number % 3] if program != "wherry" or "commit" not in point else "kill"
            with self.subTest(program=program, point=point, action=action):
                done = self.w.with_failpoint(point, action, "commit", name, "made", program=program)
                self.assert_explained(done, action, (1,))
                self.w.wait_for(lambda: self.w.inspect(name)["State"]["Status"] == "running", timeout=2)
                made = self.w.ok("images", "-q", "made").split()
                if done.returncode == 0:
                    self.assertEqual(len(made), 1)
                if made:
                    self.assertEqual(self.w.ok("run", "--rm", "made", "cat", "/root/inside"), "fresh\n")
                self.remove_made()
                self.w.ok("commit", name, "made")
                self.remove_made()
                self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        self.w.ok("rm", "-f", name)


class FullDisk(FullDiskTest):
    def test_a_commit_without_room_says_so_and_leaves_nothing(self):
        name = self.w.detached(IMAGE, "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=4; sleep 1000")
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", "pidof sleep").returncode == 0)
        self.fill(leave=1 << 20)
        done = self.w.try_run("commit", name, "made")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("cannot commit container", done.stderr)
        self.assertIn(NO_SPACE, done.stderr)
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        self.empty()
        self.w.ok("commit", name, "made")
        self.assertEqual(self.w.ok("run", "--rm", "made", "wc", "-c", "/big"), f"{4 << 20} /big\n")


class Diff(CommitTest):
    def test_what_docker_prints(self):
        name = self.running()
        self.w.ok("exec", name, "sh", "-c", CHANGES)
        self.assertEqual(self.diff(name), [
            "C /bin", "D /bin/env", "C /etc", "C /etc/group", "C /etc/passwd", "C /home", "A /home/moved",
            "D /home/web", "A /linked", "A /made", "A /made/deep", "A /made/deep/file", "A /made/fifo",
            "A /made/null", "A /new", "C /root", "A /root/inside", "A /symbolic"])
        self.assertEqual(self.diff(name), self.w.ok("container", "diff", name).splitlines())
        self.w.ok("kill", name)
        self.w.ok("wait", name)
        self.assertIn("D /bin/env", self.diff(name))

    def test_only_what_is_different_is_told(self):
        name = self.running()
        self.w.ok("exec", name, "sh", "-c", "chmod 600 /etc/passwd; chmod 644 /etc/passwd; "
                  "t=$(stat -c %Y /etc/group); echo x >> /etc/group; touch /etc/shadow; rm /etc/shadow")
        self.assertEqual([line for line in self.diff(name) if line != "C /etc"], ["C /etc/group"])
        # The same size and time, and yet not the same.
        self.w.ok("exec", name, "sh", "-c", "touch -r /etc/passwd /stamp; sed s/web/WEB/ /etc/passwd > /other; "
                  "cat /other > /etc/passwd; touch -r /stamp /etc/passwd; rm /stamp /other")
        self.assertIn("C /etc/passwd", self.diff(name))
        self.assertEqual(self.diff(name, "--format", "{{.Kind}} {{.Path}} {{.What}}")[-1], "C /etc/passwd content")

    def test_mounts_and_the_working_directory_as_in_docker(self):
        name = self.running("-v", "/data/here", "-w", "/place/dir")
        self.w.ok("exec", name, "touch", "/data/here/inside", "/dev/shm/x")
        self.assertEqual(self.diff(name), ["A /data", "A /data/here", "A /place", "A /place/dir"])

    def test_its_other_forms(self):
        name = self.running()
        self.w.ok("exec", name, "sh", "-c", "echo 12345 > /five; rm -r /home")
        self.assertEqual(self.diff(name), ["A /five", "D /home"])
        self.assertEqual(self.w.ok("diff", "--stat", name), "1 added, 1 removed, 0 changed; 6B in, 0B out\n")
        self.assertEqual(json.loads(self.diff(name, "--format", "json")[0])["After"], 6)

    def test_who_is_meant(self):
        name = self.running("--name", "both")
        self.w.ok("tag", IMAGE, "both")
        self.w.ok("exec", name, "touch", "/x")
        self.assertEqual(self.diff("both"), ["A /x"], "one argument is a container")
        self.assertEqual(self.w.ok("diff", "both", IMAGE), "", "two are images")
        self.assert_fails(self.w.try_run("diff", IMAGE), 1, "no such container", "wherry diff IMAGE IMAGE")
        self.assert_fails(self.w.try_run("diff", name, IMAGE), 1, "no such image", "wherry diff CONTAINER")
        self.assert_fails(self.w.try_run("diff", "nobody"), 1, "no such container: nobody")
        self.assert_fails(self.w.try_run("image", "diff", IMAGE), 1, "requires")
        self.w.ok("rmi", "both")


class RungTest(CommitTest):
    """The same on each rung that works here; which they are the machine says."""
    needs_image = False
    rung = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        config = cls.w.root.parent / "config.json"
        config.write_text(json.dumps({"storage-driver": cls.rung}))
        plain = cls.w.command
        cls.w.command = lambda *args: [plain()[0], "--config", str(config), *plain(*args)[1:]]
        cls.w.ok("import", images.busybox_tar(), IMAGE)
        cls.w.ok("load", input=archives.docker_archive(layers(), ["rich:1"]).bytes(), text=False)
        cls.w.ok("run", "--rm", "rich:1", "true")

    def check_image(self):
        """What a container sees is what the layers say, to the last bit."""
        name = self.w.detached("rich:1", "sleep", "1000")
        found = describe(self.root_of(name))
        for path, expected in EXPECTED.items():
            self.assertEqual(" ".join(found[path].split()[:4]), expected, path)
        self.assertIn("('user.top', b'yes')", "".join(found["/"]))
        self.assertIn("('user.dir', b'1')", found["/shared/dir"])
        self.assertTrue(found["/links/two"].endswith(" same as links/one"))
        for gone in ("/gone", "/hidden/old", "/shared/dir/removed"):
            self.assertNotIn(gone, found)
        self.assertIn("/hidden/new", found)
        self.assertEqual(self.diff(name), [])
        return found

    def check_changes(self):
        """rename, chmod, hard link, and then commit: nothing of the upper stands for what is below it."""
        name = self.w.detached("rich:1", "sleep", "1000")
        self.w.ok("exec", name, "sh", "-c",
                  "chmod 711 /shared/dir/file && mv /links/one /links/first && ln /bin/busybox /copy && "
                  "mv /shared /moved && chown 5:6 /devices/null && rm -r /hidden && mkdir /hidden && touch -d @5 /hidden /links")
        upper = self.w.root / "containers" / name / "upper"
        for place in [upper, *upper.rglob("*")]:
            if not place.is_symlink():
                marks = [mark for mark in os.listxattr(place) if "metacopy" in mark or "redirect" in mark]
                self.assertEqual(marks, [], place)
        self.assertEqual(self.diff(name), [
            "A /copy", "C /devices", "C /devices/null", "C /hidden", "D /hidden/new", "C /links", "A /links/first",
            "D /links/one", "A /moved", "A /moved/dir", "A /moved/dir/file", "A /moved/dir/other", "D /shared"])
        self.commit(name, "changed:1")
        again = self.w.detached("changed:1", "sleep", "1000")
        before, after = describe(self.root_of(name)), describe(self.root_of(again))
        self.assertTrue(after["/copy"].endswith(" same as bin/busybox"))
        # Overlay gives the names of a file that it has copied up inodes of their own.
        before["/copy"] = after["/copy"]
        before.pop("/"), after.pop("/")
        self.assertEqual(after, before)
        return after


def layers() -> list[bytes]:
    """Two of them: the upper one leaves out the root, and a directory that is made for its names."""
    lower, upper = io.BytesIO(), io.BytesIO()
    with tarfile.open(images.busybox_tar()) as base, tarfile.open(fileobj=lower, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "./", tarfile.DIRTYPE, mode=0o751, uid=3, gid=4, mtime=1500000000, xattrs={"user.top": "yes"})
        for entry in base:
            if entry.name.strip("./"):
                tar.addfile(entry, base.extractfile(entry) if entry.isfile() else None)
        for name, metadata in SHARED.items():
            _add(tar, name, tarfile.DIRTYPE, **metadata)
        _add(tar, "shared/dir/file", content=b"file", mode=0o640, uid=11, xattrs={"user.file": "2"})
        _add(tar, "shared/dir/removed", content=b"removed")
        _add(tar, "links", tarfile.DIRTYPE)
        _add(tar, "links/one", content=b"linked")
        _add(tar, "links/two", tarfile.LNKTYPE, link="links/one")
        _add(tar, "devices", tarfile.DIRTYPE, mode=0o700)
        _add(tar, "devices/null", tarfile.CHRTYPE, device=(1, 3), mode=0o666)
        _add(tar, "devices/fifo", tarfile.FIFOTYPE, mode=0o600)
        _add(tar, "hidden", tarfile.DIRTYPE, uid=12)
        _add(tar, "hidden/old", content=b"old")
        _add(tar, "gone", content=b"gone")
    with tarfile.open(fileobj=upper, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, ".wh.gone")
        _add(tar, "hidden/.wh..wh..opq")
        _add(tar, "hidden/new", content=b"new")
        for name, metadata in SHARED.items():
            _add(tar, name, tarfile.DIRTYPE, **metadata)
        _add(tar, "shared/dir/.wh.removed")
        _add(tar, "shared/dir/other", content=b"other", mode=0o4755)
    return [lower.getvalue(), upper.getvalue()]


def _add(tar, name, kind=tarfile.REGTYPE, content=b"", mode=0o755, uid=0, gid=0, mtime=1600000000, link="",
         device=(0, 0), xattrs=None):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, entry.linkname = kind, mode, uid, gid, mtime, link
    entry.size, (entry.devmajor, entry.devminor) = len(content), device
    entry.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
    tar.addfile(entry, io.BytesIO(content))


SHARED = {
    "shared": {"mode": 0o2750, "uid": 7, "gid": 8, "mtime": 1400000000},
    "shared/dir": {"mode": 0o1733, "uid": 9, "gid": 10, "mtime": 1300000000.5, "xattrs": {"user.dir": "1"}},
}
EXPECTED = {
    "/": "drwxr-x--x 3:4 0 1500000000000000000",
    "/shared": "drwxr-s--- 7:8 0 1400000000000000000",
    "/shared/dir": "drwx-wx-wt 9:10 0 1300000000500000000",
    "/shared/dir/file": "-rw-r----- 11:0 0 1600000000000000000",
    "/shared/dir/other": "-rwsr-xr-x 0:0 0 1600000000000000000",
    "/devices": "drwx------ 0:0 0 1600000000000000000",
    "/devices/null": "crw-rw-rw- 0:0 259 1600000000000000000",
    "/devices/fifo": "prw------- 0:0 0 1600000000000000000",
    "/hidden": "drwxr-xr-x 0:0 0 0",
}


class OnLayers(RungTest):
    """The oracle of the others: directories of layers, stacked by overlay itself."""
    rung = "layers"

    def on(self, rung: str) -> tuple:
        """The same on another rung; the error where it does not work on this machine."""
        other = type("Other", (RungTest,), {"rung": rung, "runTest": lambda test: None})
        disk = {"WHERRY_TEST_DISK": self.enterContext(disks.reflinking(os.environ["WHERRY_TEST_DISK"]))} if rung == "reflink" else {}
        try:
            with unittest.mock.patch.dict(os.environ, disk):
                other.setUpClass()
            test = other()
            test.images_at_rest = set(test.images())
            found = test.check_image(), test.check_changes()
            test.remove_images()
            self.assertEqual(test.w.ok("fsck").splitlines()[-1].rpartition(": ")[2], "no problems")
            return found
        except CommandFailed as error:
            self.assertIn(f"storage-driver '{rung}' does not work here", str(error))
            return ()
        finally:
            other.doClassCleanups()

    def test_image_and_changes_are_the_same_on_every_rung_that_works_here(self):
        here = self.check_image(), self.check_changes()
        found = {rung: self.on(rung) for rung in ("erofs", "farm", "reflink")}
        for rung, tree in found.items():
            # Kernels before 6.16 have no rung erofs.
            if tree or rung != "erofs":
                self.assertEqual(tree, here, rung)
