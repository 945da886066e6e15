"""save and load: archives of other engines, our own, hostile ones; all images of an archive or none."""
import contextlib
import errno
import json
import os
import pty
import subprocess

from base import IMAGE, FunctionalTest
from faults import ERRNO_WORDS, FULL, FaultTest, sample
from harness import archives, images, peers
from harness.invariants import layer_trees
from harness.powercut import PowerCutDisk
from harness.wherry import Wherry

BASE = archives.layer_tar({"etc/base": "base\n", "bin/tool": "tool\n"})
TOP = archives.layer_tar({"etc/top": "top\n", "bin/.wh.tool": ""})
NAME = "docker.io/library/loaded:1"


class ArchiveTest(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.w.try_run("save", IMAGE, text=False)  # from now on its layer is kept as it travels

    def setUp(self):
        super().setUp()
        self.trees_at_rest = set(layer_trees(self.w))
        self.blobs_at_rest = self.blobs()
        self.addCleanup(self.check_store)

    def blobs(self) -> set[str]:
        return set(os.listdir(self.w.root / "blobs" / "sha256"))

    def check_store(self):
        """What a test has loaded goes with its images, files and blobs."""
        keep = self.w.ok("images", "-q", "--no-trunc", IMAGE).split()
        for image in set(self.w.ok("images", "-q", "--no-trunc").split()) - set(keep):
            self.w.ok("rmi", "-f", image)
        self.assertEqual(set(layer_trees(self.w)), self.trees_at_rest)
        self.assertEqual(self.blobs(), self.blobs_at_rest)

    def load(self, data: bytes, *options) -> str:
        done = self.w.try_run("load", *options, input=data, text=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return done.stdout.decode()

    def refuse(self, data: bytes, *words: str, options=()):
        """The load fails with these words and leaves nothing."""
        before = self.w.ok("images", "-q", "--no-trunc")
        done = self.w.try_run("load", *options, input=data, text=False)
        self.assertEqual(done.returncode, 1, done)
        for word in words:
            self.assertIn(word.lower(), done.stderr.decode().lower())
        self.assertEqual(self.w.ok("images", "-q", "--no-trunc"), before)
        self.assertEqual(set(layer_trees(self.w)), self.trees_at_rest)
        self.assertEqual(self.blobs(), self.blobs_at_rest)
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])

    def tree(self, name: str) -> dict[str, str]:
        """The image's files, layer over layer (no whiteouts are needed to read these)."""
        files = {}
        for top in self.w.layer_paths(name):
            for path in top.rglob("*"):
                if path.is_file():
                    files[str(path.relative_to(top))] = path.read_text()
                elif path.is_char_device():
                    files.pop(str(path.relative_to(top)), None)
        return files


class Load(ArchiveTest):
    def check_loaded(self, name: str = "loaded:1"):
        self.assertEqual(self.tree(name), {"etc/base": "base\n", "etc/top": "top\n"})
        self.assertEqual(self.w.inspect(name)["Config"]["Cmd"], ["sh"])

    def test_a_docker_archive_becomes_its_image(self):
        archive = archives.docker_archive([BASE, TOP], ["loaded:1", "loaded:latest"])
        self.assertEqual(self.load(archive.bytes()), "Loaded image: loaded:1\nLoaded image: loaded:latest\n")
        self.check_loaded()
        self.assertEqual(self.w.inspect("loaded:1")["Id"], archives.digest_of(archives.config([BASE, TOP])))

    def test_layers_may_be_compressed_and_links_to_each_other(self):
        for kind in ("", "gzip", "zstd"):
            with self.subTest(kind=kind):
                archive = archives.docker_archive([BASE, TOP, BASE], ["loaded:1"], kind)
                self.load(archive.bytes())
                self.assertEqual(len(self.w.inspect("loaded:1")["RootFS"]["Layers"]), 3)
                self.assertEqual(self.tree("loaded:1")["etc/base"], "base\n")
                self.w.ok("rmi", "loaded:1")

    def test_an_archive_may_be_compressed_as_a_whole(self):
        data = archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes()
        for kind in ("gzip", "zstd", "xz", "bzip2"):
            with self.subTest(kind=kind):
                self.assertEqual(self.load(archives.compressed(data, kind)), "Loaded image: loaded:1\n")
                self.check_loaded()
                self.w.ok("rmi", "loaded:1")

    def test_an_oci_layout_keeps_its_manifest_and_blobs(self):
        for kind in ("gzip", "zstd"):
            with self.subTest(kind=kind):
                archive = archives.oci_layout([BASE, TOP], NAME, kind)
                self.assertEqual(self.load(archive.bytes()), "Loaded image: loaded:1\n")
                self.check_loaded()
                saved = archives.read(self.w.try_run("save", "loaded:1", text=False).stdout)
                given = dict(archive.entries)
                blobs = {name for name in given if name.startswith("blobs/")}
                self.assertEqual({name: given[name] for name in blobs},
                                 {name: saved.get(name) for name in blobs})
                self.w.ok("rmi", "loaded:1")

    def test_an_oci_layout_with_plain_layers(self):
        self.load(archives.oci_layout([BASE, TOP], NAME, "").bytes())
        self.check_loaded()

    def test_a_folder_with_an_oci_layout(self):
        folder = self.scratch("layout")
        archives.oci_layout([BASE, TOP], NAME).write(folder)
        self.assertEqual(self.w.ok("load", "-i", folder), "Loaded image: loaded:1\n")
        self.check_loaded()

    def test_large_layers_are_read_from_a_file_or_a_pipe(self):
        # From a file they are read where they are, wherever the archive begins in it.
        large = archives.layer_tar({"etc/base": "base\n", "large": "".join(map(str, range(2_000_000)))})
        data = {"docker": archives.docker_archive([large, TOP], ["loaded:1"]),
                "links": archives.docker_archive([large, TOP, large], ["loaded:1"]),
                "layout": archives.oci_layout([large, TOP], NAME, "")}
        for name, archive in data.items():
            with self.subTest(name):
                file = self.scratch(name) / "a.tar"
                file.write_bytes(b"#" * 700 + archive.bytes())
                with open(file, "rb") as stream:
                    stream.seek(700)
                    done = subprocess.run(self.w.command("load", "-q"), stdin=stream, capture_output=True, text=True,
                                          env=self.w.environment())
                self.assertEqual((done.returncode, done.stdout), (0, "Loaded image: loaded:1\n"), done)
                from_file = self.w.inspect("loaded:1")
                self.assertEqual(self.tree("loaded:1")["large"], "".join(map(str, range(2_000_000))))
                self.w.ok("fsck")
                self.w.ok("rmi", "loaded:1")
                self.load(archive.bytes())
                self.assertEqual(self.w.inspect("loaded:1")["Id"], from_file["Id"])
                self.w.ok("rmi", "loaded:1")

    def test_a_large_layer_that_is_cut_or_another_one_is_refused(self):
        large = archives.layer_tar({"large": "x" * 9_000_000})
        other = large.replace(b"x" * 100, b"y" * 100, 1)
        whole = archives.docker_archive([large], ["loaded:1"]).bytes()
        file = self.scratch("cut") / "a.tar"
        for data, words in ((whole[:5_000_000], "truncated archive"), (whole.replace(large, other), "unpacks to")):
            file.write_bytes(data)
            self.refuse(b"", words, options=("-i", file))

    def test_input_and_quiet(self):
        file = self.scratch("input") / "a.tar"
        file.write_bytes(archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes())
        self.assertEqual(self.w.ok("image", "load", "-q", "--input", file), "Loaded image: loaded:1\n")
        self.check_loaded()
        self.assert_fails(self.w.try_run("load", "-i", "/none/a.tar"), 1, "cannot load", "/none/a.tar",
                          "no such file")

    def test_an_image_without_a_name_is_told_by_its_id(self):
        archive = archives.docker_archive([BASE, TOP], [])
        identity = archives.digest_of(archives.config([BASE, TOP]))
        self.assertEqual(self.load(archive.bytes()), f"Loaded image ID: {identity}\n")

    def test_loading_again_changes_nothing_and_moves_the_tag(self):
        first = archives.docker_archive([BASE], ["loaded:1"]).bytes()
        self.load(first)
        self.load(archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes())
        self.check_loaded()
        self.load(first)
        self.assertEqual(self.w.inspect("loaded:1")["Id"], archives.digest_of(archives.config([BASE])))

    def test_of_several_platforms_this_machines_is_taken(self):
        archive = archives.Archive()
        both = [{**archives.layout_manifest(archive, [BASE, TOP], "gzip", arch),
                 "platform": {"os": "linux", "architecture": arch}} for arch in ("s390x", "amd64")]
        index = archive.blob(json.dumps({"schemaVersion": 2, "mediaType": archives.INDEX,
                                         "manifests": both}).encode())
        data = archives.layout([archives.named({"mediaType": archives.INDEX, **index}, NAME)], archive).bytes()
        self.load(data)
        self.assertEqual(self.w.inspect("loaded:1")["Architecture"], "amd64")
        self.refuse_platform(data)
        mine = self.w.inspect("loaded:1")["Id"]
        # Both are kept under the name; this machine's is the one that is meant.
        self.load(data, "--platform", "linux/s390x")
        self.assertEqual(self.w.inspect("loaded:1")["Id"], mine)
        [other] = set(self.w.ok("images", "-q", "--no-trunc", "loaded:1").split()) - {mine}
        self.assertEqual(self.w.inspect(other)["Architecture"], "s390x")
        for platform, image in (("linux/amd64", mine), ("linux/s390x", other)):
            name = self.w.ok("create", "--platform", platform, "loaded:1", "true").strip()
            self.assertEqual(self.w.inspect(name)["Image"], image)
            self.w.ok("rm", name)
        self.assert_fails(self.w.try_run("create", "--pull", "never", "--platform", "linux/riscv64", "loaded:1", "true"),
                          125, "no such image: loaded:1", "linux/riscv64")
        self.assert_fails(self.w.try_run("create", "--platform", "a/b/c/d", "loaded:1", "true"), 125, "invalid platform")
        self.assertEqual(self.w.ok("rmi", "loaded:1").count("Untagged: loaded:1"), 2)
        # Alone, another platform's is what there is.
        self.load(data, "--platform", "linux/s390x")
        done = self.w.try_run("create", "loaded:1", "true")
        self.assertIn("(linux/s390x) does not match the detected host platform (linux/amd64", done.stderr)
        self.w.ok("rm", done.stdout.strip())

    def refuse_platform(self, data: bytes):
        done = self.w.try_run("load", "--platform", "linux/riscv64", input=data, text=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"riscv64", done.stderr)
        self.assertIn(b"s390x", done.stderr)

    def test_a_terminal_is_not_read(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        done = subprocess.run(self.w.command("load"), stdin=follower, capture_output=True, text=True,
                              env=self.w.environment())
        self.assert_fails(done, 1, "requested load from stdin, but stdin is empty")


class Hostile(ArchiveTest):
    def docker(self) -> archives.Archive:
        return archives.docker_archive([BASE, TOP], ["loaded:1"])

    def oci(self) -> archives.Archive:
        return archives.oci_layout([BASE, TOP], NAME)

    def test_what_is_no_archive(self):
        self.refuse(b"no tar at all, just words\n" * 100, "cannot load")
        self.refuse(b"", "cannot load")
        self.refuse(BASE, "no image archive", "import")

    def test_cut_archives(self):
        data = self.docker().bytes()
        for length in (700, len(data) // 2):
            self.refuse(data[:length], "cannot load")
        packed = archives.compressed(self.oci().bytes(), "gzip")
        self.refuse(packed[:len(packed) // 2], "cannot load")

    def test_missing_parts_are_named(self):
        archive = self.oci()
        for name in [name for name, _ in archive.entries if name.startswith("blobs/")]:
            self.refuse(self.oci().without(name).bytes(), name, "is missing")
        layer = next(name for name, _ in self.docker().entries if name.endswith("layer.tar"))
        self.refuse(self.docker().without(layer).bytes(), layer, "is missing")

    def test_wrong_digests_are_named(self):
        archive = self.oci()
        for name in [name for name, _ in archive.entries if name.startswith("blobs/")]:
            content = dict(archive.entries)[name]
            wrong = content[:-1] + bytes([content[-1] ^ 1])
            self.refuse(self.oci().replace(name, wrong).bytes(), "cannot load")
        layer = next(name for name, _ in self.docker().entries if name.endswith("layer.tar"))
        self.refuse(self.docker().replace(layer, TOP).bytes(), layer, archives.digest_of(BASE))

    def test_a_layer_that_is_another_gzip_of_the_same_tar(self):
        archive = self.oci()
        descriptor = "blobs/sha256/" + archives.digest_of(archives.compressed(BASE, "gzip"))[7:]
        other = subprocess.run(["gzip", "-9", "-c"], input=BASE, stdout=subprocess.PIPE, check=True).stdout
        self.assertNotEqual(other, dict(archive.entries)[descriptor])
        self.refuse(archive.replace(descriptor, other).bytes(), descriptor, archives.digest_of(other))

    def test_paths_out_of_the_archive(self):
        for path in ("../../etc/passwd", "/etc/passwd", "a/../../b"):
            document = json.dumps([{"Config": path, "RepoTags": ["loaded:1"], "Layers": []}])
            self.refuse(self.docker().replace("manifest.json", document).bytes(), path, "out of the archive")
        self.refuse(self.docker().add("../escaped", "x").bytes(), "cannot load")
        self.assertFalse((self.w.root / "escaped").exists())
        name = json.loads(dict(self.docker().entries)["manifest.json"])[0]["Config"]
        self.refuse(self.docker().replace(name, ("link", "/etc/passwd")).bytes(), name, "cannot load")
        self.refuse(self.docker().replace(name, ("link", "../../../../state.db")).bytes(), name)

    def test_a_file_under_one_name_twice(self):
        for name in ("manifest.json", "index.json"):
            archive = self.docker() if name == "manifest.json" else self.oci()
            self.refuse(archive.add(name, dict(archive.entries)[name]).bytes(), "replace earlier ones")

    def test_documents_that_are_two_things(self):
        archive = archives.Archive()
        manifest = archives.layout_manifest(archive, [BASE], "gzip")
        text = json.loads(dict(archive.entries)["blobs/sha256/" + manifest["digest"][7:]])
        both = archive.blob(json.dumps({**text, "manifests": []}).encode())
        data = archives.layout([archives.named({"mediaType": archives.MANIFEST, **both}, NAME)], archive)
        self.refuse(data.bytes(), "manifests")

    def test_a_huge_manifest_is_not_read(self):
        for name in ("manifest.json", "index.json"):
            archive = self.docker() if name == "manifest.json" else self.oci()
            data = archives.compressed(archive.replace(name, b" " * (64 << 20)).bytes(), "gzip")
            self.refuse(data, name, "at most 4 mib")

    def test_nonsense_in_documents(self):
        cases = [("[]", "no images"), ("{}", "list"), ("[[", "json"), ("[" * 5000, "manifest.json"), ("[1]", "objects"),
                 ('[{"Config":1}]', "config"), ('[{"Config":"a","RepoTags":["UPPER!"],"Layers":[]}]', "RepoTags")]
        for text, words in cases:
            with self.subTest(text=text[:40]):
                self.refuse(self.docker().replace("manifest.json", text).bytes(), "cannot load", words)
        self.refuse(self.oci().replace("oci-layout", '{"imageLayoutVersion":"2.0"}').bytes(), "2.0", "supported")
        self.refuse(self.oci().replace("index.json", '{"schemaVersion":2,"manifests":[]}').bytes(), "no image")

    def test_more_layers_than_the_configuration_has(self):
        archive = self.docker()
        document = json.loads(dict(archive.entries)["manifest.json"])
        document[0]["Layers"].append(document[0]["Layers"][0])
        self.refuse(archive.replace("manifest.json", json.dumps(document)).bytes(), "3 layers")

    def test_a_bad_second_image_keeps_the_first_out(self):
        archive = self.docker()
        document = json.loads(dict(archive.entries)["manifest.json"])
        document.append({"Config": "none.json", "RepoTags": ["second:1"], "Layers": []})
        self.refuse(archive.replace("manifest.json", json.dumps(document)).bytes(), "none.json", "missing")


class Save(ArchiveTest):
    def saved(self, *names: str) -> dict[str, bytes]:
        done = self.w.try_run("save", *names, text=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return archives.read(done.stdout)

    def test_the_archive_is_a_layout_and_a_docker_archive(self):
        files = self.saved(IMAGE)
        self.assertEqual(json.loads(files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        for name, content in files.items():
            if name.startswith("blobs/sha256/"):
                self.assertEqual("sha256:" + name[13:], archives.digest_of(content))
        [image] = json.loads(files["manifest.json"])
        self.assertEqual(image["RepoTags"], [IMAGE])
        self.assertEqual(archives.digest_of(files[image["Config"]]), self.w.inspect(IMAGE)["Id"])
        [descriptor] = json.loads(files["index.json"])["manifests"]
        self.assertEqual(descriptor["annotations"],
                         {"io.containerd.image.name": "docker.io/library/busybox:test",
                          "org.opencontainers.image.ref.name": "test"})
        manifest = json.loads(files["blobs/sha256/" + descriptor["digest"][7:]])
        self.assertEqual(["blobs/sha256/" + layer["digest"][7:] for layer in manifest["layers"]],
                         image["Layers"])

    def test_what_is_saved_loads_and_runs(self):
        file = self.scratch("saved") / "image.tar"
        identity = self.w.inspect(IMAGE)["Id"]
        self.assertEqual(self.w.ok("save", "-o", file, IMAGE), "")
        other = self.enterContext(contextlib.closing(Wherry()))
        self.assertEqual(other.ok("load", "-i", file), f"Loaded image: {IMAGE}\n")
        self.assertEqual(other.inspect(IMAGE)["Id"], identity)
        self.assertEqual(images.wrong_files(other.layer_paths(IMAGE)[0], images.busybox_tar()), [])
        self.assertEqual(other.ok("run", "--rm", "--network", "none", IMAGE, "echo", "hi"), "hi\n")
        again = file.with_name("again.tar")
        other.ok("save", "-o", again, IMAGE)
        self.assertEqual(file.read_bytes(), again.read_bytes(), "the same image gives the same bytes")

    def test_several_images_share_their_layers(self):
        self.load(archives.docker_archive([BASE], ["loaded:base"]).bytes())
        self.load(archives.docker_archive([BASE, TOP], ["loaded:1", "loaded:2"]).bytes())
        for names in (["loaded"], ["loaded:base", "loaded:1", "loaded:2", "loaded:1"]):
            with self.subTest(names=names):
                files = self.saved(*names)
                found = {tag for image in json.loads(files["manifest.json"]) for tag in image["RepoTags"]}
                self.assertEqual(found, {"loaded:base", "loaded:1", "loaded:2"})
                self.assertEqual(len([name for name in files if name.startswith("blobs/")]), 2 + 2 + 2)

    def test_by_id_it_has_no_name(self):
        identity = self.w.inspect(IMAGE)["Id"]
        [image] = json.loads(self.saved(identity[7:19])["manifest.json"])
        self.assertIsNone(image["RepoTags"])

    def test_what_cannot_be_saved_leaves_no_file(self):
        folder = self.scratch("none")
        file = folder / "a.tar"
        self.assert_fails(self.w.try_run("save", "-o", file, "nothing:here"), 1, "no such image: nothing:here")
        self.assertEqual(os.listdir(folder), [])
        file.write_text("old")
        self.assert_fails(self.w.try_run("save", "-o", file, IMAGE, "nothing:here"), 1, "no such image")
        self.assertEqual(file.read_text(), "old")
        self.assert_fails(self.w.try_run("save", "-o", folder / "none" / "a.tar", IMAGE), 1,
                          "does not exist")
        self.assert_fails(self.w.try_run("save", "-o", "/dev/null", IMAGE), 1, "not a regular file")
        self.w.ok("save", "-o", file, IMAGE)
        self.assertEqual(os.listdir(folder), ["a.tar"])

    def test_a_terminal_is_not_written_to(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        done = subprocess.run(self.w.command("save", IMAGE), stdout=follower, stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, env=self.w.environment())
        self.assert_fails(done, 1, "cowardly refusing to save to a terminal. Use the -o flag or redirect")

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(self.w.command("save", IMAGE), stdout=full, stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, env=self.w.environment())
        self.assert_fails(done, 1, "cannot save", os.strerror(errno.ENOSPC))


class LoadFaults(FaultTest):
    def names(self) -> str:
        return self.w.ok("images", "-q", "--no-trunc", "loaded")

    def tidy(self):
        for image in set(self.w.ok("images", "-q", "--no-trunc").split()):
            if image not in self.kept:
                self.w.ok("rmi", "-f", image)
        self.assertEqual(self.layer_names(), self.layers_at_rest)
        self.assertEqual(set(os.listdir(self.w.root / "blobs" / "sha256")), self.blobs)
        self.to_rest()

    def test_load_at_every_failpoint(self):
        self.kept = self.w.ok("images", "-q", "--no-trunc").split()
        self.blobs = set(os.listdir(self.w.root / "blobs" / "sha256"))
        file = self.scratch("load") / "a.tar"
        file.write_bytes(archives.oci_layout([BASE, TOP], NAME).bytes())
        cases = []
        for program in ("wherry", "wherry-unpack"):
            points = dict.fromkeys(self.w.failpoint_hits(program, "load", "-i", file))
            cases += [(program, point, action) for point in points for action in ("kill", "enospc", "eio")]
            self.tidy()
        self.assertGreater(len(cases), 20)
        for program, point, action in cases if FULL else sample(cases, 30, "load"):
            with self.subTest(program=program, point=point, action=action):
                done = self.w.with_failpoint(point, action, "load", "-i", file, hit=1, program=program)
                self.after_a_fault()
                self.assert_explained(done, action, (1,))
                if done.returncode == 0:
                    self.assertNotEqual(self.names(), "")
                if self.names():
                    self.assertEqual(len(self.w.inspect("loaded:1")["RootFS"]["Layers"]), 2)
                self.assertEqual(self.w.ok("load", "-i", file), "Loaded image: loaded:1\n")
                self.tidy()

    def test_a_full_disk_leaves_nothing(self):
        with PowerCutDisk(self.scratch("full") / "disk", megabytes=24) as disk, \
                contextlib.closing(Wherry(disk=str(disk.path))) as small:
            noise = archives.layer_tar({"noise": os.urandom(20 << 20).hex()})
            done = small.try_run("load", input=archives.oci_layout([noise], NAME).bytes(), text=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(ERRNO_WORDS["enospc"], done.stderr.decode().lower())
            self.assertEqual((small.ok("images", "-q"), os.listdir(small.root / "layers"),
                              os.listdir(small.root / "incoming")), ("", [], []))


class Peers(ArchiveTest):
    """skopeo and podman read what we write, and we read what they write."""

    def peer(self, *words, timeout=300) -> subprocess.CompletedProcess:
        return subprocess.run(peers.command(self.folder, *words), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)

    def setUp(self):
        super().setUp()
        self.folder = self.scratch("peer")

    def ok(self, *words) -> str:
        done = self.peer(*words)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def test_skopeo_reads_our_archive_both_ways_and_the_reverse(self):
        self.w.ok("save", "-o", self.folder / "ours.tar", IMAGE)
        identity = self.w.inspect(IMAGE)["Id"]
        for source in ("docker-archive:/peer/ours.tar", "oci-archive:/peer/ours.tar:test"):
            with self.subTest(source=source):
                config = self.ok("skopeo", "inspect", "--config", "--raw", source)
                self.assertEqual(archives.digest_of(config.encode()), identity)
        for kind, name in (("docker-archive", "loaded:1"), ("oci-archive", "docker.io/library/loaded:1")):
            with self.subTest(kind=kind):
                self.ok("skopeo", "--insecure-policy", "copy", "docker-archive:/peer/ours.tar",
                        f"{kind}:/peer/{kind}.tar:{name}")
                self.assertEqual(self.w.ok("load", "-i", self.folder / f"{kind}.tar"), "Loaded image: loaded:1\n")
                self.assertEqual(self.w.inspect("loaded:1")["Id"], identity)
                self.w.ok("rmi", "loaded:1")
        # It is the same image: the layout's manifest and blob have come to stay.
        self.assertEqual(len(self.blobs() - self.blobs_at_rest), 1)
        self.blobs_at_rest = self.blobs()


    def test_docker_loads_our_archive_and_we_load_its(self):
        identity = self.w.inspect(IMAGE)["Id"]
        self.w.ok("save", "-o", self.folder / "ours.tar", IMAGE)
        with peers.Dockerd(self.folder, options=["--bridge=none", "--iptables=false"]) as docker:
            self.assertIn(f"Loaded image: {IMAGE}", docker.ok("load", "-i", "/peer/ours.tar"))
            self.assertEqual(docker.ok("inspect", "-f", "{{.Id}}", IMAGE).strip(), identity)
            docker.ok("tag", IMAGE, "loaded:1")
            docker.ok("save", "-o", "/peer/docker.tar", "loaded:1", IMAGE)
        self.assertEqual(sorted(self.w.ok("load", "-i", self.folder / "docker.tar").splitlines()),
                         [f"Loaded image: {IMAGE}", "Loaded image: loaded:1"])
        self.assertEqual(self.w.inspect("loaded:1")["Id"], identity)
        self.w.ok("rmi", "loaded:1")

    def test_podman_loads_our_archive_and_we_load_its(self):
        self.w.ok("save", "-o", self.folder / "ours.tar", IMAGE)
        podman = "podman --root /peer/podman --runroot /run/podman --storage-driver vfs"
        self.assertIn(IMAGE, self.ok("sh", "-c", f"""
            {podman} load -q -i /peer/ours.tar
            {podman} tag {IMAGE} docker.io/library/loaded:1
            {podman} save -q -o /peer/podman.tar docker.io/library/loaded:1"""))
        self.assertEqual(self.w.ok("load", "-i", self.folder / "podman.tar"), "Loaded image: loaded:1\n")
        self.assertEqual(self.w.inspect("loaded:1")["RootFS"], self.w.inspect(IMAGE)["RootFS"])
        self.w.ok("rmi", "loaded:1")


class Sizes(ArchiveTest):
    def row(self, name: str, template: str) -> str:
        return self.w.ok("images", "--format", template, name).strip()

    def test_images_tell_their_own_size_and_that_with_everything_below(self):
        self.load(archives.docker_archive([BASE], ["loaded:base"]).bytes())
        self.assertNotIn("virtual", self.w.ok("images", "loaded:base"))
        self.load(archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes())
        self.assertIn("4B (virtual 14B)", self.w.ok("images", "loaded:1"))
        self.assertEqual(self.row("loaded:1", "{{.Size}} {{.UniqueSize}} {{.SharedSize}}"), "14B 4B 10B")
        self.assertEqual(self.row("loaded:base", "{{.Size}} {{.UniqueSize}}"), "10B 0B")
        self.assertRegex(self.w.ok("images", "loaded:base"), r" 10B *\n", "its own, whoever stands on it")
        steps = self.w.ok("history", "--format", "{{.CreatedBy}} {{.Size}}", "loaded:1").splitlines()
        self.assertEqual(steps, ["layer 1 4B", "layer 0 10B"])

    def test_inspect_tells_layers_and_no_digest_of_what_no_registry_knows(self):
        self.load(archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes())
        document = self.w.inspect("loaded:1")
        self.assertEqual(document["RootFS"]["Layers"], [archives.digest_of(BASE), archives.digest_of(TOP)])
        self.assertEqual(document["RepoDigests"], [])
        self.assertEqual(self.row("loaded:1", "{{.Digest}}"), "<none>")


class Prune(ArchiveTest):
    def setUp(self):
        super().setUp()
        self.load(archives.docker_archive([BASE], ["loaded:1"]).bytes())
        self.base = archives.digest_of(archives.config([BASE]))
        self.load(archives.docker_archive([BASE, TOP], ["loaded:1"]).bytes())
        self.top = archives.digest_of(archives.config([BASE, TOP]))

    def ids(self) -> set[str]:
        return set(self.w.ok("images", "-q", "--no-trunc").split())

    def test_images_without_a_name_go(self):
        done = self.w.ok("image", "prune", "-f")
        self.assertEqual(done, f"Deleted Images:\ndeleted: {self.base}\n\nTotal reclaimed space: 0B\n")
        self.assertNotIn(self.base, self.ids())
        self.assertIn(self.top, self.ids())
        self.assertEqual(self.w.ok("image", "prune", "-f"), "Total reclaimed space: 0B\n")

    def test_all_that_no_container_uses_go(self):
        container = self.w.ok("create", "--network", "none", IMAGE, "true").strip()
        done = self.w.ok("image", "prune", "-a", "-f")
        self.assertIn("untagged: loaded:1\n", done)
        self.assertIn(f"deleted: {self.top}\n", done)
        self.assertIn(f"deleted: {archives.digest_of(TOP)}\n", done)
        self.assertRegex(done, r"Total reclaimed space: [1-9]\d*B\n$")
        self.assertEqual(self.ids(), {self.w.inspect(IMAGE)["Id"]})
        self.w.ok("rm", container)

    def test_filters(self):
        for keeps in ("until=2024-05-06T07:08:09Z", "until=2020-01-01", "label=none"):
            self.assertEqual(self.w.ok("image", "prune", "-f", "--filter", keeps), "Total reclaimed space: 0B\n")
        self.assert_fails(self.w.try_run("image", "prune", "-f", "--filter", "unknown=1"), 1, "unknown")
        self.assert_fails(self.w.try_run("image", "prune", "-f", "--filter", "until=soon"), 1, "until", "soon")
        self.assertIn(self.base, self.w.ok("image", "prune", "-f", "--filter", "until=1h", "--filter", "label!=none"))

    def test_it_asks(self):
        done = self.w.try_run("image", "prune", input="n\n")
        self.assert_fails(done, 1, "image prune has been cancelled")
        self.assertIn("WARNING! This will remove all dangling images.", done.stdout)
        self.assertIn(self.base, self.ids())
