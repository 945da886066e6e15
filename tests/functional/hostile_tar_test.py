"""Hostile layers against the confined unpacker: refused with words or taken, and nothing outside moves."""
import hashlib
import os
import pathlib
import tempfile
import unittest

from harness import hostile_tars, unpack_helper

_MEMORY = 64 << 10  # KiB over what an empty layer takes


class HostileTars(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory(prefix="wherry-hostile-")
        self.addCleanup(work.cleanup)
        self.work = pathlib.Path(work.name)
        self.outside = self.work / "outside"
        self.outside.mkdir()
        self.canary = self.outside / "canary"
        self.canary.write_text("untouched")
        os.chmod(self.canary, 0o600)

    def outside_state(self):
        return [(path.name, path.read_bytes(), path.lstat().st_mode, path.lstat().st_nlink, path.lstat().st_uid,
                 path.lstat().st_mtime_ns) for path in sorted(self.outside.iterdir())]

    def unpack(self, name: str, tar: bytes):
        path = self.work / f"{name}.tar"
        path.write_bytes(tar)
        result = unpack_helper.objects(path, self.work / name)
        path.unlink()
        return result

    def test_each_is_refused_with_words_or_gives_what_it_should(self):
        before = self.outside_state()
        _, least, _ = self.unpack("nothing", hostile_tars.END)
        cases = hostile_tars.cases(str(self.canary))
        self.assertGreaterEqual(len(cases), 60)
        for case in cases:
            with self.subTest(case.name, attack=case.attack):
                report, usage, entries = self.unpack(case.name, case.tar)
                self.assertLess(usage.ru_maxrss - least.ru_maxrss, _MEMORY)
                self.assertEqual(self.outside_state(), before)
                if case.words is not None:
                    self.assertIn("error", report)
                    message = report["error"]["message"]
                    self.assertTrue(any(words in message for words in case.words.split("|")), message)
                    continue
                self.assertNotIn("error", report)
                self.assertEqual(report["diff_id"], "sha256:" + hashlib.sha256(case.tar).hexdigest())
                paths = [entry.path for entry in entries]
                for attribute in (name for entry in entries for name in entry.xattrs):
                    self.assertFalse(attribute.startswith(("trusted.", "user.overlay.")), attribute)
                if case.paths is not None:
                    parents = {str(above) for path in case.paths for above in pathlib.PurePosixPath(path).parents}
                    self.assertLessEqual(set(case.paths), set(paths))
                    self.assertLessEqual(set(paths), set(case.paths) | parents)

    def test_a_cut_at_every_block_is_seen(self):
        tar = b"".join([hostile_tars.pax((b"mtime", b"1.5")), hostile_tars.entry(b"a", b"x" * 1300),
                        hostile_tars.gnu(b"n" * 200), hostile_tars.entry(b"f", b"y"),
                        hostile_tars.sparse_header(b"s", [(512, 3)], 2000, b"abc"), hostile_tars.END])
        for size in range(0, len(tar) - 512, 512):
            report, _, _ = self.unpack(f"cut{size}", tar[:size])
            self.assertIn("error", report, size)


if __name__ == "__main__":
    unittest.main()
