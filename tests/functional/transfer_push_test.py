"""push: only new layers are sent and each line says which; a pulled image keeps its bytes; failures tag nothing."""
import gzip
import json
import pathlib
import re
import tarfile
import tempfile

from base import IMAGE
from harness.archives import digest_of
from harness.fake_registry import Fault
from transfer_base import IMPATIENT, PROMPT, RegistryTest, other_store


class PushTest(RegistryTest):
    def push(self, name: str, *options, env=None):
        return self.w.try_run("push", *options, name, env={**PROMPT, **(env or {})})

    def pushed(self, name: str, *options) -> list[str]:
        done = self.push(name, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout.splitlines()

    def tagged(self, repository: str, tag: str = "1", image: str = IMAGE) -> str:
        name = self.name(repository, tag)
        self.w.ok("tag", image, name)
        self.addCleanup(self.w.try_run, "rmi", name)
        return name

    def manifest(self, repository: str, tag: str = "1") -> dict:
        """What the registry has under the tag, after a look at every blob it names."""
        kept = self.registry.repositories[repository]
        document = json.loads(kept.manifests[kept.tags[tag]][1])
        for part in (document["config"], *document["layers"]):
            self.assertEqual(digest_of(kept.blobs[part["digest"]]), part["digest"])
            self.assertEqual(len(kept.blobs[part["digest"]]), part["size"])
        return document

    def two_layers(self) -> str:
        """A pulled image with the fake's own bytes; its name."""
        self.top = self.layer("top", 100_000)
        self.registry.repository("origin/app").add_image("1", [self.busybox(), self.top], {"Cmd": ["echo", "ran"]})
        self.pulled("origin/app")
        return self.name("origin/app", "1")


class Pushing(PushTest):
    def test_a_layer_is_sent_once_and_a_line_says_what_happened_to_it(self):
        name = self.tagged("team/app")
        lines = self.pushed(name)
        layer = self.w.inspect(IMAGE)["RootFS"]["Layers"][0][7:19]
        self.assertEqual(lines[:2], [f"The push refers to repository [{self.name('team/app')}]", f"{layer}: Pushed"])
        kept = self.registry.repositories["team/app"]
        self.assertEqual(lines[2:], [f"1: digest: {kept.tags['1']} size: {len(kept.manifests[kept.tags['1']][1])}"])
        self.manifest("team/app")
        self.assertEqual(self.pushed(name)[1:], [f"{layer}: Layer already exists", lines[2]])
        # Another repository of the same registry is given it without a byte being sent.
        self.registry.received = 0
        self.assertEqual(self.pushed(self.tagged("team/other"))[1], f"{layer}: Mounted from team/app")
        sent = len(self.registry.repositories["team/app"].blobs[self.manifest("team/app")["layers"][0]["digest"]])
        self.assertLess(self.registry.received, sent)
        self.manifest("team/other")

    def test_another_store_pulls_and_runs_what_was_pushed(self):
        name = self.tagged("app")
        self.pushed(name)
        other = other_store(self)
        other.ok("pull", name, env=PROMPT)
        self.assertEqual(other.ok("run", "--rm", name, "cat", "/var/data/seed"), "from the image\n")
        self.assertEqual(other.inspect(name)["Id"], self.w.inspect(name)["Id"])
        self.assertEqual(other.inspect(name)["RootFS"], self.w.inspect(name)["RootFS"])

    def test_a_pulled_image_is_pushed_with_the_very_bytes_it_came_with(self):
        name = self.tagged("copy/app", image=self.two_layers())
        lines = self.pushed(name)
        origin, copy = self.registry.repositories["origin/app"], self.registry.repositories["copy/app"]
        self.assertEqual(copy.tags["1"], origin.tags["1"])
        self.assertEqual(copy.manifests[copy.tags["1"]], origin.manifests[origin.tags["1"]])
        self.assertEqual(sorted(line.split(": ")[1] for line in lines[1:3]), ["Mounted from origin/app"] * 2)

    def test_of_a_second_image_only_the_new_layer_is_sent(self):
        repository = self.registry.repository("x/base")
        base, top = self.busybox(), self.layer("top", 50_000)
        repository.add_image("1", [base])
        repository.add_image("2", [base, top])
        self.pulled("x/base")
        self.pulled("x/base", tag="2")
        with type(self.registry)() as target:
            for tag, told in (("1", ["Pushed"]), ("2", ["Layer already exists", "Pushed"])):
                name = f"{target.host}/team/app:{tag}"
                self.w.ok("tag", self.name("x/base", tag), name)
                lines = self.pushed(name)
                self.assertEqual([line.split(": ")[1] for line in lines[1:-1]], told)
            self.assertEqual(target.repositories["team/app"].tags, repository.tags)

    def test_a_registry_that_does_not_mount_gets_the_bytes(self):
        name = self.tagged("copy/app", image=self.two_layers())
        self.registry.faults["POST .*mount="] = Fault(status=405, body=b"{}")
        self.assertIn("Pushed", "".join(self.pushed(name)))
        self.manifest("copy/app")

    def test_quiet_all_tags_and_latest(self):
        for tag in ("1", "latest"):
            self.tagged("app", tag)
        self.assertEqual(self.pushed(self.name("app", "1"), "-q"), [self.name("app", "1")])
        self.assertEqual(self.pushed(self.name("app"))[0], "Using default tag: latest")
        lines = self.pushed(self.name("app"), "--all-tags")
        self.assertEqual([line.split(":")[0] for line in lines if ": digest: sha256:" in line], ["1", "latest"])
        self.assertEqual(len([line for line in lines if line.startswith("The push refers")]), 1)
        self.assert_fails(self.push(self.name("app", "1"), "-a"), 1, "tag can't be used with --all-tags/-a")

    def test_the_pushed_digest_names_the_image_here(self):
        name = self.tagged("app")
        digest = re.search("sha256:[0-9a-f]{64}", self.pushed(name)[-1])[0]
        self.assertEqual(self.w.ok("run", "--rm", f"{self.name('app')}@{digest}", "echo", "same"), "same\n")


class LostBlobs(PushTest):
    """A layer was here when its image was pulled: its files are, the blob that the manifest names is not."""

    def setUp(self):
        super().setUp()
        tars = [self.busybox(), self.layer("top", 50_000)]
        command = {"Cmd": ["echo", "ran"]}
        self.registry.repository("first").add_image("1", tars, command)
        self.digest = self.registry.repository("second").add_image(
            "1", tars, {**command, "Env": ["A=1"]}, pack=lambda tar: gzip.compress(tar, 9, mtime=0))
        self.pulled("first")
        self.assertEqual(self.pulled("second").count("Already exists"), 2)
        self.target = self.enterContext(type(self.registry)())
        self.copy = f"{self.target.host}/copy:1"
        self.w.ok("tag", self.name("second", "1"), self.copy)
        self.registry.requests.clear()

    def saved(self) -> tuple[str, dict]:
        """What save says, and the manifests that it wrote, by digest."""
        file = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "image.tar"
        done = self.w.try_run("save", "-o", str(file), self.name("second", "1"), env=PROMPT)
        self.assertEqual(done.returncode, 0, done)
        with tarfile.open(file) as tar:
            index = json.load(tar.extractfile("index.json"))
            for layer in json.load(tar.extractfile("manifest.json"))[0]["Layers"]:
                self.assertEqual(layer.rpartition("/")[2], digest_of(tar.extractfile(layer).read())[7:])
        return done.stderr, [manifest["digest"] for manifest in index["manifests"]]

    def test_a_push_elsewhere_fetches_them_again_and_sends_the_very_bytes(self):
        self.assertTrue(self.pushed(self.copy)[-1].startswith(f"1: digest: {self.digest} "))
        self.assertEqual(self.target.repositories["copy"].tags, {"1": self.digest})
        self.assertEqual(len(self.registry.asked("GET .*second/blobs/")), 2)
        # From now on they are kept.
        self.registry.requests.clear()
        self.target.repositories.clear()
        self.pushed(self.copy)
        self.assertEqual(self.registry.requests, [])

    def test_what_the_target_has_is_not_fetched(self):
        self.target.repository("copy").blobs = dict(self.registry.repositories["second"].blobs)
        self.pushed(self.copy)
        self.assertEqual(self.registry.asked("second/blobs"), [])

    def test_without_them_nothing_is_sent_unless_recompress_says_so(self):
        self.registry.repositories["second"].blobs.clear()
        done = self.push(self.copy)
        self.assert_fails(done, 1, f"cannot push '{self.copy}'", "cannot be fetched again", "--recompress")
        self.assertEqual((self.target.received, self.target.repository("copy").tags), (0, {}))
        done = self.push(self.copy, "--recompress")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(self.copy, done.stderr)
        self.assertNotIn(self.digest, done.stdout)
        self.assertIn(f"digest: {self.target.repositories['copy'].tags['1']} ", done.stdout)
        other = other_store(self)
        other.ok("pull", self.copy, env=PROMPT)
        self.assertEqual(other.ok("run", "--rm", self.copy), "ran\n")

    def test_recompress_changes_nothing_where_nothing_is_lost(self):
        self.pushed(self.copy, "--recompress")
        self.assertEqual(self.target.repositories["copy"].tags, {"1": self.digest})

    def test_a_registry_that_sends_other_bytes_is_not_believed(self):
        self.registry.faults["GET .*second/blobs"] = Fault(change=lambda body: b"x" + body[1:])
        self.assert_fails(self.push(self.copy), 1, "digest")
        self.assertEqual(self.target.repository("copy").tags, {})

    def test_a_kill_in_between_leaves_nothing(self):
        self.w.with_failpoint("transfer.refetch.layers", "kill", "push", self.copy)
        self.after_a_fault()
        self.assertEqual(self.target.received, 0)
        self.pushed(self.copy)

    def test_save_fetches_them_again_and_says_when_it_cannot(self):
        blobs = dict(self.registry.repositories["second"].blobs)
        self.registry.repositories["second"].blobs.clear()
        told, manifests = self.saved()
        self.assertIn("cannot be fetched again", told)
        self.assertNotIn(self.digest, manifests)
        self.registry.repositories["second"].blobs = blobs
        self.assertEqual(self.saved(), ("", [self.digest]))


class PlainLayers(PushTest):
    def test_layers_that_are_not_compressed_keep_their_bytes_too(self):
        digest = self.registry.repository("plain").add_image(
            "1", [self.busybox()], pack=lambda tar: tar, layer_type="application/vnd.oci.image.layer.v1.tar")
        self.pulled("plain")
        self.registry.requests.clear()
        with type(self.registry)() as target:
            copy = f"{target.host}/copy:1"
            self.w.ok("tag", self.name("plain", "1"), copy)
            self.pushed(copy)
            self.assertEqual(target.repositories["copy"].tags, {"1": digest})
        self.assertEqual(self.registry.requests, [])


class Refused(PushTest):
    def test_names_that_are_not_here_or_cannot_be_pushed(self):
        done = self.push(self.name("none", "1"))
        self.assert_fails(done, 1, "An image does not exist locally with the tag: " + self.name("none"))
        self.assertGreater(len(done.stderr.splitlines()), 1)
        self.assert_fails(self.push(self.name("none"), "-a"), 1, "does not exist locally")
        self.assert_fails(self.push("busybox@sha256:" + "0" * 64), 1, "cannot push a digest reference")
        self.assert_fails(self.push(self.name("a", "1"), "--platform", "linux/amd64"), 125, "--platform")
        self.assertEqual(self.registry.requests, [])

    def test_a_registry_that_fails_at_any_request_gets_no_tag_and_the_next_push_succeeds(self):
        name = self.tagged("app")
        for pattern in ("HEAD .*blobs", "POST .*uploads", "(PATCH|PUT) .*uploads", "PUT .*manifests"):
            for fault in (Fault(status=500), Fault(status=403), Fault(status=507, body=b"no space left on device")):
                with self.subTest(pattern, status=fault.status):
                    self.registry.repositories.clear()
                    self.registry.faults = {pattern: fault}
                    self.assert_fails(self.push(name), 1, name.rpartition(":")[0])
                    self.assertEqual(self.registry.repository("app").tags, {})
                    self.registry.faults = {}
                    self.pushed(name)
                    self.manifest("app")

    def test_a_registry_that_stalls_is_given_up(self):
        name = self.tagged("app")
        self.registry.faults = {"POST .*uploads": Fault(stall=-1)}
        self.assert_fails(self.push(name, env=IMPATIENT), 1, name.rpartition(":")[0])
        self.registry.faults = {}
        self.pushed(name)

    def test_a_registry_that_is_not_there(self):
        self.w.ok("tag", IMAGE, "127.0.0.1:1/app:1")
        self.addCleanup(self.w.ok, "rmi", "127.0.0.1:1/app:1")
        self.assert_fails(self.push("127.0.0.1:1/app:1"), 1, "cannot push '127.0.0.1:1/app:1'")
