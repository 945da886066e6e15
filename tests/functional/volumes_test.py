"""-v in all its forms."""
import pathlib
import shutil
import subprocess
import tarfile

from base import IMAGE, FunctionalTest
from harness import images


class Binds(FunctionalTest):
    def test_a_relative_source_is_below_the_caller_s_directory(self):
        folder = self.scratch("here")
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("found\n")
        for source in ("./sub", "."):
            with self.subTest(source):
                path = "/m/file" if source == "./sub" else "/m/sub/file"
                done = self.w.try_run("run", "--rm", "-v", f"{source}:/m", IMAGE, "cat", path, cwd=folder)
                self.assertEqual((done.stdout, done.stderr), ("found\n", ""))

    def test_a_file_is_bound_over_a_file_or_a_new_one(self):
        file = self.scratch("file") / "conf"
        file.write_text("mine\n")
        self.assertEqual(self.output("cat", "/etc/passwd", options=["-v", f"{file}:/etc/passwd:ro"]), "mine\n")
        self.assertEqual(self.output("cat", "/new/conf", options=["-v", f"{file}:/new/conf"]), "mine\n")

    def test_a_missing_host_directory_is_made_and_a_missing_target_too(self):
        folder = self.scratch("made") / "a" / "b"
        self.output("touch", "/deep/er/x", options=["-v", f"{folder}:/deep/er"])
        self.assertTrue((folder / "x").exists())
        self.assertEqual(folder.stat().st_mode & 0o7777, 0o755)

    def test_read_only_is_so_for_mounts_below_too(self):
        folder = self.scratch("tree")
        (folder / "sub").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "sub", folder / "sub"], check=True)
        self.addCleanup(subprocess.run, ["umount", folder / "sub"], check=True)
        for path in ("/m/x", "/m/sub/x"):
            done = self.run_image("touch", path, options=["-v", f"{folder}:/m:ro"])
            self.assertIn("Read-only file system", done.stderr, path)
        self.output("touch", "/m/sub/x", options=["-v", f"{folder}:/m"])
        self.assertTrue((folder / "sub" / "x").exists())

    def test_other_options_are_taken_and_two_binds_nest_in_any_order(self):
        outer, inner = self.scratch("outer"), self.scratch("inner")
        (inner / "file").write_text("inner\n")
        for options in (["-v", f"{inner}:/m/in:rw,z", "-v", f"{outer}:/m:cached"],
                        ["-v", f"{outer}:/m:rprivate", "-v", f"{inner}:/m/in"]):
            self.assertEqual(self.output("cat", "/m/in/file", options=options), "inner\n")

    def test_a_link_in_the_container_does_not_lead_a_mount_outside(self):
        source, victim = self.scratch("source"), self.scratch("victim")
        (source / "file").write_text("inside\n")
        file = self.scratch("tar") / "root.tar"
        shutil.copy(images.busybox_tar(), file)
        with tarfile.open(file, "a") as tar:
            link = tarfile.TarInfo("door")
            link.type, link.linkname = tarfile.SYMTYPE, str(victim)
            tar.addfile(link)
            folder = tarfile.TarInfo(str(victim)[1:])
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        self.w.ok("import", file, "door:test")
        self.addCleanup(self.w.ok, "rmi", "-f", "door:test")
        self.assertEqual(self.w.ok("run", "--rm", "-v", f"{source}:/door/room", "door:test", "cat",
                                   f"{victim}/room/file"), "inside\n")
        self.assertEqual(list(victim.iterdir()), [], "the link is followed within the container's root")

    def test_a_run_that_may_not_be_makes_no_source(self):
        self.w.ok("create", "--name", "taken", IMAGE, "true")
        source = self.scratch("sources") / "new"
        self.assert_fails(self.w.try_run("run", "--name", "taken", "-v", f"{source}:/x", IMAGE, "true"), 125, "already in use")
        self.assertFalse(source.exists())

    def test_bad_ones_are_refused_by_name(self):
        file = self.scratch("file") / "plain"
        file.write_text("x")
        for text, word in (("/a:relative", "relative"), ("/a:/b:nonsense", "nonsense"), ("/a:/", "/a:/"),
                           ("/a:/b:ro:x", "/a:/b:ro:x"), ("na/me:/b", "na/me"), (":/b", ":/b"), ("/a:", "/a:"),
                           (f"{file}/below:/b", f"{file}/below"), ("/a:/b:ro,rw", "ro,rw"), ("", "''")):
            with self.subTest(text):
                self.assert_fails(self.run_image("true", options=["-v", text]), 125, word)
        self.assert_fails(self.run_image("true", options=["-v", "/tmp:/twice", "-v", "/var:/twice"]), 125, "/twice")
        self.assertFalse(pathlib.Path("/a").exists(), "a refused mount makes no directory")
        self.assertEqual(self.w.ids(), [])


class Named(FunctionalTest):
    def test_it_is_filled_from_the_image_once_with_owners_and_modes(self):
        out = self.output("stat", "-c", "%n %u %a", "/var/data", "/var/data/seed", options=["-v", "owned:/var/data"])
        self.assertEqual(out, "/var/data 1000 755\n/var/data/seed 1000 644\n")
        self.output("mv", "/var/data/seed", "/var/data/grown", options=["-v", "owned:/var/data"])
        self.assertEqual(self.output("ls", "/var/data", options=["-v", "owned:/var/data"]), "grown\n")

    def test_nocopy_leaves_it_empty_and_ro_refuses_writes(self):
        self.assertEqual(self.output("ls", "/var/data", options=["-v", "bare:/var/data:nocopy"]), "")
        done = self.run_image("touch", "/var/data/x", options=["-v", "bare:/var/data:ro"])
        self.assertIn("Read-only file system", done.stderr)

    def test_two_containers_share_it(self):
        name = self.running("-v", "shared:/one")
        self.output("sh", "-c", "echo hello > /two/file", options=["-v", "shared:/two"])
        self.assertEqual(self.w.ok("exec", name, "cat", "/one/file"), "hello\n")

    def test_inspect_shows_it(self):
        name = self.running("-v", "seen:/data:ro")
        mount = self.w.inspect(name)["Mounts"][0]
        self.assertEqual((mount["Type"], mount["Name"], mount["Destination"], mount["RW"]),
                         ("volume", "seen", "/data", False))


class Anonymous(FunctionalTest):
    def volumes(self) -> int:
        return len(list((self.w.root / "volumes").iterdir()))

    def test_it_is_filled_kept_over_restarts_and_removed_by_rm_v(self):
        before = self.volumes() if (self.w.root / "volumes").exists() else 0
        name = self.running("-v", "/var/data")
        self.assertEqual(self.volumes(), before + 1)
        self.w.ok("exec", name, "sh", "-c", "cat /var/data/seed; echo kept > /var/data/more")
        self.w.ok("restart", "-t", "0", name)
        self.assertEqual(self.w.ok("exec", name, "cat", "/var/data/more"), "kept\n")
        self.w.ok("rm", "-f", "-v", name)
        self.assertEqual(self.volumes(), before)

    def test_rm_without_v_keeps_it_and_run_with_rm_does_not(self):
        name = self.w.detached("-v", "/data", IMAGE, "true")
        self.w.ok("wait", name)
        before = self.volumes()
        self.w.ok("rm", name)
        self.assertEqual(self.volumes(), before)
        self.output("true", options=["-v", "/data"])
        self.assertEqual(self.volumes(), before)

    def test_rm_v_keeps_named_ones(self):
        name = self.w.detached("-v", "lasting:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
        self.w.ok("wait", name)
        self.w.ok("rm", "-v", name)
        self.assertEqual(self.output("cat", "/d/file", options=["-v", "lasting:/d"]), "kept\n")
