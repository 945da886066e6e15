"""ps, logs, exec, stop, start, restart, rm, inspect, wait, images, tag, rmi, history, version, info in detail."""
import json
import re
import subprocess
import time

from base import IMAGE, FunctionalTest
from harness import images
from harness.paths import TOP

# Goes on when /go is there; what it says before is there at once.
_GATED = "echo one; while ! test -e /go; do sleep 0.05; done; echo two"


class Ps(FunctionalTest):
    def names(self, *words) -> set[str]:
        return set(self.w.ok("ps", "--format", "{{.Names}}", *words).split())

    def test_filters(self):
        self.running("--name", "web1", "-l", "tier=front", "-p", "18250:80", "-v", "vol:/data")
        self.running("--name", "web2", "-l", "tier=back")
        self.w.ok("create", "--name", "made", IMAGE, "true")
        self.w.try_run("run", "--name", "failed", IMAGE, "sh", "-c", "exit 3")
        for filters, expected in ((["name=web"], {"web1", "web2"}), (["name=^/?web1$"], {"web1"}),
                                  (["label=tier"], {"web1", "web2"}), (["label=tier=back"], {"web2"}),
                                  (["status=running"], {"web1", "web2"}), (["status=created"], {"made"}),
                                  (["status=exited", "status=created"], {"made", "failed"}), (["exited=3"], {"failed"}),
                                  (["name=web", "label=tier=front"], {"web1"}),
                                  (["ancestor=" + IMAGE], {"web1", "web2", "made", "failed"}),
                                  (["publish=80"], {"web1"}), (["volume=vol"], {"web1"}),
                                  (["network=bridge", "name=web"], {"web1", "web2"}), (["before=web2"], {"web1"}),
                                  (["since=made"], {"failed"})):
            with self.subTest(filters):
                words = [word for text in filters for word in ("-f", text)]
                self.assertEqual(self.names("-a", *words), expected)
        self.assertEqual(self.names(), {"web1", "web2"})
        self.assertEqual(self.names("-l"), {"failed"})
        self.assertEqual(self.names("-n", "2"), {"failed", "made"})

    def test_templates_and_tables(self):
        name = self.running("--name", "box", "-l", "k=v")
        self.assertEqual(self.w.ok("ps", "--format", "{{.ID}} {{.Label \"k\"}} {{.State}} {{upper .Names}}"),
                         f"{name[:12]} v running BOX\n")
        self.assertEqual(re.split(r"\s+", self.w.ok("ps", "--format", "table {{.Names}}\t{{.Image}}").strip()),
                         ["NAMES", "IMAGE", "box", IMAGE])
        self.assertEqual(self.w.ok("ps", "--no-trunc", "-q").strip(), name)
        for bad in ("{{.Nonsense}}", "{{", "{{nonsense .ID}}"):
            self.assertNotEqual(self.w.try_run("ps", "--format", bad).returncode, 0, bad)

    def test_a_long_command_is_cut_unless_asked(self):
        self.running(command=("sleep", "1000", "2000", "3000", "4000", "5000"))
        self.assertIn('"sleep 1000 2000 300…"', self.w.ok("ps"))
        self.assertIn('"sleep 1000 2000 3000 4000 5000"', self.w.ok("ps", "--no-trunc"))


class Logs(FunctionalTest):
    def test_follow_sees_what_comes_and_ends_with_the_container(self):
        name = self.w.detached(IMAGE, "sh", "-c", _GATED)
        follower = self.w.start("logs", "-f", name)
        self.assertEqual(follower.stdout.readline(), b"one\n")
        self.w.ok("exec", name, "touch", "/go")
        self.assertEqual(follower.communicate(timeout=20)[0], b"two\n")
        self.assertEqual(follower.returncode, 0)

    def test_follow_with_a_tail_begins_at_the_tail(self):
        name = self.w.detached(IMAGE, "sh", "-c", "seq 50; " + _GATED)
        self.w.wait_for(lambda: "one" in self.w.ok("logs", name))
        follower = self.w.start("logs", "-f", "--tail", "2", name)
        self.assertEqual((follower.stdout.readline(), follower.stdout.readline()), (b"50\n", b"one\n"))
        self.w.ok("exec", name, "touch", "/go")
        self.assertEqual(follower.communicate(timeout=20)[0], b"two\n")

    def test_since_and_until_cut_by_time(self):
        name = self.w.detached(IMAGE, "sh", "-c", _GATED)
        self.w.wait_for(lambda: self.w.ok("logs", name))
        time.sleep(0.01)
        border = time.time()
        self.w.ok("exec", name, "touch", "/go")
        self.w.ok("wait", name)
        for form in (f"{border:.9f}", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(border)) +
                     f"{border % 1:.9f}Z"[1:]):
            with self.subTest(form):
                self.assertEqual(self.w.ok("logs", "--since", form, name), "two\n")
                self.assertEqual(self.w.ok("logs", "--until", form, name), "one\n")
        self.assertEqual(self.w.ok("logs", "--since", "10m", name), "one\ntwo\n")
        self.assertEqual(self.w.ok("logs", "--until", "10m", name), "")
        self.assert_fails(self.w.try_run("logs", "--since", "yesterday", name), 1, "yesterday")
        self.assert_fails(self.w.try_run("logs", "--tail", "few", name), 1, "few")

    def test_a_second_start_adds_to_the_log(self):
        name = self.w.detached(IMAGE, "echo", "again")
        self.w.ok("wait", name)
        self.w.ok("start", "-a", name)
        self.assertEqual(self.w.ok("logs", name), "again\nagain\n")

    def test_bytes_that_are_not_text_come_back(self):
        name = self.w.detached(IMAGE, "printf", "a\\000b\\377\\n\\303\\244")
        self.w.ok("wait", name)
        out = self.w.try_run("logs", name, text=False).stdout
        self.assertTrue(out.startswith(b"a\0b") and out.endswith("ä".encode()), out)

    def test_two_megabytes_come_back_whole(self):
        name = self.w.detached(IMAGE, "seq", "300000")
        self.w.ok("wait", name)
        self.assertEqual(self.w.ok("logs", name), "".join(f"{i}\n" for i in range(1, 300001)))


class Exec(FunctionalTest):
    def test_users_variables_and_directories(self):
        name = self.running("-u", "web", "-e", "A=run", "-e", "B=run", "-w", "/home/web")
        script = "id -un; id -Gn; pwd; echo $A $B $C $HOME"
        self.assertEqual(self.w.ok("exec", name, "sh", "-c", script), "web\nweb extra\n/home/web\nrun run /home/web\n")
        self.assertEqual(self.w.ok("exec", "-u", "0", "-w", "/", "-e", "B=exec", "-e", "C", name, "sh", "-c", script,
                                   env={"C": "ours"}), "root\nroot\n/\nrun exec ours /root\n")

    def test_bad_ones_are_told_with_their_codes(self):
        name = self.running("--name", "box")
        for words, code, word in ((["box", "nonesuch"], 127, "nonesuch"), (["box", "/etc"], 126, "/etc"),
                                  (["nobox", "true"], 1, "nobox"),
                                  (["--nonsense", "box", "true"], 125, "--nonsense")):
            with self.subTest(words):
                done = self.w.try_run("exec", *words)
                self.assert_fails(done, code, word)
        for words, word in ((["-u", "ghost"], "ghost"), (["-w", "/no/such/place"], "/no/such/place")):
            done = self.w.try_run("exec", *words, "box", "true")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)
        self.assertTrue(self.w.inspect(name)["State"]["Running"])

    def test_it_ends_with_the_container(self):
        name = self.running()
        process = self.w.start("exec", name, "sh", "-c", "echo ready; sleep 1000")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.w.ok("kill", name)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 137)

    def test_many_at_once_keep_their_outputs_apart(self):
        name = self.running()
        processes = [self.w.start("exec", name, "sh", "-c", f"seq {i} {i + 2000}; exit {i}", stdin=subprocess.DEVNULL)
                     for i in range(10)]
        for i, process in enumerate(processes):
            out, err = process.communicate(timeout=30)
            self.assertEqual((out.decode().split(), err, process.returncode),
                             ([str(n) for n in range(i, i + 2001)], b"", i))

    def test_privileged_has_more_than_its_container(self):
        name = self.running()
        mask = ["grep", "CapEff", "/proc/self/status"]
        self.assertNotEqual(self.w.ok("exec", "--privileged", name, *mask), self.w.ok("exec", name, *mask))


class LifeCycle(FunctionalTest):
    def test_stop_takes_the_container_s_own_timeout(self):
        name = self.running("--stop-timeout", "1", command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
        begin = time.monotonic()
        self.w.ok("stop", name)
        self.assertTrue(0.9 < time.monotonic() - begin < 5)
        self.assertEqual(self.w.inspect(name)["State"]["ExitCode"], 137)

    def test_stop_zero_kills_at_once_and_several_stop_together(self):
        names = [self.running(command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")) for _ in range(3)]
        begin = time.monotonic()
        self.w.ok("stop", "-t", "1", *names)
        self.assertLess(time.monotonic() - begin, 2.8)
        name = self.running()
        begin = time.monotonic()
        self.w.ok("stop", "-t", "0", name)
        self.assertLess(time.monotonic() - begin, 2)

    def test_a_created_one_starts_once_and_its_state_is_told_all_along(self):
        name = self.w.ok("create", IMAGE, "sh", "-c", _GATED).strip()
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "created")
        self.w.ok("start", name)
        state = self.w.inspect(name)["State"]
        self.assertEqual((state["Status"], state["Running"], state["FinishedAt"]),
                         ("running", True, "0001-01-01T00:00:00Z"))
        self.w.ok("exec", name, "touch", "/go")
        self.w.ok("wait", name)
        state = self.w.inspect(name)["State"]
        self.assertEqual((state["Status"], state["ExitCode"], state["Pid"]), ("exited", 0, 0))
        self.assertLess(state["StartedAt"], state["FinishedAt"])

    def test_wait_waits_for_several_in_order(self):
        slow = self.w.detached(IMAGE, "sh", "-c", _GATED + "; exit 4")
        fast = self.w.detached(IMAGE, "sh", "-c", "exit 5")
        waiter = self.w.start("wait", slow, fast)
        self.w.ok("exec", slow, "touch", "/go")
        self.assertEqual(waiter.communicate(timeout=20)[0], b"4\n5\n")

    def test_restart_starts_a_stopped_one_and_keeps_its_files_and_address_book(self):
        name = self.w.detached(IMAGE, "sh", "-c", "echo x >> /count; cat /count; sleep 1000")
        self.w.wait_for(lambda: self.w.ok("logs", name) == "x\n")
        self.w.ok("stop", "-t", "0", name)
        self.w.ok("restart", name)
        self.w.wait_for(lambda: self.w.ok("logs", name) == "x\nx\nx\n")
        self.assertIn(name[:12], self.w.ok("exec", name, "cat", "/etc/hosts"))

    def test_names_prefixes_and_ids_are_all_names_and_unknown_ones_are_told(self):
        name = self.running("--name", "box")
        for words in ("box", name, name[:12], name[:6]):
            self.assertEqual(self.w.inspect(words)["Id"], name)
        for command in (["stop"], ["start"], ["restart"], ["kill"], ["rm"], ["wait"], ["logs"], ["inspect"],
                        ["attach"], ["exec"]):
            with self.subTest(command):
                words = [*command, "nonesuch", *(["true"] if command == ["exec"] else [])]
                self.assert_fails(self.w.try_run(*words), 1, "nonesuch")


class Inspect(FunctionalTest):
    def test_docker_s_usual_templates(self):
        self.running("--name", "box", "-p", "18260:80", "-l", "k=v", "-e", "A=b", "-m", "64m", "-v", "/tmp:/t:ro")
        address = self.w.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        for template, expected in (
                ("{{.State.Running}}", "true"), ("{{.Name}}", "/box"), ("{{.Config.Image}}", IMAGE),
                ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", address),
                ("{{.NetworkSettings.Networks.bridge.IPAddress}}", address),
                ("{{index .Config.Labels \"k\"}}", "v"), ("{{.HostConfig.Memory}}", str(64 << 20)),
                ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "18260"),
                ("{{json .Config.Cmd}}", '["sleep","1000"]'), ("{{len .Mounts}}", "1"),
                ("{{range .Mounts}}{{.Source}}>{{.Destination}} {{.RW}}{{end}}", "/tmp>/t false"),
                ("{{if .State.Running}}up{{else}}down{{end}}", "up"), ("{{join .Args \",\"}}", "1000"),
                ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "k=v"),
                ("{{if and .State.Running (eq .HostConfig.NetworkMode \"bridge\")}}yes{{end}}", "yes"),
                ("{{printf \"%s-%d\" .Name .RestartCount}}", "/box-0"), ("{{.State.OOMKilled}}", "false"),
                ("{{range $i, $e := .Config.Cmd}}{{if $i}} {{end}}{{$e}}{{end}}", "sleep 1000")):
            with self.subTest(template):
                self.assertEqual(self.w.ok("inspect", "--format", template, "box"), expected + "\n")
        for bad in ("{{.Nonsense}}", "{{", "{{.State.", "{{nonsense}}"):
            self.assertNotEqual(self.w.try_run("inspect", "-f", bad, "box").returncode, 0, bad)

    def test_several_and_images_and_types(self):
        self.running("--name", "box")
        found = json.loads(self.w.ok("inspect", "box", IMAGE))
        self.assertEqual([found[0]["Name"], found[1]["RepoTags"]], ["/box", [IMAGE]])
        self.assertEqual(self.w.ok("inspect", "--type", "image", "-f", "{{.Os}}/{{.Architecture}}", IMAGE),
                         "linux/amd64\n")
        self.assert_fails(self.w.try_run("inspect", "--type", "container", IMAGE), 1, IMAGE)
        done = self.w.try_run("inspect", "box", "nonesuch")
        self.assertEqual((done.returncode, len(json.loads(done.stdout))), (1, 1))


class Images(FunctionalTest):
    def test_names_tags_and_removal(self):
        identity = self.w.ok("images", "-q", "--no-trunc").strip()
        self.assertRegex(identity, r"^sha256:[0-9a-f]{64}$")
        self.w.ok("tag", IMAGE, "registry.example:5000/team/app:v1")
        self.w.ok("tag", identity, "short")
        self.assertEqual(self.w.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "short"), "short:latest\n")
        self.output("true")
        self.assertEqual(self.w.ok("run", "--rm", "short", "echo", "by name"), "by name\n")
        self.assertEqual(self.w.ok("run", "--rm", identity[7:19], "echo", "by id"), "by id\n")
        for name in ("registry.example:5000/team/app:v1", "short"):
            self.assertIn("Untagged: ", self.w.ok("rmi", name))
        self.assertEqual(self.w.ok("images", "-q", "--no-trunc").strip(), identity)

    def test_the_last_name_takes_the_image_with_it_and_its_files(self):
        layers = set((self.w.root / "layers").iterdir())
        self.w.ok("import", "-c", "ENV X=1", images.busybox_tar(), "mine:test")
        out = self.w.ok("rmi", "mine:test")
        self.assertIn("Untagged: mine:test", out)
        self.assertIn("Deleted: sha256:", out)
        self.assertEqual(set((self.w.root / "layers").iterdir()), layers)
        self.assert_fails(self.w.try_run("run", "--pull", "never", "mine:test", "true"), 125, "mine:test")

    def test_one_in_use_is_kept_and_its_user_named(self):
        self.w.ok("import", "-c", "ENV Y=1", images.busybox_tar(), "used:test")
        running = self.w.detached("used:test", "sleep", "1000")
        self.assert_fails(self.w.try_run("rmi", "used:test"), 1, running[:12])
        self.assertEqual(self.w.ok("exec", running, "echo", "alive"), "alive\n")
        self.w.ok("rm", "-f", running)
        self.w.try_run("rmi", "-f", "used:test")

    def test_history_and_change_are_told(self):
        self.w.ok("import", "-m", "why not", "-c", "CMD [\"true\"]", "-c", "EXPOSE 80", images.busybox_tar(), "told:test")
        self.addCleanup(self.w.ok, "rmi", "told:test")
        self.assertEqual(self.w.ok("history", "--format", "{{.Comment}}", "told:test"), "why not\n")
        config = json.loads(self.w.ok("inspect", "told:test"))[0]["Config"]
        self.assertEqual((config["Cmd"], list(config["ExposedPorts"])), (["true"], ["80/tcp"]))
        self.assertEqual(self.w.try_run("run", "--rm", "told:test").returncode, 0)
        self.assert_fails(self.w.try_run("history", "nonesuch"), 1, "nonesuch")

    def test_filters_of_images(self):
        self.w.ok("tag", IMAGE, "other:v2")
        self.addCleanup(self.w.ok, "rmi", "other:v2")
        self.assertEqual(self.w.ok("images", "-f", "reference=oth*", "--format", "{{.Repository}}"), "other\n")
        self.assertEqual(self.w.ok("images", "-f", "dangling=true", "-q"), "")
        self.assert_fails(self.w.try_run("images", "-f", "nonsense=1"), 1, "nonsense")


class About(FunctionalTest):
    def test_version_and_info_answer_templates(self):
        self.running()
        self.assertEqual(json.loads(self.w.ok("info", "-f", "json"))["ContainersRunning"], 1)
        self.assertEqual(self.w.ok("info", "-f", "{{.Containers}} {{.Images}}"), "1 1\n")

    def test_help_is_on_stdout_and_mistakes_name_the_nearest(self):
        for words in (["--help"], ["run", "--help"], ["container", "--help"]):
            self.assertIn("Usage:", self.w.ok(*words))
        for words, code, found in ((["rnu"], 1, "run"), (["run", "--nmae", "x", IMAGE], 125, "--name"),
                                   (["ps", "--nonsense"], 125, "--nonsense"), (["rm"], 1, "rm"),
                                   (["container", "nonsense"], 1, "nonsense"), (["run", "-m"], 125, "-m")):
            with self.subTest(words):
                self.assert_fails(self.w.try_run(*words), code, found)

    def test_both_spellings_are_one_command(self):
        name = self.running()
        for words in (["container", "ls", "-q", "--no-trunc"], ["container", "list", "-q", "--no-trunc"],
                      ["container", "ps", "-q", "--no-trunc"]):
            self.assertEqual(self.w.ok(*words).strip(), name)
        self.assertEqual(self.w.ok("image", "ls", "-q"), self.w.ok("images", "-q"))
        self.w.ok("container", "rm", "-f", name)


class Manual(FunctionalTest):
    def test_the_manual_page_is_the_one_that_the_flags_make(self):
        self.assertEqual((TOP / "man/wherry.1").read_text(), self.w.ok("__man"), "wherry __man > man/wherry.1")
