"""push, mount, pull and run through real registries: Debian's docker-registry, and our own."""
import json
import re
import select
import subprocess
import threading
import urllib.request

from base import IMAGE, FunctionalTest
from harness import peers
from harness.paths import bin_dir
from transfer_base import other_store

_CONFIG = """version: 0.1
storage: {filesystem: {rootdirectory: /peer/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:5001"}
"""


class RoundTrip:
    """Mixed into tests whose setUp sets self.host."""

    def fetch(self, path: str, **headers) -> tuple[bytes, dict]:
        request = urllib.request.Request(f"http://{self.host}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), dict(answer.headers)

    def tag(self, name: str) -> str:
        self.w.ok("tag", IMAGE, f"{self.host}/{name}")
        self.addCleanup(self.w.try_run, "rmi", f"{self.host}/{name}")
        return f"{self.host}/{name}"

    def test_push_again_mount_pull_and_run(self):
        first, second = self.tag("team/app:1"), self.tag("team/other:1")
        layer = self.w.inspect(IMAGE)["RootFS"]["Layers"][0][7:19]
        lines = self.w.ok("push", first).splitlines()
        self.assertEqual(lines[:2], [f"The push refers to repository [{self.host}/team/app]", f"{layer}: Pushed"])
        self.assertRegex(lines[2], r"^1: digest: sha256:[0-9a-f]{64} size: \d+$")
        self.assertEqual(self.w.ok("push", first).splitlines()[1:], [f"{layer}: Layer already exists", lines[2]])
        self.assertEqual(self.w.ok("push", second).splitlines()[1:], [f"{layer}: Mounted from team/app", lines[2]])
        digest = re.search("sha256:[0-9a-f]{64}", lines[2])[0]
        manifest, headers = self.fetch("/v2/team/app/manifests/1",
                                       Accept="application/vnd.oci.image.manifest.v1+json")
        self.assertEqual(headers["Docker-Content-Digest"], digest)
        self.assertEqual(json.loads(manifest)["layers"][0]["mediaType"],
                         "application/vnd.oci.image.layer.v1.tar+gzip")

        other = other_store(self)
        self.assertIn(f"Digest: {digest}", other.ok("pull", first))
        self.assertEqual(other.ok("run", "--rm", first, "cat", "/var/data/seed"), "from the image\n")
        self.assertIn("Already exists", other.ok("pull", second))
        self.assertIn("Image is up to date", other.ok("pull", first))
        # What was pulled goes back byte for byte.
        copy = f"{self.host}/team/copy:1"
        other.ok("tag", first, copy)
        self.assertIn(digest, other.ok("push", copy))

    def test_all_tags_there_and_back(self):
        for tag in ("1", "2"):
            self.tag(f"tags/app:{tag}")
        self.w.ok("push", "-a", f"{self.host}/tags/app")
        other = other_store(self)
        other.ok("pull", "-aq", f"{self.host}/tags/app")
        self.assertEqual(len(other.ok("images", "-q", f"{self.host}/tags/app").split()), 2)

    def test_what_is_not_there(self):
        self.assert_fails(self.w.try_run("pull", f"{self.host}/none/app:1"), 1, f"{self.host}/none/app:1",
                          "not found")


class DebiansRegistry(RoundTrip, FunctionalTest):
    def setUp(self):
        super().setUp()
        data = self.scratch("docker-registry")
        (data / "config.yml").write_text(_CONFIG)
        self.host = "127.0.0.1:5001"
        process = subprocess.Popen(peers.command(data, "docker-registry", "serve", "/peer/config.yml"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.kill)
        # It says when it listens, and goes on talking: somebody has to read.
        self.assertTrue(any(b"listening on" in line for line in iter(process.stderr.readline, b"")))
        self.enterContext(_Drain(process.stderr))


class OurRegistry(RoundTrip, FunctionalTest):
    def setUp(self):
        super().setUp()
        root = self.scratch("wherry-registry")
        process = subprocess.Popen([bin_dir() / "wherry-registry", "serve", "--addr", "127.0.0.1:0", "--root", root],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.terminate)
        ready, _, _ = select.select([process.stdout], [], [], 20)
        self.assertTrue(ready, "wherry-registry did not say where it listens")
        self.host = re.search(rb"127\.0\.0\.1:\d+", process.stdout.readline())[0].decode()


class _Drain:
    """Reads a pipe to its end in a thread."""

    def __init__(self, pipe):
        self._thread = threading.Thread(target=lambda: all(iter(pipe.readline, b"")), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        pass
