"""wherry build: what each instruction does to the image, and how a build speaks."""
import hashlib
import io
import os
import re
import socket
import tarfile

from base import IMAGE
from builds import FROM, Built, BuildTest, FileServer
from harness import images
from harness.archives import layer_tar
from harness.fake_registry import FakeRegistry
from terminal_test import Terminal
from transfer_base import IMPATIENT


class Instructions(BuildTest):
    def test_a_run_step_changes_the_image_and_nothing_else_of_it_stays(self):
        built = self.build(FROM + "RUN echo hello > /made && echo said\n")
        self.assertEqual(built.of("RUN"), "DONE")
        self.assertIn("said", built.output("RUN"))
        self.assertEqual(self.inside("cat /made"), "hello\n")
        top = self.layer_paths()[-1]
        self.assertEqual(sorted(str(path.relative_to(top)) for path in top.rglob("*")), ["made"])

    def test_mount_points_are_no_part_of_a_layer(self):
        self.write({"busybox": open("/bin/busybox", "rb").read()})
        (self.context / "busybox").chmod(0o755)
        self.build("FROM scratch\nCOPY busybox /bin/sh\nRUN echo > /made\n"
                   "RUN --mount=type=tmpfs,target=/deep/er true\n")
        self.assertEqual(len(self.layer_paths()), 2, "the last step changed nothing")
        top = self.layer_paths()[-1]
        self.assertEqual(sorted(str(path.relative_to(top)) for path in top.rglob("*")), ["made"])

    def test_a_change_beside_a_mount_point_stays(self):
        self.build(FROM + "RUN echo x > /etc/own && chmod 750 /etc\n")
        self.assertEqual(self.inside("cat /etc/own; stat -c %a /etc"), "x\n750\n")

    def test_metadata_instructions_reach_the_configuration(self):
        self.build(FROM + """
ENV A=1 B="two words" C=$A
ENV D=$A
LABEL team=blue
EXPOSE 80 53/udp
VOLUME /data
USER web
WORKDIR /srv/dir
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --retries=2 CMD true
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "id -un; pwd; echo $B"]
""")
        config = self.config()
        for variable in ("A=1", "B=two words", "C=", "D=1"):
            self.assertIn(variable, config["Env"])
        self.assertEqual(config["Labels"], {"team": "blue"})
        self.assertEqual(config["ExposedPorts"], {"80/tcp": {}, "53/udp": {}})
        self.assertEqual(config["Volumes"], {"/data": {}})
        self.assertEqual(config["User"], "web")
        self.assertEqual(config["WorkingDir"], "/srv/dir")
        self.assertEqual(self.w.ok("run", "--rm", "built"), "web\n/srv/dir\ntwo words\n")

    def test_steps_without_files_run_nothing(self):
        built = self.build(FROM + "ENV A=1\nLABEL b=c\nCMD [\"true\"]\n")
        self.assertEqual(built.steps, [])
        self.assertEqual(len(self.layer_paths()), 1)

    def test_shell_and_exec_form(self):
        built = self.build(FROM + 'RUN echo $0 $((1+1))\nRUN ["/bin/echo", "$HOME", "a  b"]\n')
        self.assertEqual(built.output("RUN echo"), ["/bin/sh 2"])
        self.assertEqual(built.output('RUN ["/bin/echo"'), ["$HOME a  b"])

    def test_run_sees_env_args_user_and_directory(self):
        built = self.build(FROM + "ARG V=default\nENV E=env\nUSER web\nWORKDIR /w\n"
                           "RUN echo $V $E $(id -un) $PWD $HOME\n", "--build-arg", "V=given")
        self.assertEqual(built.output("RUN echo"), ["given env web /w /home/web"])
        self.assertNotIn("V=given", self.config()["Env"])

    def test_workdir_is_made_and_belongs_to_the_user(self):
        self.build(FROM + "USER web\nWORKDIR /made/here\nUSER root\nWORKDIR sub\n")
        self.assertEqual(self.inside("stat -c '%U %a' /made/here /made/here/sub"), "web 755\nroot 755\n")

    def test_the_callers_umask_changes_nothing(self):
        self.write({"Dockerfile": FROM + "WORKDIR /a/b\nCOPY f /c/d/\nCOPY <<g /\ng\nRUN touch /h\n", "f": "1"})
        (self.context / "f").chmod(0o644)
        done = self.w.start("build", "-t", "built", str(self.context), preexec_fn=lambda: os.umask(0o077))
        self.assertEqual(done.wait(60), 0, done.communicate())
        done.communicate()
        self.assertEqual(self.inside("stat -c %a /a /a/b /c /c/d /c/d/f /g /h").split(),
                         ["755", "755", "755", "755", "644", "644", "644"])

    def test_a_working_directory_behind_a_link_of_the_image(self):
        self.build(FROM + "RUN mkdir /real && ln -s /real /link && ln -s /missing /dangling\nWORKDIR /link/new\n"
                   "WORKDIR /dangling/new\n")
        self.assertEqual(self.inside("ls -d /real/new /missing/new; readlink /link; readlink /dangling").split(),
                         ["/missing/new", "/real/new", "/real", "/missing"])
        self.assert_build_fails(self.try_build(FROM + "WORKDIR /etc/passwd/x\n"), "/etc/passwd", "not a directory")

    def test_copy_keeps_modes_and_changes_owners(self):
        self.write({"tree/a": "A", "tree/sub/b": "B"})
        (self.context / "tree/a").chmod(0o750)
        self.build(FROM + "COPY tree /t\nCOPY --chown=web:extra --chmod=600 tree/sub/b /one\n")
        self.assertEqual(self.inside("stat -c '%a %U' /t/a; cat /t/sub/b; stat -c '%a %U %G' /one"),
                         "750 root\nB600 web extra\n")

    def test_copy_into_the_working_directory(self):
        self.build(FROM + "WORKDIR /w\nCOPY a .\nCOPY a b sub/\nCOPY a renamed\n", files={"a": "1", "b": "2"})
        self.assertEqual(self.inside("find /w -type f | sort").split(),
                         ["/w/a", "/w/renamed", "/w/sub/a", "/w/sub/b"])

    def test_copy_replaces_what_a_lower_layer_has(self):
        self.build(FROM + "RUN mkdir /d && echo old > /d/f && echo stays > /d/g\nCOPY d /d\n", files={"d/f": "new"})
        self.assertEqual(self.inside("cat /d/f /d/g"), "newstays\n")

    def test_heredocs_of_run_and_copy(self):
        built = self.build(FROM + "RUN <<EOF\necho one\necho two\nEOF\n"
                           "COPY <<a <<b /files/\nfirst\na\nsecond\nb\n"
                           "RUN <<SCRIPT\n#!/bin/cat\ntext\nSCRIPT\n")
        self.assertEqual(built.output("RUN <<EOF"), ["one", "two"])
        self.assertEqual(built.output("RUN <<SCRIPT"), ["#!/bin/cat", "text"])
        self.assertEqual(self.inside("cat /files/a /files/b"), "first\nsecond\n")

    def test_add_unpacks_an_archive_and_copy_does_not(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            info = tarfile.TarInfo("inner/file")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"data"))
        self.build(FROM + "ADD a.tgz /added/\nCOPY a.tgz /copied/\n", files={"a.tgz": buffer.getvalue()})
        self.assertEqual(self.inside("cat /added/inner/file; ls /copied"), "dataa.tgz\n")

    def test_dockerignore_hides_files_and_one_beside_the_dockerfile_wins(self):
        files = {"a": "1", "b": "2", "sub/c": "3", ".dockerignore": "b\n*/c\n"}
        self.build(FROM + "COPY . /t/\n", files=files)
        self.assertNotIn("/t/b", self.inside("find /t"))
        self.assertNotIn("/t/sub/c", self.inside("find /t"))
        self.write({"other": FROM + "COPY . /t/\n", "other.dockerignore": "a\n"})
        self.build(None, "-f", str(self.context / "other"))
        self.assertIn("/t/b", self.inside("find /t"))
        self.assertNotIn("/t/a\n", self.inside("find /t"))

    def test_scratch_has_no_layers_but_its_own(self):
        self.build("FROM scratch\nCOPY a /\nCMD [\"/a\"]\n", files={"a": "x"})
        self.assertEqual(len(self.layer_paths()), 1)
        self.assertEqual([p.name for p in self.layer_paths()[0].iterdir()], ["a"])

    def test_arguments_before_from_and_defaults(self):
        dockerfile = f"ARG NAME=nothing\nFROM ${{NAME}}\nARG NAME\nRUN echo ${{NAME:-none}} ${{X:-y}}\n"
        built = self.build(dockerfile, "--build-arg", f"NAME={IMAGE}")
        self.assertEqual(built.output("RUN"), [f"{IMAGE} y"])

    def test_build_arguments_come_from_the_environment(self):
        built = self.build(FROM + "ARG FROM_OUTSIDE\nRUN echo got $FROM_OUTSIDE\n", "--build-arg", "FROM_OUTSIDE",
                           env={"FROM_OUTSIDE": "it"})
        self.assertEqual(built.output("RUN"), ["got it"])

    def test_onbuild_triggers_run_in_the_next_build(self):
        self.build(FROM + "ONBUILD RUN echo triggered > /t\nONBUILD ENV T=1\n", tag="parent")
        built = self.build("FROM parent\nRUN cat /t; echo $T\n")
        self.assertEqual(built.of("RUN echo triggered"), "DONE")
        self.assertEqual(built.output("RUN cat"), ["triggered", "1"])
        self.assertFalse(self.config().get("OnBuild"))

    def test_a_trigger_takes_files_from_a_stage_of_the_child(self):
        self.build(FROM + "ONBUILD COPY --from=made /f /taken\n", tag="parent")
        self.build(FROM.replace("\n", " AS made\n") + "RUN echo there > /f\nFROM parent\n")
        self.assertEqual(self.inside("cat /taken"), "there\n")

    def test_labels_of_the_command_line_come_last(self):
        self.build(FROM + "LABEL a=file b=file\n", "--label", "a=flag", "--label", "c")
        self.assertEqual(self.config()["Labels"], {"a": "flag", "b": "file", "c": ""})

    def test_network_none_and_host(self):
        built = self.build(FROM + "RUN --network=none ip -o link | wc -l\nRUN --network=host hostname\n")
        self.assertEqual(built.output("RUN --network=none"), ["1"])
        built = self.build(FROM + "RUN ip -o link | wc -l # flag\n", "--network", "none")
        self.assertEqual(built.output("RUN ip"), ["1"])

    def test_a_step_is_confined_as_a_container_is(self):
        inside = "grep -E 'Cap(Bnd|Eff)|Seccomp:|NoNewPrivs' /proc/self/status"
        built = self.build(FROM + f"RUN {inside}\n")
        container = self.w.ok("run", "--rm", IMAGE, "/bin/sh", "-c", inside).splitlines()
        self.assertEqual([re.sub(r"\s+", " ", line) for line in built.output("RUN")],
                         [re.sub(r"\s+", " ", line) for line in container])


class Stages(BuildTest):
    TWO = FROM + "RUN echo built > /artifact\nFROM {0} AS middle\nRUN echo unused\nFROM {0}\nCOPY --from=0 /artifact /got\n"

    def test_a_file_comes_from_an_earlier_stage(self):
        built = self.build(self.TWO.format(IMAGE))
        self.assertEqual(self.inside("cat /got; ls /artifact 2>&1 | wc -l"), "built\n1\n")
        self.assertNotIn("unused", built.err, "a stage that nothing needs is not built")

    def test_a_target_is_built_and_nothing_after_it(self):
        built = self.build(self.TWO.format(IMAGE), "--target", "middle")
        self.assertEqual(built.of("RUN echo unused"), "DONE")
        self.assertNotIn("COPY --from", built.err)

    def test_a_stage_begins_with_another(self):
        self.build(FROM.replace("\n", " AS base\n") + "ENV A=1\nRUN echo x > /x\nFROM base\nRUN cat /x > /y\n")
        self.assertEqual(self.inside("cat /y; echo $A"), "x\n1\n")

    def test_a_file_comes_from_an_image_with_its_owner(self):
        self.build(FROM + "RUN echo mine > /f && chown web:extra /f && chmod 640 /f\n", tag="source")
        self.build(FROM + "COPY --from=source /f /g\n")
        self.assertEqual(self.inside("stat -c '%U %G %a' /g"), "web extra 640\n")

    def test_a_misspelt_stage_is_an_image_that_is_not_there_and_the_stage_is_named(self):
        dockerfile = FROM.replace("\n", " AS builder\n") + "RUN true\n" + FROM + "COPY --from=buidler /x /\n"
        built = self.try_build(dockerfile, env=IMPATIENT)
        self.assert_build_fails(built, "docker.io/library/buidler", "Dockerfile:4", "did you mean builder?")

    def test_an_unknown_target_is_named(self):
        self.assert_build_fails(self.try_build(FROM, "--target", "nowhere"), "nowhere")


class Mounts(BuildTest):
    def test_a_bind_mount_shows_the_context_and_leaves_nothing(self):
        built = self.build(FROM + "RUN --mount=type=bind,target=/ctx cat /ctx/a && ! touch /ctx/b\n", files={"a": "A\n"})
        self.assertEqual(built.output("RUN")[0], "A")
        self.assertEqual(len(self.layer_paths()), 1)
        built = self.build(None, files={"a": "B\n"})
        self.assertEqual(built.output("RUN")[0], "B", "its content is part of the key")

    def test_a_cache_mount_keeps_its_content_between_builds(self):
        step = "RUN --mount=type=cache,target=/cache echo {} >> /cache/log; wc -l < /cache/log\n"
        self.assertEqual(self.build(FROM + step.format("a")).output("RUN"), ["1"])
        self.assertEqual(self.build(FROM + step.format("b")).output("RUN"), ["2"])

    def test_a_tmpfs_mount(self):
        built = self.build(FROM + "RUN --mount=type=tmpfs,target=/t grep ' /t ' /proc/mounts | cut -d' ' -f3\n")
        self.assertEqual(built.output("RUN"), ["tmpfs"])

    def test_a_secret_is_seen_and_never_kept(self):
        self.write({"pw": "hunter2"})
        dockerfile = FROM + "RUN --mount=type=secret,id=pw cat /run/secrets/pw | wc -c\n" \
            "RUN --mount=type=secret,id=pw,env=PW echo ${#PW}\n"
        built = self.build(dockerfile, "--secret", f"id=pw,src={self.context / 'pw'}")
        self.assertEqual([built.output("RUN --mount=type=secret,id=pw cat"), built.output("RUN --mount=type=secret,id=pw,env")],
                         [["7"], ["7"]])
        self.assertNotIn("hunter2", self.w.ok("history", "--no-trunc", "built") + self.w.ok("inspect", "built"))
        built = self.build(dockerfile, "--secret", "id=pw,env=OTHER", env={"OTHER": "changed"})
        self.assertEqual(built.steps, ["CACHED", "CACHED"], "its content is no part of the key")

    def test_a_secret_is_named_by_its_source_or_its_target(self):
        built = self.build(FROM + "RUN --mount=type=secret,target=/keys/pw cat /keys/pw\n"
                           "RUN --mount=type=secret,source=pw cat /run/secrets/pw\n",
                           "--secret", "id=pw,env=OTHER", env={"OTHER": "hunter2"})
        self.assertEqual([built.output("RUN --mount=type=secret,target"), built.output("RUN --mount=type=secret,source")],
                         [["hunter2"]] * 2)

    def test_a_required_secret_that_is_missing_is_named(self):
        built = self.try_build(FROM + "RUN --mount=type=secret,id=pw,required true\n")
        self.assert_build_fails(built, "secret pw: not found", "--secret id=pw")


class Speech(BuildTest):
    def test_a_failing_step_shows_its_lines_code_and_place(self):
        built = self.try_build(FROM + "RUN echo fine\nRUN echo last words; \\\n    exit 7\nRUN never\n")
        self.assert_build_fails(built, "last words", "did not complete successfully: exit code: 7", "Dockerfile:3",
                                "3 | >>> RUN echo last words", "4 | >>>", "ERROR")
        self.assertFalse([title for title in built.status if "RUN never" in title], "nothing runs after it")
        self.assertEqual(self.build(FROM + "RUN echo fine\n").steps, ["CACHED"], "what was finished stays")

    def test_a_missing_program_is_named(self):
        self.assert_build_fails(self.try_build(FROM + 'RUN ["/no/such"]\n'), "/no/such", "no such file", "Dockerfile:2")

    def test_an_unknown_instruction_has_its_line(self):
        self.assert_build_fails(self.try_build(FROM + "RUNN true\n"), "line 2", "unknown instruction", "RUN")

    def test_a_missing_source_is_named(self):
        self.assert_build_fails(self.try_build(FROM + "COPY nowhere /\n"), "nowhere", "not found", "Dockerfile:2")

    def test_a_source_outside_of_the_context_is_not_reached(self):
        (self.context.parent / "outside").write_text("secret")
        self.addCleanup((self.context.parent / "outside").unlink)
        self.assert_build_fails(self.try_build(FROM + "COPY ../outside /\n"), "outside")
        (self.context / "link").symlink_to("/etc/hostname-of-host")
        self.assert_build_fails(self.try_build(FROM + "COPY link /\n"), "link")

    def test_an_unknown_base_is_named(self):
        built = self.try_build("FROM localhost:1/no/such:image\n")
        self.assert_build_fails(built, "localhost:1/no/such:image", "Dockerfile:1")

    def test_a_missing_dockerfile_is_named_with_a_remedy(self):
        self.assert_build_fails(self.try_build(None), "Dockerfile", "no such file", "-f")

    def test_remote_contexts_and_unknown_flags_are_refused_by_name(self):
        done = self.w.try_run("build", "https://example.com/x.git")
        self.assert_fails(done, 1, "https://example.com/x.git", "not supported")
        self.assert_fails(self.w.try_run("build", "--squash", "."), 125, "--squash")
        self.assert_fails(self.w.try_run("build", "--network", "mine", "."), 1, "mine")
        self.assert_fails(self.w.try_run("build", "-t", "UPPER", "."), 1, "UPPER")
        self.assert_fails(self.w.try_run("build", "--progress", "loud", "."), 1, "loud")
        self.assert_fails(self.w.try_run("build", "--secret", "src=/x", "."), 1, "src=/x")
        self.assert_fails(self.w.try_run("build", "--rm=false", "."), 1, "--rm")

    def test_quiet_prints_the_id_and_iidfile_keeps_it(self):
        self.write({"Dockerfile": FROM + "RUN echo noise\n"})
        file = self.context / "id"
        done = self.w.try_run("build", "-q", "--rm", "--force-rm", "--load", "--iidfile", str(file), str(self.context))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^sha256:[0-9a-f]{64}\n$")
        self.assertEqual(file.read_text(), done.stdout.strip())
        self.w.ok("rmi", done.stdout.strip())

    def test_progress_names_steps_and_the_image(self):
        built = self.build(FROM + "RUN true\n", "-t", "second:tag")
        self.assertIn(f"[1/2] FROM {IMAGE}", built.status)
        self.assertIn("[2/2] RUN true", built.status)
        self.assertIn("naming to docker.io/library/built:latest", built.err)
        self.assertIn("naming to docker.io/library/second:tag", built.err)
        self.assertRegex(built.err, r"Built sha256:\w+ in [\d.]+s: 1 step ran, 0 cached")
        self.assertEqual(self.w.inspect("built")["Id"], self.w.inspect("second:tag")["Id"])

    def test_history_tells_the_instructions(self):
        self.build(FROM + "ENV A=1\nARG V=2\nRUN echo x > /x\nCMD [\"sh\"]\n")
        text = self.w.ok("history", "--no-trunc", "built")
        for words in ("ENV A=1", "ARG V=2", "RUN |1 V=2 /bin/sh -c echo x > /x", 'CMD ["sh"]'):
            self.assertIn(words, text)

    def test_other_spellings(self):
        self.write({"Dockerfile": FROM})
        for words in (["image", "build"], ["builder", "build"], ["buildx", "build"]):
            self.w.ok(*words, "-q", str(self.context))


class Input(BuildTest):
    def test_a_dockerfile_on_standard_input_with_a_context(self):
        self.build(None, "-f", "-", files={"a": "1"}, input=FROM + "COPY a /a\n")
        self.assertEqual(self.inside("cat /a"), "1")

    def test_a_dockerfile_alone_on_standard_input(self):
        self.build(None, context="-", input=FROM + "RUN echo x > /x\n")
        self.assertEqual(self.inside("cat /x"), "x\n")
        built = self.try_build(None, context="-", input=FROM + "COPY a /\n")
        self.assert_build_fails(built, "no context")

    def test_a_tar_context_on_standard_input(self):
        for mode in ("w", "w:gz"):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode=mode) as tar:
                for name, text in (("Dockerfile", FROM + "COPY . /t\n"), ("sub/f", mode), (".dockerignore", "Dockerfile\n")):
                    info = tarfile.TarInfo(name)
                    info.size = len(text)
                    tar.addfile(info, io.BytesIO(text.encode()))
            done = Built(self.w.try_run("build", "--progress", "plain", "-t", "built", "-", input=buffer.getvalue(), text=False))
            self.assertEqual(done.code, 0, done.err)
            self.assertEqual(self.inside("cat /t/sub/f; ls /t"), mode + "sub\n")

    def test_a_broken_tar_is_refused(self):
        done = self.w.try_run("build", "-", input=b"\x1f\x8b\x08" + b"\0" * 100, text=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"build context", done.stderr)

    def test_a_dockerfile_elsewhere(self):
        other = self.scratch("other") / "My.Dockerfile"
        other.write_text(FROM + "COPY a /\n")
        self.build(None, "-f", str(other), files={"a": "1"})


class Remote(BuildTest):
    def test_a_missing_base_is_pulled_and_pull_asks_again(self):
        with FakeRegistry() as registry:
            def offer(text: str) -> str:
                tar = images.padded_tar().read_bytes() if text == "1" else layer_tar({"only": text.encode()})
                return registry.repository("base").add_image("1", [tar])
            offer("1")
            dockerfile = f"FROM {registry.host}/base:1\nCMD [\"x\"]\n"
            built = self.build(dockerfile)
            self.assertIn("pulled", built.err)
            offer("2")
            self.build(dockerfile)
            self.assertFalse((self.layer_paths()[0] / "only").exists(), "the one that is here")
            self.build(dockerfile, "--pull")
            self.assertEqual([p.name for p in self.layer_paths()[0].iterdir()], ["only"])
            self.w.ok("rmi", f"{registry.host}/base:1")

    def test_add_fetches_a_url_and_its_content_is_the_key(self):
        server = FileServer(self, b"first")
        dockerfile = FROM + f"ADD {server.url} /got/\n"
        self.build(dockerfile)
        self.assertEqual(self.inside("cat /got/name.txt; stat -c %a /got/name.txt"), "first600\n")
        self.assertEqual(self.build(dockerfile).steps, ["CACHED"])
        server.body = b"second"
        self.assertEqual(self.build(dockerfile).steps, ["DONE"])

    def test_a_checksum_is_asked_for_and_kept(self):
        server = FileServer(self)
        right = "sha256:" + hashlib.sha256(server.body).hexdigest()
        self.build(FROM + f"ADD --checksum={right} {server.url} /f\n")
        self.assertEqual(self.inside("cat /f"), "content")
        wrong = "sha256:" + 64 * "0"
        # Also when the step was made with the right one before.
        self.refused(server, f"--checksum={wrong}", f"digest mismatch {right}: {wrong}", "not the one that --checksum")

    def refused(self, server, flags: str, *words: str, env=None):
        """The build fails and leaves nothing; with an honest server it succeeds."""
        built = self.try_build(FROM + f"ADD {flags} {server.url} /f\n", tag="refused", env=env)
        self.assert_build_fails(built, "ADD failed", server.url, "Dockerfile:2", *words)
        self.assertEqual(self.w.ok("images", "-q", "refused"), "")
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        server.cut, server.stall, server.status = None, None, "200 OK"
        self.build(FROM + f"ADD {server.url} /f\n", tag="refused")
        self.assertEqual(self.inside("cat /f", "refused").encode(), server.body)
        self.w.ok("rmi", "refused")

    def test_a_url_that_is_not_there(self):
        self.refused(FileServer(self, status="404 Not Found"), "", "404")

    def test_a_server_that_cuts_the_file(self):
        self.refused(FileServer(self, b"x" * 1000, cut=500), "")

    def test_a_server_that_stalls(self):
        self.refused(FileServer(self, b"x" * 100_000, stall=500), "", env=IMPATIENT)

    def test_a_server_that_does_not_listen(self):
        # Nobody is given this port: it is taken, and nobody listens.
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/f"
            self.assert_build_fails(self.try_build(FROM + f"ADD {url} /f\n"), "ADD failed", url, "connect")


class OnATerminal(BuildTest):
    def test_the_running_step_is_redrawn_with_its_last_lines(self):
        self.write({"Dockerfile": FROM + "RUN echo $((40+2)) lines; sleep 0.3\n"})
        terminal = Terminal(self, "build", "-t", "built", str(self.context), columns=60)
        terminal.read_until(b"42 lines")
        self.assertEqual(terminal.end(), 0)
        text = terminal.output.decode()
        self.assertIn("\x1b[2A\x1b[J", text, "what was drawn is taken back")
        self.assertRegex(text, r"=> \[2/2\] RUN echo .* \d\.\ds")
        for line in re.sub(r"\x1b\[[0-9]*[AJ]", "", text).splitlines():
            if line.startswith(" =>") and "writing image" not in line:
                self.assertLessEqual(len(line), 60, line)

    def test_plain_lines_on_request(self):
        self.write({"Dockerfile": FROM + "RUN echo x\n"})
        terminal = Terminal(self, "build", "--progress", "plain", "-t", "built", str(self.context))
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(b"\x1b[", terminal.output)


class Checks(BuildTest):
    def test_an_undefined_variable_is_named_where_it_is_used(self):
        built = self.build(FROM + "ENV NAME=1\nENV A=$NAMES B=${C:-default}\nCOPY $NOWHERE f /\nARG D\nLABEL d=$D\n",
                           files={"f": "1"})
        self.assertIn("UndefinedVar: Usage of undefined variable '$NAMES' (did you mean $NAME?) (line 3)", built.err)
        self.assertIn("UndefinedVar: Usage of undefined variable '$NOWHERE' (line 4)", built.err)
        self.assertEqual(built.err.count("UndefinedVar"), 2, "neither a default nor a declared ARG is meant")

    def test_checks_that_are_skipped_say_nothing(self):
        built = self.build("# check=skip=UndefinedVar\n" + FROM + "ENV A=$NOWHERE\n")
        self.assertNotIn("UndefinedVar", built.err)

    def test_checks_may_be_errors(self):
        built = self.try_build("# check=error=true\n" + FROM + "RUN echo ran\nENV a b\n")
        self.assert_build_fails(built, "lint violation found for rules: LegacyKeyValueFormat", "check=error=true")
        self.assertNotIn("echo ran", "".join(built.status), "before anything runs")
        built = self.try_build("# check=error=true\n" + FROM + "COPY $NOWHERE f /\n", files={"f": "1"}, tag="strict")
        self.assert_build_fails(built, "lint violation found for rules: UndefinedVar", "Dockerfile:3")
        self.assertEqual(self.w.ok("images", "-q", "strict"), "")


class Refusals(BuildTest):
    def test_a_source_date_that_is_none_is_refused_before_anything_runs(self):
        built = self.try_build(FROM + "RUN echo ran\n", "--build-arg", "SOURCE_DATE_EPOCH=today")
        self.assert_build_fails(built, "invalid SOURCE_DATE_EPOCH 'today'")
        self.assertFalse([title for title in built.status if "RUN" in title])

    def test_what_a_build_cannot_do_is_refused_by_name(self):
        for step, words in (("RUN --security=insecure true", ("--security=insecure", "not supported")),
                            ("RUN --mount=type=ssh true", ("ssh mounts are not supported", "type=secret")),
                            ("RUN --device=gpu true", ("unknown flag: --device",)),
                            ("ADD --keep-git-dir=true https://h/x.git /", ("--keep-git-dir", "not supported")),
                            ("ADD https://h/x.git#v1 /", ("https://h/x.git#v1", "not supported", "clone it")),
                            ("ADD git@h:x.git /", ("git@h:x.git", "not supported")),
                            ("ADD --checksum=sha256:" + 64 * "0" + " f /", ("--checksum is for URLs",))):
            with self.subTest(step):
                self.assert_build_fails(self.try_build(FROM + step + "\n", files={"f": "1"}), *words, "2")

    def test_flags_that_are_not_there_yet_are_refused_by_name(self):
        for flag in ("--add-host=a:1.2.3.4", "--platform=linux/arm64", "--ssh=default", "--check", "--call=check",
                     "--allow=network.host", "--output=x", "--push", "--build-context=a=b", "--cache-from=x",
                     "--cache-to=x", "--no-cache-filter=x", "--memory=1g", "--ulimit=nofile=1"):
            with self.subTest(flag):
                done = self.w.try_run("build", flag, str(self.context))
                self.assert_fails(done, 125, f"'{flag.split('=')[0]}' is not supported yet")

    def test_a_base_of_another_platform_is_named(self):
        self.assert_build_fails(self.try_build(f"FROM --platform=linux/arm64 {IMAGE}\n"), IMAGE, "linux/arm64",
                                "Dockerfile:1")

    def test_git_and_url_contexts_are_refused_with_a_remedy(self):
        for context in ("https://h/x.git", "git@h:x.git", "http://h/x.tar", "github.com/x/y"):
            with self.subTest(context):
                self.assert_fails(self.w.try_run("build", context), 1, context, "not supported", "clone it first")

    def test_an_id_file_never_holds_the_id_of_another_build(self):
        file = self.context / "id"
        file.write_text("sha256:old")
        self.assert_build_fails(self.try_build(FROM + "RUN false\n", "--iidfile", str(file)))
        self.assertFalse(file.exists())
        self.assert_build_fails(self.try_build(FROM, "--iidfile", str(self.context)), "no regular file")
        self.assert_build_fails(self.try_build(FROM, "--iidfile", "/no/such/id"), "/no/such/id", "no such file")

    def test_quiet_and_another_form_of_progress_are_too_much(self):
        self.assert_fails(self.w.try_run("build", "-q", "--progress", "plain", "."), 1, "--progress=plain", "--quiet")

    def test_a_command_line_that_is_too_long_is_quoted_in_part(self):
        built = self.try_build(FROM + "RUN true " + "x" * 200_000 + "\n")
        self.assert_build_fails(built, "argument list too long", "Dockerfile:2")
        self.assertLess(len(built.err.splitlines()[-1]), 2000)
