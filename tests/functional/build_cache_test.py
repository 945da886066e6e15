"""wherry build: what a cached step is known by. The rows are those that Docker's builders differ in."""
import os
import shutil

from base import IMAGE
from builds import FROM, BuildTest

HIT, MISS = "CACHED", "DONE"


class Selections(BuildTest):
    """Whether COPY d/ hits after a change of the context."""

    DOCKERFILE = "FROM scratch\nCOPY d/ /d/\n"

    def setUp(self):
        super().setUp()
        self.write({"d/f": "first", "d/g": "other", "d/sub/h": "deep"})
        self.build(self.DOCKERFILE)
        self.file = self.context / "d/f"

    def after(self, expected: str, dockerfile: str | None = None):
        self.assertEqual(self.build(dockerfile).steps, [expected])

    def test_no_change_hits_and_is_the_same_image(self):
        before = self.w.inspect("built")
        self.after(HIT)
        self.assertEqual(self.w.inspect("built"), before)

    def test_times_do_not_count(self):
        self.age(self.file)
        self.age(self.context / "d/sub")
        self.after(HIT)

    def test_host_owners_do_not_count(self):
        os.chown(self.file, 1000, 1000)
        self.after(HIT)

    def test_a_new_inode_with_the_same_content_hits(self):
        content = self.file.read_bytes()
        self.file.unlink()
        self.file.write_bytes(content)
        self.after(HIT)

    def test_the_mode_of_a_file_counts(self):
        self.file.chmod(0o755)
        self.after(MISS)

    def test_the_mode_of_a_directory_counts(self):
        (self.context / "d/sub").chmod(0o700)
        self.after(MISS)

    def test_extended_attributes_count(self):
        os.setxattr(self.file, "user.a", b"1")
        self.after(MISS)

    def test_other_data_of_the_same_size_and_time_counts(self):
        before = self.file.stat()
        self.file.write_text("FIRST")
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.after(MISS)
        top = self.layer_paths()[-1]
        self.assertEqual((top / "d/f").read_text(), "FIRST")

    def test_names_and_empty_directories_count(self):
        (self.context / "d/f").rename(self.context / "d/renamed")
        self.after(MISS)
        (self.context / "d/empty").mkdir()
        self.after(MISS)

    def test_ignored_files_do_not_count(self):
        self.write({".dockerignore": "d/g\n"})
        self.after(MISS)
        self.write({"d/g": "changed"})
        self.after(HIT)

    def test_the_name_of_the_source_directory_does_not_count(self):
        (self.context / "d").rename(self.context / "e")
        self.after(HIT, "FROM scratch\nCOPY e/ /d/\n")

    def test_going_back_hits(self):
        self.write({"d/f": "second"})
        self.after(MISS)
        self.write({"d/f": "first"})
        self.after(HIT)


class Steps(BuildTest):
    def steps(self, before: str, after: str, *flags, first: tuple = ()) -> list[str]:
        self.build(before, *first)
        return self.build(after, *flags).steps

    def test_everything_hits_the_second_time(self):
        dockerfile = FROM + "WORKDIR /w\nCOPY a /a\nRUN date > /d\nENV A=1\nRUN cat /a\nLABEL x=y\n"
        self.write({"a": "1"})
        self.build(dockerfile)
        before = self.w.inspect("built")
        built = self.build(dockerfile)
        self.assertEqual(built.steps, [HIT] * 4)
        self.assertEqual(self.w.inspect("built"), before)

    def test_blanks_comments_and_case_do_not_count(self):
        self.assertEqual(self.steps(FROM + "RUN echo a\n", FROM + "# comment\nrun    echo a\n"), [HIT])

    def test_metadata_above_does_not_count(self):
        self.assertEqual(self.steps(FROM + "LABEL a=1\nCMD x\nRUN echo a\n",
                                    FROM + "LABEL a=2\nCMD y\nEXPOSE 1\nRUN echo a\n"), [HIT])

    def test_the_environment_counts_for_run_and_not_for_copy(self):
        self.write({"f": "1"})
        step = "COPY f /f\nRUN true\n"
        self.assertEqual(self.steps(FROM + "ENV A=1\n" + step, FROM + "ENV A=2\n" + step), [HIT, MISS])

    def test_a_declared_argument_counts_used_or_not(self):
        dockerfile = FROM + "RUN echo before\nARG V\nRUN echo after\n"
        self.assertEqual(self.steps(dockerfile, dockerfile, "--build-arg", "V=2", first=("--build-arg", "V=1")),
                         [HIT, MISS])

    def test_an_undeclared_argument_and_a_proxy_do_not_count(self):
        dockerfile = FROM + "RUN echo p=$HTTP_PROXY\n"
        self.assertEqual(self.steps(dockerfile, dockerfile, "--build-arg", "HTTP_PROXY=http://two", "--build-arg", "NONE=1",
                                    first=("--build-arg", "HTTP_PROXY=http://one")), [HIT])

    def test_user_directory_shell_and_network_count(self):
        self.build(FROM + "RUN true\n")
        for line in ("USER web", "SHELL [\"/bin/sh\", \"-ec\"]"):
            self.assertEqual(self.build(FROM + line + "\nRUN true\n").steps, [MISS], line)
        self.assertEqual(self.build(FROM + "RUN --network=none true\n").steps, [MISS])
        self.assertEqual(self.build(FROM + "WORKDIR /tmp\nRUN true\n").steps[-1], MISS)

    def test_a_changed_step_reruns_what_stands_on_its_result(self):
        self.build(FROM + "RUN echo a > /x\nRUN echo b > /y\n")
        self.assertEqual(self.build(FROM + "RUN echo c > /x\nRUN echo b > /y\n").steps, [MISS, MISS])

    def test_an_equal_result_by_another_way_hits(self):
        one = FROM + "RUN touch -d @1 /x && touch -d @1 /\nRUN echo b > /y\n"
        self.build(one)
        self.assertEqual(self.build(one.replace("touch -d @1 /x &&", "touch -d @1   /x; true &&")).steps, [MISS, HIT])

    def test_a_lookup_that_comes_late_ends_the_step(self):
        """The digest of a large layer is not known when the step above it begins."""
        one = FROM + "RUN head -c 150000000 /dev/zero > /big; touch -d @1 /big /\nRUN sleep 2; echo x > /x\n"
        self.build(one)
        self.assertEqual(self.build(one.replace("head", "true; head")).steps, [MISS, HIT])
        self.assertEqual(self.inside("cat /x"), "x\n")
        self.w.ok("rmi", "built")
        self.w.ok("builder", "prune", "-a", "-f")

    def test_the_same_command_twice_is_two_steps(self):
        built = self.build(FROM + "RUN true\nRUN true\n")
        self.assertEqual(built.steps, [MISS, MISS])
        self.assertEqual(self.build(None).steps, [HIT, HIT])

    def test_a_base_by_another_name_hits(self):
        self.w.ok("tag", IMAGE, "othername:1")
        self.assertEqual(self.steps(FROM + "RUN echo a\n", "FROM othername:1\nRUN echo a\n"), [HIT])
        self.w.ok("rmi", "othername:1")

    def test_a_stage_that_was_rebuilt_to_the_same_file_hits(self):
        dockerfile = FROM + "RUN echo {} > /dev/null; echo same > /f; touch -d @1 /f\nFROM scratch\nCOPY --from=0 /f /f\n"
        self.build(dockerfile.format(1))
        self.assertEqual(self.build(dockerfile.format(2)).steps, [MISS, HIT])

    def test_no_cache_runs_everything_and_records_it(self):
        dockerfile = FROM + "RUN date +%N > /t\nRUN true\n"
        self.build(dockerfile)
        self.assertEqual(self.build(dockerfile, "--no-cache").steps, [MISS, MISS])
        second = self.w.inspect("built")["Id"]
        self.assertEqual(self.build(dockerfile).steps, [HIT, HIT])
        self.assertEqual(self.w.inspect("built")["RootFS"], self.w.inspect(second)["RootFS"])

    def test_records_outlive_their_image_and_a_damaged_layer_is_a_miss(self):
        dockerfile = FROM + "RUN echo x > /x\n"
        self.build(dockerfile)
        layer = self.w.inspect("built")["RootFS"]["Layers"][-1].removeprefix("sha256:")
        self.w.ok("rmi", "built")
        self.assertEqual(self.build(dockerfile).steps, [HIT])
        shutil.rmtree(self.w.root / "layers" / layer)
        self.assertEqual(self.build(dockerfile).steps, [MISS])
        self.assertEqual(self.inside("cat /x"), "x\n")

    def test_source_date_epoch_is_the_images_time(self):
        self.build(FROM + "ARG SOURCE_DATE_EPOCH\nENV A=1\n", "--build-arg", "SOURCE_DATE_EPOCH=1000")
        self.assertEqual(self.w.inspect("built")["Created"], "1970-01-01T00:16:40Z")

    def test_prune_gives_room_back_and_keeps_images(self):
        dockerfile = FROM + "RUN head -c 300000 /dev/zero > /x\n"
        self.build(dockerfile)
        self.w.ok("rmi", "built")
        self.build(FROM + "RUN echo kept > /y\n")
        self.assertIn("Are you sure", self.w.try_run("builder", "prune", input="n\n").stdout)
        self.assertIn("Total reclaimed space: 300kB", self.w.ok("builder", "prune", "-f"))
        self.assertEqual(self.inside("cat /y"), "kept\n")
        self.assertEqual(self.build(FROM + "RUN echo kept > /y\n").steps, [HIT])
        self.assertEqual(self.build(dockerfile, tag=None).steps, [MISS])
        self.assertIn("Total reclaimed space: 0B", self.w.ok("builder", "prune", "-f", "--filter", "until=1h"))
        self.w.ok("builder", "prune", "-a", "-f")
        self.assertEqual(self.build(FROM + "RUN echo kept > /y\n").steps, [MISS])

    def test_prune_knows_when_a_cache_mount_was_used(self):
        step = "RUN --mount=type=cache,target=/c echo {} >> /c/log; wc -l < /c/log\n"
        self.build(FROM + step.format(1))
        self.w.ok("builder", "prune", "-a", "-f", "--filter", "until=1h")
        self.assertEqual(self.build(FROM + step.format(2)).output("RUN"), ["2"])
        for lock in (self.w.root / "build" / "mounts").glob("*.lock"):
            self.age(lock)
        # Used again, if only by a step that reads nothing in it.
        self.build(FROM + "RUN --mount=type=cache,target=/c true\n")
        self.w.ok("builder", "prune", "-a", "-f", "--filter", "until=1h")
        self.assertEqual(self.build(FROM + step.format(3)).output("RUN"), ["3"])
        for lock in (self.w.root / "build" / "mounts").glob("*.lock"):
            self.age(lock)
        self.w.ok("builder", "prune", "-a", "-f", "--filter", "until=1h")
        self.assertEqual(self.build(FROM + step.format(4)).output("RUN"), ["1"])

    def test_a_cache_that_was_half_filled_by_a_killed_build_is_filled_again(self):
        dockerfile = FROM.replace("\n", " AS seed\n") + "RUN mkdir /s && echo first > /s/f\n" + FROM + \
            "RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/s cat /c/f\n"
        self.write({"Dockerfile": dockerfile})
        killed = self.w.with_failpoint("build.cache.filled", "kill", "build", str(self.context))
        self.assertEqual(killed.returncode, -9)
        self.assertEqual(len([p for p in (self.w.root / "build/mounts").iterdir() if p.suffix == ".new"]), 1)
        self.w.ok("ps")
        self.assertEqual(self.build(dockerfile).output("RUN --mount"), ["first"])
        self.assertEqual([p for p in (self.w.root / "build/mounts").iterdir() if ".new" in p.name], [])
