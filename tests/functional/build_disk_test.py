"""A disk that is really full during a build: what failed, why and what to do; the disk is as before; then it works."""
import os

from base import IMAGE
from builds import FROM, Built, BuildTest, FileServer
from harness import images
from harness.powercut import PowerCutDisk
from harness.wherry import Wherry

BIG = 90 << 20


class FullDisk(BuildTest):
    def setUp(self):
        super().setUp()
        self.disk = self.enterContext(PowerCutDisk(self.scratch("small"), megabytes=64))
        self.small = Wherry(disk=str(self.disk.path))
        self.addCleanup(self.small.close)
        self.small.ok("import", images.busybox_tar(), IMAGE)
        self.small.ok("build", "-q", "-", input=FROM + "RUN true\n")
        self.used_before = self.used()

    def used(self) -> int:
        info = os.statvfs(self.disk.path)
        return (info.f_blocks - info.f_bfree) * info.f_frsize

    def fails(self, dockerfile: str, *words: str, files: dict | None = None):
        self.write({"Dockerfile": dockerfile, **(files or {})})
        built = Built(self.small.try_run("build", "--progress", "plain", "-t", "built", str(self.context)))
        self.assert_build_fails(built, "o space left on device", *words)
        self.small.ok("ps")
        self.assertEqual(os.listdir(self.small.root / "incoming"), [])
        self.assertEqual(self.small.ok("images", "-q", "built"), "")
        self.assertLess(self.used() - self.used_before, 256 << 10)
        self.small.ok("build", "-t", "built", "-", input=FROM + "RUN echo fits > /fits\n")
        self.assertEqual(self.small.ok("run", "--rm", "built", "cat", "/fits"), "fits\n")

    def test_copy(self):
        self.fails(FROM + "COPY big /to/\n", "COPY failed", "/to/big", "Dockerfile:2", "builder prune",
                   files={"big": os.urandom(BIG)})

    def test_run(self):
        self.fails(FROM + f"RUN dd if=/dev/zero of=/big bs=1048576 count={BIG >> 20}\n", "exit code: 1", "Dockerfile:2")

    def test_add_of_a_url(self):
        url = FileServer(self, bytes(BIG)).url
        self.fails(FROM + f"ADD {url} /\n", "ADD failed", url, "Dockerfile:2", "builder prune")
