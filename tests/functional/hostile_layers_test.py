"""The table of hostile tars through the front door: import, load, pull and ADD say the same of each, nothing outside
moves, no memory is lost to them, and nothing is left of what was refused."""
import hashlib
import os
import subprocess
import tempfile

from base import FunctionalTest
from harness import archives, hostile_tars, images
from harness.fake_registry import FakeRegistry
from harness.store_check import check_store

BASE = "base:test"
_MEMORY = 64 << 10  # KiB over what the same takes of a layer with one small file


class HostileLayers(FunctionalTest):
    needs_image = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.w.ok("import", images.busybox_tar(), BASE)
        cls.w.ok("run", "--rm", BASE, "true")

    def setUp(self):
        super().setUp()
        self.made = "made:test"
        self.work = self.scratch("work")
        self.canary = self.work / "canary"
        self.canary.write_text("untouched")
        self.canary.chmod(0o600)
        self.at_rest = self.state()

    def state(self):
        """What must be as before: the canary, and of the store everything but the images that are made."""
        info = self.canary.lstat()
        return (self.canary.read_bytes(), info.st_mode, info.st_nlink, info.st_uid, info.st_mtime_ns, info.st_ino,
                sorted(os.listdir(self.w.root / "layers")), sorted(os.listdir(self.w.root / "trees")))

    def measured(self, *arguments) -> tuple[int, str, int]:
        """Its code, what it said, and the most memory in KiB that it or a helper of its had."""
        with tempfile.TemporaryFile("w+") as said:
            child = subprocess.Popen(self.w.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=said, env=self.w.environment())
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            return child.returncode, said.read(), usage.ru_maxrss

    def each(self, bring):
        """`bring(tar)`: the command's arguments."""
        code, said, least = self.measured(*bring(hostile_tars.FILE + hostile_tars.END))
        self.assertEqual(code, 0, said)
        self.remove()
        for case in hostile_tars.cases(str(self.canary)):
            with self.subTest(case.name, attack=case.attack):
                code, said, most = self.measured(*bring(case.tar))
                self.assertLess(most - least, _MEMORY)
                self.judge(case, code, said)
                if code == 0:
                    self.remove()
                self.assertEqual(self.state(), self.at_rest)
        self.assertEqual(check_store(self.w.root), [])
        self.assertEqual(self.w.ok("run", "--rm", BASE, "echo", "up"), "up\n")

    def judge(self, case, code: int, said: str):
        if case.words is None:
            self.assertEqual(code, 0, said)
        else:
            self.refused(case.words, code, said)

    def refused(self, choice: str, code: int, said: str):
        self.assertEqual(code, 1, said)
        self.assertTrue(any(words in said for words in choice.split("|")), said)

    def remove(self):
        self.w.ok("rmi", self.made)

    def test_import(self):
        def bring(tar):
            (self.work / "layer.tar").write_bytes(tar)
            return "import", self.work / "layer.tar", self.made
        self.each(bring)

    def test_load(self):
        def bring(tar):
            layout = archives.oci_layout([tar], f"docker.io/library/{self.made}")
            (self.work / "image.tar").write_bytes(layout.bytes())
            return "load", "-i", self.work / "image.tar"
        self.each(bring)

    def test_pull(self):
        with FakeRegistry() as registry:
            repository = registry.repository("made")
            self.made = f"{registry.host}/made:test"

            def bring(tar):
                repository.add_image("test", [tar])
                return "pull", self.made
            self.each(bring)


class HostileArchives(HostileLayers):
    """The same of ADD. Archives have no marks of layers, and what does not begin as one does is a file."""

    test_import = test_load = test_pull = None

    def test_add(self):
        def bring(tar):
            (self.work / "Dockerfile").write_text(f"FROM {BASE}\nADD layer.tar /there/\n")
            (self.work / "layer.tar").write_bytes(tar)
            return "build", "--no-cache", "-q", "-t", self.made, self.work
        self.each(bring)

    def judge(self, case, code: int, said: str):
        if b".wh." in case.tar and code != 0:
            self.refused(f"names that begin with '.wh.'|{case.words}", code, said)
        elif case.words is not None and code == 0:
            digest = hashlib.sha256(case.tar).hexdigest()
            self.assertEqual(self.w.ok("run", "--rm", self.made, "sha256sum", "/there/layer.tar").split()[0], digest)
        else:
            super().judge(case, code, said)

    def remove(self):
        super().remove()
        self.w.ok("builder", "prune", "-a", "-f")
