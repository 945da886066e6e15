"""pull, and run of a missing image: Docker's lines, only what is missing travels, what is wrong is refused."""
import json
import re
import subprocess

from harness.archives import INDEX, MANIFEST, compressed, digest_of
from harness.fake_registry import Fault
from transfer_base import IMPATIENT, PROMPT, RegistryTest


class Pulling(RegistryTest):
    def test_the_lines_are_dockers_and_only_missing_layers_travel(self):
        base, top = self.busybox(), self.layer("top")
        first = self.registry.repository("team/app").add_image("1", [base], {"Cmd": ["echo", "base"]})
        second = self.registry.repository("team/app").add_image("2", [base, top], {"Cmd": ["cat", "/top"]})
        name = self.name("team/app")
        ids = [digest_of(compressed(tar))[7:19] for tar in (base, top)]
        self.assertEqual(self.pulled("team/app").splitlines(), [
            "1: Pulling from team/app", f"{ids[0]}: Pulling fs layer", f"{ids[0]}: Pull complete",
            f"Digest: {first}", f"Status: Downloaded newer image for {name}:1", f"{name}:1"])
        self.assertEqual(self.pulled("team/app", tag="2").splitlines(), [
            "2: Pulling from team/app", f"{ids[0]}: Already exists", f"{ids[1]}: Pulling fs layer",
            f"{ids[1]}: Pull complete", f"Digest: {second}", f"Status: Downloaded newer image for {name}:2",
            f"{name}:2"])
        self.assertEqual(len(self.registry.asked("GET .*blobs/" + digest_of(compressed(base)))), 1)
        self.assertEqual(self.w.ok("run", "--rm", f"{name}:2"), "top")

    def test_again_is_up_to_date_and_asks_for_no_blob(self):
        digest = self.registry.repository("app").add_image("1", [self.layer("a")])
        self.pulled("app")
        self.registry.requests.clear()
        lines = self.pulled("app").splitlines()
        self.assertEqual(lines[-3:], [f"Digest: {digest}", f"Status: Image is up to date for {self.name('app', '1')}",
                                      self.name("app", "1")])
        self.assertEqual(self.registry.asked("blobs"), [])

    def test_a_moved_tag_brings_the_new_image_and_the_old_one_loses_its_name(self):
        repository = self.registry.repository("app")
        repository.add_image("1", [self.layer("old")])
        self.pulled("app")
        old = self.image_id(self.name("app", "1"))
        repository.add_image("1", [self.layer("new")])
        self.assertIn("Downloaded newer image", self.pulled("app"))
        self.assertNotEqual(self.image_id(self.name("app", "1")), old)
        self.assertIn(old, self.w.ok("images", "-q", "--no-trunc"))

    def test_quiet_prints_the_full_name_only(self):
        self.registry.repository("app").add_image("latest", [self.layer("a")])
        self.assertEqual(self.pulled("app", "-q", tag=""), self.name("app", "latest") + "\n")

    def test_without_a_tag_it_is_latest_and_says_so(self):
        self.registry.repository("app").add_image("latest", [self.layer("a")])
        self.assertEqual(self.pulled("app", tag="").splitlines()[0], "Using default tag: latest")

    def test_all_tags(self):
        for tag in ("1", "2"):
            self.registry.repository("app").add_image(tag, [self.layer(tag)])
        self.pulled("app", "-a", tag="")
        for tag in ("1", "2"):
            self.assertTrue(self.image_id(self.name("app", tag)))
        self.assert_fails(self.pull("app", "-a"), 1, "tag can't be used with --all-tags/-a")

    def test_by_digest(self):
        digest = self.registry.repository("app").add_image("1", [self.busybox()])
        name = f"{self.name('app')}@{digest}"
        done = self.w.ok("pull", name, env=PROMPT).splitlines()
        self.assertEqual(done[0], f"{digest}: Pulling from app")
        self.assertEqual(done[-2:], [f"Status: Downloaded newer image for {name}", name])
        self.assertEqual(self.w.ok("run", "--rm", name, "echo", "here"), "here\n")
        self.assertIn("up to date", self.w.ok("pull", name, env=PROMPT))

    def test_a_layer_that_is_there_twice_travels_once(self):
        twice = self.layer("same")
        self.registry.repository("app").add_image("1", [twice, self.layer("other"), twice])
        self.pulled("app")
        self.assertEqual(len(self.registry.asked("GET .*blobs/" + digest_of(compressed(twice)))), 1)

    def test_many_layers_arrive_whole_with_one_and_with_many_at_a_time(self):
        layers = [self.layer(f"file{index}", 50_000) for index in range(12)]
        self.registry.repository("app").add_image("1", [self.busybox(), *layers])
        for count in (1, 12):
            config = self.scratch(f"config{count}") / "config.json"
            config.write_text(json.dumps({"max-concurrent-downloads": count}))
            self.w.ok("--config", config, "pull", "-q", self.name("app", "1"), env=PROMPT)
            shown = self.w.ok("run", "--rm", self.name("app", "1"), "sh", "-c", "cat /file* | wc -c")
            self.assertEqual(shown.strip(), "600000")
            self.remove_images()

    def test_two_at_once_both_succeed(self):
        self.registry.repository("app").add_image("1", [self.layer(f"file{i}", 300_000) for i in range(4)])
        both = [self.w.start("pull", self.name("app", "1"), env=PROMPT, stdin=subprocess.DEVNULL)
                for _ in range(2)]
        for process in both:
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (0, b""), out)
        self.pulled("app")

    def test_an_image_without_layers(self):
        self.registry.repository("app").add_image("1", [])
        self.assertIn("Downloaded newer image", self.pulled("app"))


class Platforms(RegistryTest):
    def add_index(self, *platforms: str) -> None:
        repository = self.registry.repository("app")
        entries = []
        for platform in platforms:
            system, architecture, *variant = platform.split("/")
            digest = repository.add_image("", [self.layer(platform)], os=system, architecture=architecture)
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": len(repository.manifests[digest][1]),
                            "platform": {"os": system, "architecture": architecture,
                                         **({"variant": variant[0]} if variant else {})}})
        self.index = repository.add_manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX, "1")

    def architecture(self) -> str:
        return self.w.inspect(self.name("app", "1"))["Architecture"]

    def test_an_index_gives_the_image_of_this_machine(self):
        self.add_index("linux/s390x", "linux/amd64", "windows/amd64")
        self.assertIn(f"Digest: {self.index}", self.pulled("app"))
        self.assertEqual(self.architecture(), "amd64")

    def test_another_platform_is_fetched_when_asked_for(self):
        self.add_index("linux/amd64", "linux/arm64/v8")
        self.pulled("app", "--platform", "linux/arm64")
        self.assertEqual(self.architecture(), "arm64")

    def test_a_platform_that_is_not_there_is_named_with_those_that_are(self):
        self.add_index("linux/amd64", "linux/arm64")
        self.assert_fails(self.pull("app", "--platform", "linux/riscv64"), 1, "no matching manifest", "riscv64", "arm64")
        self.assert_fails(self.pull("app", "--platform", "a/b/c/d"), 1, "a/b/c/d")
        self.registry.repository("one").add_image("1", [self.layer("a")])
        self.assert_fails(self.pull("one", "--platform", "linux/arm64"), 1, "linux/amd64", "linux/arm64")
        self.assert_nothing_half_made()

    def test_an_entry_whose_size_is_wrong_is_refused(self):
        self.add_index("linux/amd64")
        repository = self.registry.repository("app")
        document = json.loads(repository.manifests[self.index][1])
        document["manifests"][0]["size"] += 1
        repository.add_manifest(document, INDEX, "1")
        self.assert_fails(self.pull("app"), 1, "the index says")


class Refused(RegistryTest):
    """What is not an image, or not what it says."""

    def add(self, document, media_type=MANIFEST):
        self.registry.repository("odd").add_manifest(document, media_type, "1")

    def assert_refused(self, *words):
        self.assert_fails(self.pull("odd"), 1, self.name("odd", "1"), *words)
        self.assert_nothing_half_made()

    def changed(self, change):
        self.registry.repository("odd").add_image("1", [self.layer("a")], change=change)

    def test_docker_schema_1(self):
        self.add({"schemaVersion": 1, "name": "odd", "tag": "1", "fsLayers": []},
                 "application/vnd.docker.distribution.manifest.v1+prettyjws")
        self.assert_refused("schema 1")

    def test_an_artifact(self):
        self.changed(lambda manifest: manifest["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json"))
        self.assert_refused("not a container image", "helm")

    def test_a_layer_of_another_kind(self):
        self.changed(lambda manifest: manifest["layers"][0].update(mediaType="application/wasm"))
        self.assert_refused("application/wasm")

    def test_what_is_manifest_and_index_at_once(self):
        self.changed(lambda manifest: manifest.update(manifests=[]))
        self.assert_refused("both")

    def test_an_index_that_calls_itself_a_manifest(self):
        self.add({"schemaVersion": 2, "manifests": []})
        self.assert_refused()

    def test_an_index_in_an_index(self):
        repository = self.registry.repository("odd")
        inner = repository.add_manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX)
        self.add({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": INDEX, "digest": inner, "size": len(repository.manifests[inner][1]),
             "platform": {"os": "linux", "architecture": "amd64"}}]}, INDEX)
        self.assert_refused("index")

    def test_another_operating_system(self):
        self.registry.repository("odd").add_image("1", [self.layer("a")], os="windows")
        self.assert_refused("windows")

    def test_more_layers_than_the_configuration_knows(self):
        self.changed(lambda manifest: manifest["layers"].append(manifest["layers"][0]))
        self.assert_refused("2 layers")

    def test_digests_that_are_paths(self):
        self.changed(lambda manifest: manifest["layers"][0].update(digest="sha256:../../etc/passwd"))
        self.assert_refused("digest")

    def test_sizes_that_are_wrong(self):
        for size in (-5, 1, 10**6, 10**18):
            with self.subTest(size):
                self.changed(lambda manifest, size=size: manifest["layers"][0].update(size=size))
                self.assert_refused()

    def test_a_tar_that_is_not_the_configurations(self):
        other = compressed(self.layer("b"))
        digest = self.registry.repository("odd").add_blob(other)
        self.changed(lambda manifest: manifest["layers"][0].update(digest=digest, size=len(other)))
        self.assert_refused(digest, "the tar inside")

    def test_a_layer_that_is_no_archive(self):
        data = b"this is not a tar" * 100
        digest = self.registry.repository("odd").add_blob(data)
        self.changed(lambda manifest: manifest["layers"][0].update(digest=digest, size=len(data)))
        self.assert_refused(digest)

    def test_configurations_that_are_no_json_or_too_deep(self):
        for data in (b"", b"{", b"[]", b'{"a":' + b"[" * 100000, b'{"rootfs": {"diff_ids": ["md5:x"]}}'):
            with self.subTest(data[:20]):
                digest = self.registry.repository("odd").add_blob(data)
                self.changed(lambda manifest, digest=digest, data=data:
                             manifest["config"].update(digest=digest, size=len(data)))
                self.assert_refused()

    def test_huge_manifests_and_configurations(self):
        self.registry.faults["GET .*manifests"] = Fault(change=lambda _: b"{" + b" " * (8 << 20))
        self.assert_refused("larger than 4194304 bytes")
        self.registry.faults.clear()
        self.changed(lambda manifest: manifest["config"].update(size=2 << 30))
        self.assert_refused("4 MiB")


class LyingRegistry(RegistryTest):
    """After each lie: exit 1, an explanation, nothing left; the same command then succeeds."""

    def setUp(self):
        super().setUp()
        tars = [self.busybox(), self.layer("data", 400_000)]
        self.registry.repository("app").add_image("1", tars)

    def check(self, pattern: str, fault: Fault, *words: str, env=None):
        self.registry.faults[pattern] = fault
        done = self.pull("app", env=env)
        self.assert_fails(done, 1, self.name("app"), *words)
        for digest in set(re.findall("sha256:[0-9a-f]{64}", done.stderr)):
            self.assertLessEqual(done.stderr.count(digest), 1, done.stderr)
        self.assert_nothing_half_made()
        self.registry.faults.clear()
        self.pulled("app")
        self.remove_images()

    def check_blobs(self, fault: Fault, *words: str, env=None):
        """Of the configuration, and of a layer while another one arrives."""
        kept = self.registry.repositories["app"]
        manifest = json.loads(kept.manifests[kept.tags["1"]][1])
        for blob in (manifest["config"], manifest["layers"][1]):
            with self.subTest(blob["mediaType"]):
                self.check("GET .*" + blob["digest"], fault, *words, env=env)

    def test_a_wrong_byte_in_a_layer(self):
        self.check_blobs(Fault(change=lambda body: body[:-1] + bytes([body[-1] ^ 1])), "sha256:")

    def test_a_layer_that_is_cut_off_each_time(self):
        self.check_blobs(Fault(cut=1))

    def test_a_layer_with_a_wrong_length(self):
        self.check_blobs(Fault(change=lambda body: body[:200]))
        self.check_blobs(Fault(change=lambda body: body + b"more"))

    def test_a_layer_that_stalls(self):
        self.check_blobs(Fault(stall=100), env=IMPATIENT)

    def test_a_manifest_that_stalls(self):
        self.check("GET .*manifests/", Fault(stall=10), env=IMPATIENT)

    def test_missing_blobs(self):
        self.check_blobs(Fault(status=404, body=b"{}"))

    def test_servers_that_fail(self):
        for status in (400, 403, 429, 500, 503):
            with self.subTest(status):
                self.check_blobs(Fault(status=status))
                self.check("GET .*manifests/", Fault(status=status))

    def test_a_wrong_content_digest(self):
        self.check("GET .*manifests/", Fault(headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), "the server calls it")

    def test_redirects_in_a_circle(self):
        self.check_blobs(Fault(status=307, headers={"Location": "/v2/app/blobs/" + digest_of(b"")}))

    def test_a_download_that_breaks_off_goes_on_where_it_was(self):
        tar = self.layer("data", 400_000)
        self.registry.repository("app").add_image("1", [tar])
        self.registry.faults[digest_of(compressed(tar))] = Fault(cut=150_000, times=2)
        self.pulled("app")
        self.assertEqual(len(self.registry.asked(digest_of(compressed(tar)))), 3)

    def test_words_about_names_that_are_not_there(self):
        self.registry.repository("app").add_image("1", [self.layer("a")])
        self.assert_fails(self.pull("app", tag="2"), 1, f"manifest for {self.name('app', '2')} not found: manifest unknown",
                          "check the name")
        self.assert_fails(self.pull("nothing"), 1, self.name("nothing", "1"))
        self.assert_fails(self.w.try_run("pull", "127.0.0.1:1/app:1", env=PROMPT), 1,
                          "failed to resolve reference '127.0.0.1:1/app:1'")
        self.assert_fails(self.w.try_run("pull", "UPPER/x"), 1, "UPPER/x")


class MissingImage(RegistryTest):
    def setUp(self):
        super().setUp()
        self.registry.repository("app").add_image("1", [self.busybox()], {"Cmd": ["echo", "ran"]})

    def run_it(self, *options):
        return self.w.try_run("run", "--rm", *options, self.name("app", "1"), env=PROMPT)

    def test_run_fetches_it_and_says_so_on_stderr(self):
        done = self.run_it()
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done)
        lines = done.stderr.splitlines()
        self.assertEqual(lines[:2], [f"Unable to find image '{self.name('app', '1')}' locally", "1: Pulling from app"])
        self.assertEqual(lines[-1], f"Status: Downloaded newer image for {self.name('app', '1')}")

    def test_quiet_says_nothing(self):
        done = self.run_it("-q")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ran\n", ""))

    def test_create_fetches_it_too(self):
        name = self.w.ok("create", "-q", self.name("app", "1"), env=PROMPT).strip()
        self.assertEqual(self.w.ok("start", "-a", name), "ran\n")
        self.w.ok("rm", name)

    def test_never_asks_nobody(self):
        self.assert_fails(self.run_it("--pull", "never"), 125, "No such image")
        self.assertEqual(self.registry.requests, [])

    def test_missing_asks_only_once(self):
        self.run_it()
        self.registry.requests.clear()
        self.assertEqual(self.run_it().stderr, "")
        self.assertEqual(self.registry.requests, [])

    def test_always_takes_what_the_tag_stands_for_now(self):
        self.run_it()
        self.registry.repository("app").add_image("1", [self.busybox()], {"Cmd": ["echo", "newer"]})
        self.assertEqual(self.run_it().stdout, "ran\n")
        self.assertEqual(self.run_it("--pull", "always").stdout, "newer\n")
        self.registry.faults["manifests"] = Fault(status=500)
        self.assert_fails(self.run_it("--pull", "always"), 125, self.name("app", "1"))

    def test_failures_exit_with_125_and_leave_no_container(self):
        self.assert_fails(self.w.try_run("run", self.name("none", "1"), env=PROMPT), 125, self.name("none", "1"))
        self.assertEqual(self.w.ids(), [])


class Terminal(RegistryTest):
    def test_bars_are_painted_on_a_terminal_and_only_there(self):
        self.registry.repository("app").add_image("1", [self.layer("a", 200_000), self.layer("b", 200_000)])
        command = "stty rows 40 columns 100; " + " ".join(self.w.command("pull", self.name("app", "1")))
        done = subprocess.run(["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, env=self.w.environment({**PROMPT, "TERM": "xterm"}))
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("\x1b[", done.stdout)
        self.assertIn("Downloading [", done.stdout)
        self.assertEqual(done.stdout.count("Pull complete"), 2)
        self.remove_images()
        self.assertNotIn("\x1b", self.pulled("app"))
