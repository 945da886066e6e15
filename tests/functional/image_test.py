"""import, images, tag, rmi, history; what is acknowledged stays."""
import io
import os
import pathlib
import re
import subprocess
import tarfile

from base import IMAGE, FunctionalTest
from harness import images
from harness.powercut import PowerCutDisk
from harness.wherry import Wherry
from harness.invariants import ImageWitness


class Import(FunctionalTest):
    def imported(self, *args, **options) -> str:
        name = self.w.ok("import", *args, "made:test", **options).strip()
        self.addCleanup(self.w.ok, "rmi", "-f", "made:test")
        return name

    def test_it_prints_the_id(self):
        self.assertRegex(self.imported(images.busybox_tar()), r"^sha256:[0-9a-f]{64}$")

    def test_it_reads_stdin(self):
        with open(images.busybox_tar(), "rb") as file:
            done = subprocess.run(self.w.command("import", "-", "made:test"), stdin=file,
                                  capture_output=True, env=self.w.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.w.ok, "rmi", "-f", "made:test")
        self.assertEqual(self.w.ok("run", "--rm", "made:test", "echo", "hi"), "hi\n")

    def test_it_unpacks_every_compression(self):
        for command in (["gzip"], ["bzip2"], ["xz", "-0"], ["zstd", "-q"]):
            with self.subTest(command=command[0]):
                file = self.scratch(command[0]) / "root.tar.x"
                with open(images.busybox_tar(), "rb") as source, open(file, "wb") as target:
                    subprocess.run([*command, "-c"], stdin=source, stdout=target, check=True)
                self.w.ok("import", file, "made:test")
                self.assertEqual(self.w.ok("run", "--rm", "made:test", "echo", "hi"), "hi\n")
                self.w.ok("rmi", "-f", "made:test")

    def test_changes_become_the_configuration(self):
        self.imported("--change", "ENV A=b", "-c", 'CMD ["sh","-c","echo $A"]', "-c", "WORKDIR /tmp", "-c",
                      "USER web", "-m", "a message", images.busybox_tar())
        self.assertEqual(self.w.ok("run", "--rm", "made:test"), "b\n")
        self.assertEqual(self.w.ok("run", "--rm", "made:test", "sh", "-c", "id -un; pwd"), "web\n/tmp\n")
        self.assertIn("a message", self.w.ok("history", "made:test"))

    def test_an_unknown_change_is_refused_by_name(self):
        done = self.w.try_run("import", "--change", "RUN x", images.busybox_tar(), "made:test")
        self.assert_fails(done, 1, "RUN")

    def test_owners_modes_links_and_special_files_arrive(self):
        self.imported(images.busybox_tar())
        out = self.w.ok("run", "--rm", "made:test", "stat", "-c", "%n %a %u %F", "/tmp", "/root", "/home/web",
                        "/bin/sh")
        self.assertEqual(out.splitlines(), ["/tmp 1777 0 directory", "/root 700 0 directory",
                                            "/home/web 755 1000 directory", "/bin/sh 777 0 symbolic link"])

    def test_a_corrupt_tar_is_refused_and_leaves_nothing(self):
        good = images.busybox_tar().read_bytes()
        for name, data in (("cut short", good[:100000]), ("noise", os.urandom(70000)), ("empty", b"")):
            with self.subTest(name):
                file = self.scratch(name.replace(" ", "-")) / "bad.tar"
                file.write_bytes(data)
                done = self.w.try_run("import", file, "bad:test")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn("bad.tar", done.stderr)
                self.assertNotIn("bad", self.w.ok("images"))

    def test_names_that_leave_the_tree_do_not(self):
        file = self.scratch("evil") / "evil.tar"
        outside = self.scratch("victim") / "written"
        with tarfile.open(file, "w") as tar:
            for name in (f"../../../../../../../..{outside}", str(outside)):
                info = tarfile.TarInfo(name)
                info.size = 4
                tar.addfile(info, io.BytesIO(b"evil"))
        self.w.try_run("import", file, "evil:test")
        self.addCleanup(self.w.try_run, "rmi", "-f", "evil:test")
        self.assertFalse(outside.exists())

    def test_a_link_does_not_lead_outside(self):
        outside = self.scratch("victim")
        file = self.scratch("evil") / "evil.tar"
        with tarfile.open(file, "w") as tar:
            link = tarfile.TarInfo("door")
            link.type, link.linkname = tarfile.SYMTYPE, str(outside)
            tar.addfile(link)
            info = tarfile.TarInfo("door/written")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        self.w.try_run("import", file, "evil:test")
        self.addCleanup(self.w.try_run, "rmi", "-f", "evil:test")
        self.assertEqual(list(outside.iterdir()), [])

    def test_a_missing_file_is_named(self):
        self.assert_fails(self.w.try_run("import", "/no/such.tar", "x"), 1, "/no/such.tar")


class Names(FunctionalTest):
    def test_images_lists_docker_s_columns(self):
        header, row = self.w.ok("images").splitlines()
        self.assertEqual(re.split(r" {2,}", header.strip()), ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"])
        self.assertEqual(row.split()[:2], IMAGE.split(":"))

    def test_tag_and_rmi(self):
        self.w.ok("tag", IMAGE, "other/name:v1")
        self.assertIn("other/name", self.w.ok("images"))
        self.assertIn("Untagged: other/name:v1", self.w.ok("rmi", "other/name:v1"))
        self.assertNotIn("other/name", self.w.ok("images"))
        self.assertEqual(self.output("echo", "still there"), "still there\n")

    def test_rmi_refuses_an_image_in_use_and_names_the_container(self):
        name = self.running()
        identity = self.w.ok("images", "-q", "--no-trunc", IMAGE).strip()
        self.assert_fails(self.w.try_run("rmi", identity), 1, name[:12])

    def test_a_missing_image_is_named(self):
        self.assert_fails(self.w.try_run("rmi", "nonesuch"), 1, "nonesuch")
        self.assert_fails(self.w.try_run("tag", "nonesuch", "x"), 1, "nonesuch")
        self.assert_fails(self.w.try_run("tag", IMAGE, "UPPER CASE"), 1, "UPPER CASE")

    def test_history_shows_the_import(self):
        self.assertEqual(len(self.w.ok("history", "-q", IMAGE).split()), 1)


class Durability(FunctionalTest):
    needs_image = False

    def setUp(self):
        super().setUp()
        self.disk = PowerCutDisk(pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "power")
        self.disk.__enter__()
        self.addCleanup(self.disk.__exit__)
        self.w2 = Wherry(disk=str(self.disk.path))

    def test_an_acknowledged_import_survives_a_power_cut(self):
        self.w2.ok("import", images.busybox_tar(), IMAGE)
        witness = ImageWitness(self.w2, IMAGE)
        self.disk.cut()
        self.assertEqual(witness.check(), [])
        self.assertEqual(self.w2.ok("run", "--rm", "--network", "none", IMAGE, "echo", "alive"), "alive\n")

    def test_a_created_container_survives_a_power_cut(self):
        self.w2.ok("import", images.busybox_tar(), IMAGE)
        name = self.w2.detached("--network", "none", IMAGE, "true")
        self.w2.ok("wait", name)
        self.disk.cut()
        self.assertEqual(self.w2.ids(), [name])
        self.w2.ok("rm", "-f", name)
