"""The exact tar comes back from recipe and objects, whoever made it."""
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import peers, unpack_helper

_GNU = ("v7", "oldgnu", "gnu", "ustar", "posix")


class TarAgain(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory(prefix="wherry-again-")
        self.addCleanup(work.cleanup)
        self.work = pathlib.Path(work.name)
        self.store = self.work / "store"
        self.store.mkdir()
        self.tree = self.work / "tree"
        self.count = 0
        self._grow()

    def _grow(self):
        self.tree.mkdir()
        (self.tree / "d").mkdir(mode=0o750)
        (self.tree / "d" / "file").write_bytes(os.urandom(70_000))
        (self.tree / "d" / "empty").touch()
        os.link(self.tree / "d" / "file", self.tree / "hard")
        os.symlink("d/file", self.tree / "soft")
        with open(self.tree / "sparse", "wb") as stream:
            for offset in (0, 1_000_000, 3_000_000):
                stream.seek(offset)
                stream.write(b"data" * 1024)
            stream.truncate(5_000_000)
        os.utime(self.tree / "d" / "empty", ns=(0, 1_234_567_890_123_456_789))

    def assert_comes_back(self, tar: bytes, *, sparse: bool = False):
        self.count += 1
        path, into = self.work / f"{self.count}.tar", self.work / f"in{self.count}"
        path.write_bytes(tar)
        report, _, entries = unpack_helper.objects(path, into, self.store)
        self.assertNotIn("error", report)
        unpack_helper.take_objects(into, self.store)
        rebuilt = unpack_helper.rebuild(into / "recipe", self.store)
        self.assertEqual(rebuilt.get("diff_id"), "sha256:" + hashlib.sha256(tar).hexdigest(), rebuilt)
        self.assertEqual(rebuilt["tar_size"], len(tar))
        by_path = {entry.path: entry for entry in entries}
        if sparse:
            whole = (self.tree / "sparse").read_bytes()
            self.assertEqual(by_path["sparse"].object, hashlib.sha256(whole).hexdigest())
        return by_path

    def gnu_tar(self, *options: str) -> bytes:
        return subprocess.run(["tar", "-C", str(self.tree), *options, "-cf", "-", "."], check=True,
                              stdout=subprocess.PIPE).stdout

    def test_gnu_tars_of_every_format(self):
        for kind in _GNU:
            with self.subTest(kind):
                entries = self.assert_comes_back(self.gnu_tar(f"--format={kind}"), sparse=True)
                self.assertEqual(entries["hard"].inode, entries["d/file"].inode)
                self.assertNotEqual(entries["hard"].inode, 0)

    def test_gnu_tars_with_long_names_and_large_numbers(self):
        long = self.tree / ("n" * 150)
        long.mkdir()
        (long / ("m" * 200)).write_text("x")
        os.symlink("t" * 300, self.tree / "long")
        for kind in ("oldgnu", "gnu", "posix"):
            with self.subTest(kind):
                entries = self.assert_comes_back(self.gnu_tar(f"--format={kind}", "--owner=:3000000", "--group=:4000000"))
                self.assertIn("n" * 150 + "/" + "m" * 200, entries)
                self.assertEqual(entries["long"].target, "t" * 300)
                self.assertEqual((entries["long"].uid, entries["long"].gid), (3_000_000, 4_000_000))

    def test_sparse_gnu_tars_of_every_version(self):
        for options in (["--format=gnu"], ["--format=oldgnu"], *[["--format=posix", f"--sparse-version={version}"]
                                                                for version in ("0.0", "0.1", "1.0")]):
            with self.subTest(options):
                tar = self.gnu_tar("--sparse", *options)
                self.assertLess(len(tar), 300_000)
                self.assert_comes_back(tar, sparse=True)

    def test_a_map_that_needs_more_headers(self):
        with open(self.tree / "sparse", "wb") as stream:
            for i in range(200):
                stream.seek(i * 65536)
                stream.write(b"x" * 4096)
        for options in (["--format=gnu"], ["--format=posix", "--sparse-version=1.0"]):
            self.assert_comes_back(self.gnu_tar("--sparse", *options), sparse=True)

    def test_times_and_attributes_of_posix_tars(self):
        os.setxattr(self.tree / "d" / "empty", "user.note", b"a\nb=c")
        entries = self.assert_comes_back(self.gnu_tar("--format=posix", "--xattrs"))
        self.assertEqual(entries["d/empty"].mtime, (1_234_567_890, 123_456_789))
        self.assertEqual(entries["d/empty"].xattrs, {"user.note": b"a\nb=c"})

    def test_layers_of_buildah(self):
        data = self.work / "peer"
        data.mkdir()
        shutil.copytree(self.tree, data / "tree", symlinks=True)
        script = """
            set -e
            buildah() { command buildah --storage-driver vfs --root /peer/root --runroot /run/b "$@"; }
            c=$(buildah from scratch)
            buildah copy -q $c /peer/tree /
            buildah commit -q --format docker $c dir:/peer/plain
            buildah commit -q --format oci $c oci:/peer/oci
        """
        done = subprocess.run(peers.command(data, "bash", "-c", script), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        blobs = [path.read_bytes() for path in [*(data / "plain").iterdir(), *(data / "oci/blobs/sha256").iterdir()]]
        blobs = [gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob for blob in blobs]
        layers = [blob for blob in blobs if blob[257:262] == b"ustar"]
        self.assertEqual(len(layers), 2)
        for layer in layers:
            entries = self.assert_comes_back(layer, sparse=True)
            self.assertEqual(entries["soft"].target, "d/file")


if __name__ == "__main__":
    unittest.main()
