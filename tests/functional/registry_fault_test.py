"""wherry-registry under faults: kill -9, power cuts, full disks. What was acknowledged is there; the rest left no trace."""
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

from faults import FULL, sample, seeded
from harness import registry
from harness.paths import bin_dir
from harness.powercut import PowerCutDisk
from harness.registry import MANIFEST, Registry, digest, expect
from registry_server_test import RegistryTest

LAYER = bytes(range(256)) * 4000


def wrong_in(root: pathlib.Path) -> list[str]:
    """Sentences about a root at rest: every name must lead to whole bytes."""
    wrong = []

    def content(name: str) -> bytes:
        algorithm, _, hexadecimal = name.partition(":")
        path = root / "blobs" / algorithm / hexadecimal
        data = path.read_bytes() if path.exists() else b""
        if not path.exists() or digest(data, algorithm) != name:
            wrong.append(f"blob {name} is missing or damaged ({len(data)} bytes)")
        return data

    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            content(f"{path.parent.name}:{path.name}")
    for path in (root / "repositories").rglob("*"):
        if not path.is_file():
            continue
        name = f"{path.parent.name}:{path.name}"
        if path.parent.parent.name == "_blobs":
            content(name)
        elif path.parent.parent.name == "_manifests":
            parts = json.loads(content(name) or b"{}")
            for part in [parts["config"], *parts["layers"]] if "config" in parts else []:
                content(part["digest"])
        elif path.parent.name == "_tags":
            algorithm, _, hexadecimal = path.read_text().partition(":")
            if not (path.parent.parent / "_manifests" / algorithm / hexadecimal).is_file():
                wrong.append(f"tag {path.name} names a manifest that is not there")
    return wrong


def push(one: Registry, layer: bytes, tag: str = "v1", subject: str | None = None) -> str:
    """A push as docker does it: the layer in two pieces; the manifest's digest."""
    where = one.begin("team/app")
    expect(one.ask("PATCH", where, [layer[:300_000], layer[300_000:]]), 202)
    expect(one.ask("PUT", f"{where}?digest={digest(layer)}"), 201)
    fields = {"subject": {"mediaType": MANIFEST, "digest": subject, "size": 3}} if subject else {}
    body = registry.image_manifest([(digest(layer), len(layer))], (one.push_blob("team/app", b"{}"), 2), **fields)
    answer = expect(one.ask("PUT", f"/v2/team/app/manifests/{tag}", body, Content_Type=MANIFEST), 201)
    return answer.headers["docker-content-digest"]


class Killed(RegistryTest):
    def check_at_rest(self):
        self.assertEqual(wrong_in(self.r.root), [])
        self.assertEqual(os.listdir(self.r.root / "tmp"), [])

    def test_an_upload_goes_on_after_a_kill(self):
        where = self.r.begin("a")
        expect(self.r.ask("PATCH", where, LAYER[:500_000]), 202)
        kept = self.r.push_blob("a", b"kept")
        self.r.kill()
        self.r.start()
        self.assertEqual(expect(self.r.ask("GET", where), 204).headers["range"], "0-499999")
        self.assertEqual(self.r.ask("HEAD", f"/v2/a/blobs/{digest(LAYER)}").status, 404)
        expect(self.r.ask("PUT", f"{where}?digest={digest(LAYER)}", LAYER[500_000:]), 201)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(LAYER)}").body, LAYER)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{kept}").body, b"kept")
        self.check_at_rest()

    def test_at_every_failpoint_of_push_and_delete(self):
        base = push(self.r, LAYER, "base")
        self.r.stop()
        points = self.folder / "points"
        self.r.start({"WHERRY_FAILPOINT_LIST": str(points)})
        at_start = len(points.read_text().split())
        self.change(base)
        self.r.stop()
        passed = points.read_text().split()
        self.assertGreater(len(set(passed)), 12)
        # How many pieces a body arrives in is the network's choice: only the first are sure.
        hits = [(name, hit) for index, name in enumerate(passed) if index >= at_start
                if (hit := passed[:index + 1].count(name)) <= 2 or name != "registry.upload.write"]
        for name, hit in sample(hits, 25, self.id()):
            with self.subTest(failpoint=name, hit=hit):
                shutil.rmtree(self.r.root)
                self.r.start()
                base = push(self.r, LAYER, "base")
                self.r.stop()
                self.r.start({"WHERRY_FAILPOINT": f"{name}:kill@{hit}"})
                with self.assertRaises(OSError):
                    self.change(base)
                self.r.kill()
                self.check_names()
                self.r.start()
                self.check_at_rest()
                expect(self.r.ask("GET", "/v2/team/app/manifests/base"), 200)
                self.change(base)
                self.r.stop()
                self.check_at_rest()

    def change(self, subject: str):
        """A push with all there is, and a delete."""
        layer = LAYER[1:]
        name = push(self.r, layer, "v1", subject)
        expect(self.r.ask("GET", "/v2/team/app/manifests/v1"), 200)
        expect(self.r.ask("POST", f"/v2/other/blobs/uploads/?mount={digest(layer)}&from=team/app"), 201)
        expect(self.r.ask("DELETE", f"/v2/team/app/manifests/{name}"), 202)

    def check_names(self):
        self.assertEqual(wrong_in(self.r.root), [])

    def test_at_random_times(self):
        random = seeded(self.id())
        for index in range(100 if FULL else 10):
            acknowledged = []
            layer = LAYER[index + 1:] * 3

            def client():
                try:
                    acknowledged.append(push(self.r, layer, f"v{index}"))
                except (OSError, AssertionError):
                    pass  # the kill was first

            thread = threading.Thread(target=client)
            thread.start()
            time.sleep(random.uniform(0, 0.2))  # the moment of the kill is the test's input
            self.r.process.kill()
            thread.join()
            self.r.kill()
            self.r.start()
            self.check_at_rest()
            answer = self.r.ask("GET", f"/v2/team/app/manifests/v{index}")
            self.assertIn(answer.status, (200,) if acknowledged else (200, 404))
            push(self.r, layer, f"v{index}")

    def test_abandoned_uploads_are_swept_at_the_start(self):
        old, young = self.r.begin("a"), self.r.begin("a")
        self.r.kill()
        data = self.r.root / "uploads" / old.rpartition("/")[2] / "data"
        os.utime(data, (time.time() - 90_000,) * 2)
        half = self.r.root / "uploads" / ("0" * 32)
        half.mkdir()
        os.utime(half, (time.time() - 90_000,) * 2)
        self.r.start()
        self.assertEqual(os.listdir(self.r.root / "uploads"), [young.rpartition("/")[2]])
        self.assertEqual(self.r.ask("GET", old).status, 404)


class Collected(RegistryTest):
    """wherry-registry gc beside the running server."""

    def gc(self, *options: str, env=None) -> subprocess.CompletedProcess:
        return subprocess.run([bin_dir() / "wherry-registry", "gc", "--root", str(self.r.root), *options],
                              capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})

    def age(self):
        """As if all that is there had come two hours ago."""
        for path in self.r.root.rglob("*"):
            if path.is_file():
                os.utime(path, (time.time() - 7200,) * 2)

    def blobs(self) -> set[str]:
        return set(os.listdir(self.r.root / "blobs/sha256"))

    def test_takes_what_no_manifest_names(self):
        kept = self.r.push_image("a", "v1", LAYER)
        gone = self.r.push_image("a", "v2", LAYER, b"only in the second")
        loose = self.r.push_blob("loose/blobs", b"never named")
        expect(self.r.ask("DELETE", f"/v2/a/manifests/{gone}"), 202)
        self.age()
        before = self.blobs()
        dry = self.gc("--dry-run")
        self.assertEqual((dry.returncode, self.blobs()), (0, before), dry)
        self.assertIn("would remove 2 blobs from repositories, 3 contents", dry.stdout)
        done = self.gc()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertIn("removed 2 blobs from repositories, 3 contents", done.stdout)
        self.assertEqual(before - self.blobs(), {name.partition(":")[2] for name in
                                                 (gone, loose, digest(b"only in the second"))})
        self.assertEqual(self.r.ask("GET", "/v2/a/manifests/v1").headers["docker-content-digest"], kept)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(LAYER)}").body, LAYER)
        self.assertEqual(wrong_in(self.r.root), [])

    def test_spares_what_is_young_or_was_asked_for(self):
        old, young = self.r.push_blob("a", b"old"), self.r.push_blob("a", b"young")
        self.age()
        expect(self.r.ask("HEAD", f"/v2/a/blobs/{young}"), 200)
        self.assertEqual(self.gc().returncode, 0)
        self.assertEqual(self.r.ask("HEAD", f"/v2/a/blobs/{old}").status, 404)
        expect(self.r.ask("HEAD", f"/v2/a/blobs/{young}"), 200)

    def test_keeps_everything_of_a_repository_with_a_damaged_manifest(self):
        name = self.r.push_image("a", "v1", LAYER)
        (self.r.root / "blobs/sha256" / name.partition(":")[2]).write_bytes(b"rotten")
        self.age()
        done = self.gc()
        self.assertEqual(done.returncode, 0)
        self.assertIn(name, done.stderr)
        expect(self.r.ask("GET", f"/v2/a/blobs/{digest(LAYER)}"), 200)

    def test_children_of_an_index_keep_their_layers(self):
        child = self.r.push_image("a", "v1", LAYER)
        body = json.dumps({"schemaVersion": 2, "mediaType": registry.INDEX,
                           "manifests": [{"mediaType": MANIFEST, "digest": child, "size": 1}]})
        expect(self.r.ask("PUT", "/v2/a/manifests/all", body, Content_Type=registry.INDEX), 201)
        expect(self.r.ask("DELETE", "/v2/a/manifests/v1"), 202)
        self.age()
        self.assertEqual(self.gc().returncode, 0)
        self.assertEqual(wrong_in(self.r.root), [])
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(LAYER)}").body, LAYER)

    def test_killed_at_each_step_it_leaves_whole_images(self):
        self.r.push_image("a", "v1", LAYER)
        for point in ("registry.collect.mark", "registry.collect.blob", "registry.file.removed"):
            self.r.push_blob("a", b"loose")
            self.age()
            done = self.gc(env={"WHERRY_FAILPOINT": f"{point}:kill"})
            self.assertEqual(done.returncode, -9, done)
            self.assertEqual(wrong_in(self.r.root), [])
            self.assertEqual(self.gc().returncode, 0)
            self.assertEqual(self.r.ask("HEAD", f"/v2/a/blobs/{digest(b'loose')}").status, 404)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(LAYER)}").body, LAYER)

    def test_beside_pushes(self):
        ended = threading.Event()

        def collect():
            while not ended.is_set():
                self.assertEqual(self.gc().returncode, 0)

        thread = threading.Thread(target=collect)
        thread.start()
        try:
            for index in range(30):
                push(self.r, LAYER[index % 3:], f"v{index}")
        finally:
            ended.set()
            thread.join()
        self.assertEqual(wrong_in(self.r.root), [])
        self.assertEqual(len(self.r.ask("GET", "/v2/team/app/tags/list").json()["tags"]), 30)

    def test_a_root_that_is_none_is_named(self):
        done = subprocess.run([bin_dir() / "wherry-registry", "gc", "--root", str(self.folder / "none")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none'", done.stderr)
        self.assertFalse((self.folder / "none").exists())


class FullDisk(RegistryTest):
    def on_a_small_disk(self, megabytes: int) -> Registry:
        disk = PowerCutDisk(self.folder / "disk", megabytes=megabytes)
        disk.__enter__()
        self.addCleanup(disk.__exit__)
        small = Registry(disk.path / "root")
        small.__enter__()
        self.addCleanup(small.__exit__)
        return small

    def test_507_and_the_upload_is_not_stuck(self):
        small = self.on_a_small_disk(24)
        free = shutil.disk_usage(small.root).free
        where = small.begin("a")
        answer = expect(small.ask("PATCH", where, os.urandom(free + (4 << 20))), 507)
        self.assertIn("no space", answer.json()["errors"][0]["message"])
        self.assertIn("no space left on device", answer.json()["errors"][0]["detail"])
        expect(small.ask("GET", "/v2/"), 200)
        expect(small.ask("DELETE", where), 204)
        self.assertGreater(shutil.disk_usage(small.root).free, free - (1 << 20))
        name = small.push_image("a", "v1", LAYER)
        self.assertEqual(expect(small.ask("GET", "/v2/a/manifests/v1"), 200).headers["docker-content-digest"], name)

    def test_at_every_durable_step(self):
        points = self.folder / "points"
        self.r.stop()
        shutil.rmtree(self.r.root)
        self.r.start()
        self.r.stop()
        self.r.start({"WHERRY_FAILPOINT_LIST": str(points)})
        at_start = points.read_text().split()
        push(self.r, LAYER)
        self.r.stop()
        names = sorted({name for name in points.read_text().split() if name.startswith("registry.")})
        for number, name in enumerate(names):
            shutil.rmtree(self.r.root)
            self.r.start()
            self.r.stop()
            with self.subTest(failpoint=name):
                layer = LAYER[number + 1:]
                self.r.start({"WHERRY_FAILPOINT": f"{name}:enospc@{at_start.count(name) + 1}"})
                with self.assertRaisesRegex(AssertionError, "507"):
                    push(self.r, layer, "full")
                self.assertEqual(wrong_in(self.r.root), [])
                push(self.r, layer, "full")
                self.r.stop()
                self.assertEqual(os.listdir(self.r.root / "tmp"), [])


class PowerCut(RegistryTest):
    """A registry on a disk that loses power."""

    def setUp(self):
        super().setUp()
        self.disk = PowerCutDisk(self.folder / "disk", megabytes=160)
        self.disk.__enter__()
        self.addCleanup(self.disk.__exit__)
        self.one = Registry(self.disk.path / "root")
        self.one.log = self.folder / "one.log"
        self.one.__enter__()
        self.addCleanup(self.one.__exit__)

    def cut(self):
        self.disk.cut()
        self.one.kill()
        self.one.start()

    def test_an_acknowledged_push_is_there(self):
        for index in range(3):
            layer = os.urandom(5_000_000)
            name = push(self.one, layer, f"v{index}")
            self.cut()
            answer = expect(self.one.ask("GET", f"/v2/team/app/manifests/v{index}"), 200)
            self.assertEqual(digest(answer.body), name)
            self.assertEqual(self.one.ask("GET", f"/v2/team/app/blobs/{digest(layer)}").body, layer)
            self.assertEqual(wrong_in(self.one.root), [])

    def test_an_acknowledged_mount_delete_and_tag_are_there(self):
        push(self.one, LAYER, "v1")
        expect(self.one.ask("POST", f"/v2/b/blobs/uploads/?mount={digest(LAYER)}&from=team/app"), 201)
        expect(self.one.ask("DELETE", "/v2/team/app/manifests/v1"), 202)
        push(self.one, LAYER[2:], "v2")
        self.cut()
        self.assertEqual(self.one.ask("GET", f"/v2/b/blobs/{digest(LAYER)}").body, LAYER)
        self.assertEqual(self.one.ask("GET", "/v2/team/app/tags/list").json()["tags"], ["v2"])

    def test_at_random_times_nothing_is_half(self):
        random = seeded(self.id())
        for index in range(60 if FULL else 6):
            acknowledged = []
            layer = random.randbytes(2_000_000)

            def client():
                try:
                    acknowledged.append(push(self.one, layer, "moving"))
                except (OSError, AssertionError):
                    pass  # the cut was first

            thread = threading.Thread(target=client)
            thread.start()
            time.sleep(random.uniform(0, 0.3))  # the moment of the cut is the test's input
            self.disk.cut()
            thread.join()
            self.one.kill()
            self.one.start()
            self.assertEqual(wrong_in(self.one.root), [])
            answer = self.one.ask("GET", "/v2/team/app/manifests/moving")
            if acknowledged:
                self.assertEqual(answer.headers.get("docker-content-digest"), acknowledged[0])
            push(self.one, layer, "moving")


class Tls(RegistryTest):
    def setUp(self):
        super().setUp()
        self.r.stop()
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        self.context = ssl.create_default_context(cafile=str(certificate))
        self.r = Registry(self.folder / "root", "--tls-cert", str(certificate), "--tls-key", str(key),
                          tls=self.context)
        self.r.__enter__()
        self.addCleanup(self.r.__exit__)

    def test_push_and_pull(self):
        layer = os.urandom(3_000_000)
        name = push(self.r, layer)
        self.assertEqual(digest(self.r.ask("GET", "/v2/team/app/manifests/v1").body), name)
        self.assertEqual(self.r.ask("GET", f"/v2/team/app/blobs/{digest(layer)}").body, layer)
        self.assertEqual(self.r.ask("GET", f"/v2/team/app/blobs/{digest(layer)}", Range="bytes=5-9").body, layer[5:10])

    def test_old_versions_are_refused(self):
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        expect(self.r.ask("GET", "/v2/"), 200)
        old = subprocess.run(["openssl", "s_client", "-connect", self.r.address, "-tls1_1"], input=b"",
                             capture_output=True, timeout=20)
        self.assertNotEqual(old.returncode, 0)
        self.assertNotIn(b"Protocol  : TLSv1.1\n    Cipher    : E", old.stdout)
