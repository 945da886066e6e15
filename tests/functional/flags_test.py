"""Each flag of run, by what it does: variables, users, directories, entry points, names, pulling."""
import pathlib

from base import IMAGE, FunctionalTest
from harness import images


class Variables(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.w.ok("import", "-c", "ENV A=image B=image C=image PATH=/bin:/p", images.busybox_tar(), "env:test")

    def env(self, *options, image="env:test", **settings) -> dict[str, str]:
        out = self.w.ok("run", "--rm", "--network", "none", *options, image, "env", **settings)
        return dict(line.split("=", 1) for line in out.splitlines())

    def file(self, text: str) -> pathlib.Path:
        path = self.scratch("env") / "file"
        path.write_text(text)
        return path

    def test_image_then_file_then_flag(self):
        found = self.env("--env-file", self.file("B=file\nC=file\n"), "-e", "C=flag")
        self.assertEqual((found["A"], found["B"], found["C"], found["PATH"]), ("image", "file", "flag", "/bin:/p"))

    def test_a_file_is_taken_literally(self):
        found = self.env("--env-file", self.file("# comment\n\n  X=1\nQ=\"quoted\" 'too'\nE=\nEQ=a=b\nHASH=a # b\n"
                                                 "COPIED\nABSENT\n"), env={"COPIED": "ours"})
        self.assertEqual({key: found.get(key) for key in ("X", "Q", "E", "EQ", "HASH", "COPIED", "ABSENT")},
                         {"X": "1", "Q": "\"quoted\" 'too'", "E": "", "EQ": "a=b", "HASH": "a # b",
                          "COPIED": "ours", "ABSENT": None})

    def test_values_may_be_empty_long_or_of_several_lines(self):
        out = self.output("sh", "-c", 'printf "%s|%s|%s" "$E" "${#L}" "$M"',
                          options=["-e", "E=", "-e", "L=" + "x" * 100000, "-e", "M=one\ntwo"])
        self.assertEqual(out, "|100000|one\ntwo")

    def test_a_bad_file_is_named_with_its_line(self):
        done = self.run_image("true", options=["--env-file", self.file("A=1\nB AD=2\n")])
        self.assert_fails(done, 125, "B AD")
        self.assert_fails(self.run_image("true", options=["--env-file", "/no/such/file"]), 125, "/no/such/file")
        self.assert_fails(self.run_image("true", options=["-e", "=x"]), 125, "=x")

    def test_hostname_and_home_are_set_and_may_be_replaced(self):
        found = self.env("-h", "box", "-u", "web")
        self.assertEqual((found["HOSTNAME"], found["HOME"]), ("box", "/home/web"))
        self.assertEqual(self.env("-e", "HOME=/x", "-e", "PATH=/bin")["HOME"], "/x")


class Users(FunctionalTest):
    def ids(self, user: str) -> str:
        return self.output("id", options=["--network", "none", "-u", user]).strip()

    def test_names_numbers_and_groups(self):
        for user, expected in (("web", "uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)"),
                               ("1000", "uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)"),
                               ("web:extra", "uid=1000(web) gid=2000(extra) groups=2000(extra)"),
                               ("web:0", "uid=1000(web) gid=0(root) groups=0(root)"),
                               ("4321", "uid=4321 gid=0(root) groups=0(root)"),
                               ("4321:8765", "uid=4321 gid=8765 groups=8765"),
                               ("nobody", "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"),
                               ("root", "uid=0(root) gid=0(root) groups=0(root)")):
            with self.subTest(user):
                self.assertEqual(self.ids(user), expected)

    def test_unknown_ones_are_named(self):
        for user, word in (("ghost", "ghost"), ("web:ghosts", "ghosts"), ("-1", "-1"), ("99999999999", "99999999999")):
            with self.subTest(user):
                self.assert_fails(self.run_image("true", options=[f"--user={user}"]), 125, word)

    def test_an_image_s_user_is_used_and_may_be_replaced(self):
        self.w.ok("import", "-c", "USER web", images.busybox_tar(), "user:test")
        self.addCleanup(self.w.ok, "rmi", "-f", "user:test")
        self.assertEqual(self.w.ok("run", "--rm", "user:test", "id", "-un"), "web\n")
        self.assertEqual(self.w.ok("run", "--rm", "-u", "root", "user:test", "id", "-un"), "root\n")

    def test_a_user_may_write_only_where_it_may(self):
        script = "touch /tmp/x && echo tmp; touch /x || echo denied; touch /home/web/x && echo home"
        self.assertEqual(self.run_image("sh", "-c", script, options=["-u", "web"]).stdout, "tmp\ndenied\nhome\n")


class Directories(FunctionalTest):
    def test_a_missing_working_directory_is_made_for_root(self):
        out = self.output("sh", "-c", "pwd; stat -c '%U %a' .", options=["-w", "/new/deep/place", "-u", "web"])
        self.assertEqual(out, "/new/deep/place\nroot 755\n")

    def test_a_relative_one_is_below_the_image_s(self):
        self.w.ok("import", "-c", "WORKDIR /home/web", images.busybox_tar(), "dir:test")
        self.addCleanup(self.w.ok, "rmi", "-f", "dir:test")
        self.assertEqual(self.w.ok("run", "--rm", "dir:test", "pwd"), "/home/web\n")
        self.assertEqual(self.w.ok("run", "--rm", "-w", "/tmp", "dir:test", "pwd"), "/tmp\n")

    def test_relative_or_not_a_directory_is_refused(self):
        self.assert_fails(self.run_image("true", options=["-w", "relative"]), 125, "relative")
        self.assertNotEqual(self.run_image("true", options=["-w", "/etc/passwd"]).returncode, 0)


class EntryPoints(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.w.ok("import", "-c", 'ENTRYPOINT ["echo","entry"]', "-c", 'CMD ["from","image"]', images.busybox_tar(),
                 "entry:test")

    def run_entry(self, *words) -> str:
        return self.w.ok("run", "--rm", "--network", "none", *words)

    def test_the_image_s_are_joined_and_words_replace_its_command(self):
        self.assertEqual(self.run_entry("entry:test"), "entry from image\n")
        self.assertEqual(self.run_entry("entry:test", "mine"), "entry mine\n")

    def test_another_one_forgets_the_image_s_command(self):
        self.assertEqual(self.run_entry("--entrypoint", "echo", "entry:test"), "\n")
        self.assertEqual(self.run_entry("--entrypoint", "echo", "entry:test", "mine"), "mine\n")
        self.assertEqual(self.run_entry("--entrypoint", "/bin/sh", "entry:test", "-c", "echo shell"), "shell\n")

    def test_an_empty_one_takes_it_away(self):
        self.assertEqual(self.run_entry("--entrypoint", "", "entry:test", "echo", "bare"), "bare\n")
        self.assertEqual(self.run_entry("--entrypoint=", "entry:test", "echo", "bare"), "bare\n")
        self.assert_fails(self.w.try_run("run", "--rm", "--entrypoint", "", "entry:test"), 125, "no command")

    def test_words_after_the_image_are_never_flags_of_ours(self):
        self.assertEqual(self.run_entry("entry:test", "--rm", "-it", "--help", "--", "-e"),
                         "entry --rm -it --help -- -e\n")


class Names(FunctionalTest):
    def test_a_name_is_free_again_after_rm_and_after_a_run_with_rm(self):
        for _ in range(2):
            self.w.ok("run", "--rm", "--name", "again", IMAGE, "true")
            self.running("--name", "again")
            self.w.ok("rm", "-f", "again")

    def test_a_failed_run_with_rm_gives_its_name_back(self):
        self.assertEqual(self.w.try_run("run", "--rm", "--name", "again", IMAGE, "nonesuch").returncode, 127)
        self.output("true", options=["--name", "again"])

    def test_bad_names_and_hostnames_are_refused_by_name(self):
        for name in ("a/b", "/a/b", "-x", "a b", "ä", "."):
            with self.subTest(name):
                self.assert_fails(self.w.try_run("run", f"--name={name}", IMAGE, "true"), 125, name)
        self.assert_fails(self.w.try_run("run", "--rm", "-h", "x" * 65, IMAGE, "true"), 125, "x" * 65)
        self.assertEqual(self.w.ids(), [])

    def test_cidfile_takes_the_id_and_is_never_overwritten(self):
        file = self.scratch("cid") / "id"
        name = self.w.ok("run", "-d", "--cidfile", file, IMAGE, "true").strip()
        self.assertEqual(file.read_text(), name)
        self.assert_fails(self.w.try_run("run", "--cidfile", file, IMAGE, "true"), 125, str(file))
        self.assertEqual(file.read_text(), name)

    def test_labels_of_image_file_and_flag(self):
        self.w.ok("import", "-c", "LABEL a=image b=image", images.busybox_tar(), "label:test")
        self.addCleanup(self.w.ok, "rmi", "-f", "label:test")
        file = self.scratch("labels") / "file"
        file.write_text("# comment\nc=file\nd=file\n")
        name = self.w.ok("create", "-l", "b=flag", "--label-file", file, "-l", "d=x=y", "label:test", "true").strip()
        self.assertEqual(self.w.inspect(name)["Config"]["Labels"], {"a": "image", "b": "flag", "c": "file", "d": "x=y"})
        self.w.ok("rm", name)


class Pulling(FunctionalTest):
    def test_never_uses_what_is_there_and_refuses_what_is_not(self):
        self.output("true", options=["--pull", "never"])
        self.assert_fails(self.w.try_run("run", "--pull", "never", "nonesuch:x", "true"), 125, "nonesuch:x")

    def test_an_unknown_image_says_what_to_do(self):
        done = self.w.try_run("run", "nonesuch:x", "true")
        self.assert_fails(done, 125, "nonesuch:x")
        self.assertGreater(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(self.w.ids(), [])

    def test_a_bad_policy_and_a_bad_reference_are_refused_by_name(self):
        self.assert_fails(self.w.try_run("run", "--pull", "sometimes", IMAGE, "true"), 125, "sometimes")
        for name in ("UPPER", "a//b", "x:y:z", "@", "name@sha256:12"):
            with self.subTest(name):
                self.assert_fails(self.w.try_run("run", name, "true"), 125, name)


class Detached(FunctionalTest):
    def test_d_with_rm_removes_at_the_end(self):
        self.w.ok("run", "-d", "--rm", IMAGE, "true")
        self.w.wait_for(lambda: self.w.ids() == [])

    def test_flags_that_do_not_go_together_are_refused(self):
        self.assertNotEqual(self.w.try_run("run", "-d", "-a", "stdout", IMAGE, "true").returncode, 0)
        self.assertEqual(self.w.ids(), [])

    def test_a_missing_command_is_told_although_detached(self):
        self.assert_fails(self.w.try_run("run", "-d", "--rm", IMAGE, "nonesuch"), 127, "nonesuch")
        self.assertEqual(self.w.ids(), [])

    def test_i_holds_stdin_open_for_attach(self):
        name = self.w.detached("-i", IMAGE, "cat")
        done = self.w.try_run("attach", name, input="later\n")
        self.assertEqual((done.stdout, done.returncode), ("later\n", 0))
