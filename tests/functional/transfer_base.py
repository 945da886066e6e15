"""What the tests of pull, push and login share: a registry of the test's own, and what must be left of images."""
import os
import pathlib

from base import IMAGE
from faults import FaultTest
from harness import images
from harness.archives import layer_tar
from harness.fake_registry import FakeRegistry
from harness.wherry import Wherry

# Milliseconds for connecting, for a stall, and before the first retry, so that nothing that has to end does so only
# after a minute. A registry that stalls is given up at once; an honest one on a busy machine never.
PROMPT = {"WHERRY_TRANSFER_PATIENCE": "2000,30000,20"}
IMPATIENT = {"WHERRY_TRANSFER_PATIENCE": "2000,1000,20"}


def other_store(test) -> Wherry:
    """A second root, for the machine at the other end. Its end takes all networks along: the first one's come back."""
    other = Wherry()
    test.addCleanup(test.w.ok, "run", "--rm", "-p", "127.0.0.1::9", IMAGE, "true")
    test.addCleanup(other.close)
    return other


class RegistryTest(FaultTest):
    """self.registry: a fake one. Images that a test has made are gone after it."""

    auth = "none"
    users: dict[str, str] | None = None

    def setUp(self):
        super().setUp()
        self.registry = self.enterContext(FakeRegistry(self.auth, self.users))
        self.addCleanup(self.remove_images)

    def remove_images(self):
        for name in set(self.w.ok("images", "-q", "--no-trunc").split()):
            if name != self.image_id(IMAGE):
                self.w.ok("rmi", "-f", name)
        self.assertEqual(self.layer_names(), self.layers_at_rest)

    def image_id(self, name: str) -> str:
        return "".join(self.w.ok("images", "-q", "--no-trunc", name).split()[:1])

    def name(self, repository: str, tag: str = "") -> str:
        return f"{self.registry.host}/{repository}" + (f":{tag}" if tag else "")

    def pull(self, repository: str, *options, tag: str = "1", env=None, **settings):
        return self.w.try_run("pull", *options, self.name(repository, tag), env={**PROMPT, **(env or {})},
                              **settings)

    def pulled(self, repository: str, *options, tag: str = "1", **settings) -> str:
        done = self.pull(repository, *options, tag=tag, **settings)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def assert_nothing_half_made(self):
        """After a failure: no image, no layer, nothing in incoming that the next command would not sweep."""
        self.assertEqual(self.w.ok("images", "-q", "--no-trunc").split(), [self.image_id(IMAGE)])
        self.assertEqual(self.layer_names(), self.layers_at_rest)
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])

    def busybox(self) -> bytes:
        """A root file system that is not the one of IMAGE."""
        return images.padded_tar().read_bytes()

    def layer(self, name: str, size: int = 0) -> bytes:
        """A tar with one file, whose content is its name, or `size` bytes that do not compress."""
        return layer_tar({name: os.urandom(size) if size else name.encode()})

    def config_file(self, folder: pathlib.Path, text: str) -> dict[str, str]:
        """The environment of a user with this config.json."""
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(text)
        return {"DOCKER_CONFIG": str(folder)}
