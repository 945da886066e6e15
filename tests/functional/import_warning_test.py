"""What an import says about what it could not keep."""
import io
import tarfile

from base import FunctionalTest


class Attributes(FunctionalTest):
    def archive(self, **headers) -> str:
        path = self.scratch("archive") / "root.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            entry = tarfile.TarInfo("file")
            entry.pax_headers = headers
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
        return str(path)

    def test_dropped_ones_are_counted_in_a_warning(self):
        done = self.w.try_run("import", self.archive(**{"SCHILY.xattr.trusted.overlay.opaque": "y"}), "with:attr")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("WARNING: 1 extended attribute of the archive dropped", done.stderr)

    def test_an_archive_without_any_is_imported_in_silence(self):
        done = self.w.try_run("import", self.archive(), "without:attr")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
