"""ps, logs, exec, stop, start, restart, kill, rm, inspect, wait."""
import json
import re
import time

from base import IMAGE, FunctionalTest

_MISSING = "no-such-thing"


class Ps(FunctionalTest):
    def test_columns_are_docker_s(self):
        name = self.running("--name", "web", "-p", "127.0.0.1:18080:80")
        header, row = self.w.ok("ps").splitlines()
        self.assertEqual(header.split("  ")[0], "CONTAINER ID")
        self.assertEqual(re.split(r" {2,}", header.strip()),
                         ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"])
        cells = re.split(r" {2,}", row.strip())
        self.assertEqual((cells[0], cells[1], cells[2], cells[5], cells[6]),
                         (name[:12], IMAGE, '"sleep 1000"', "127.0.0.1:18080->80/tcp", "web"))
        self.assertRegex(cells[4], r"^Up (Less than a second|\d+ seconds?)$")

    def test_only_running_ones_without_a(self):
        up = self.running()
        down = self.w.detached(IMAGE, "true")
        self.w.ok("wait", down)
        self.assertEqual(self.w.ok("ps", "-q", "--no-trunc").split(), [up])
        self.assertEqual(set(self.w.ok("ps", "-aq", "--no-trunc").split()), {up, down})
        self.assertRegex(self.w.ok("ps", "-a"), r"Exited \(0\) (Less than a second|\d+ seconds?) ago")

    def test_filters_and_formats(self):
        self.running("--name", "one", "-l", "k=v")
        self.running("--name", "two")
        self.assertEqual(self.w.ok("ps", "--filter", "label=k=v", "--format", "{{.Names}}"), "one\n")
        self.assertEqual(self.w.ok("ps", "-f", "name=two", "--format", "{{.Names}}: {{.Image}}"),
                         f"two: {IMAGE}\n")
        for line in self.w.ok("ps", "--format", "json").splitlines():
            self.assertIn(json.loads(line)["Names"], ("one", "two"))
        self.assert_fails(self.w.try_run("ps", "--filter", "nonsense=1"), 1, "nonsense")


class Logs(FunctionalTest):
    def finished(self, script: str) -> str:
        name = self.w.detached(IMAGE, "sh", "-c", script)
        self.w.ok("wait", name)
        return name

    def test_both_streams_come_back_apart(self):
        done = self.w.try_run("logs", self.finished("echo out; echo err >&2"))
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 0))

    def test_tail_takes_the_last_lines(self):
        name = self.finished("seq 100")
        self.assertEqual(self.w.ok("logs", "--tail", "3", name), "98\n99\n100\n")
        self.assertEqual(self.w.ok("logs", "-n", "0", name), "")
        self.assertEqual(len(self.w.ok("logs", "--tail", "all", name).splitlines()), 100)

    def test_t_prefixes_times(self):
        self.assertRegex(self.w.ok("logs", "-t", self.finished("echo x")),
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z x\n$")

    def test_follow_shows_what_comes_and_ends_with_the_container(self):
        name = self.w.detached(IMAGE, "sh", "-c", "echo one; sleep 0.5; echo two; sleep 0.5; echo three")
        self.assertEqual(self.w.ok("logs", "-f", name), "one\ntwo\nthree\n")

    def test_the_file_is_docker_s_json(self):
        name = self.finished("echo line; printf part >&2")
        with open(self.w.inspect(name)["LogPath"]) as file:
            entries = [json.loads(line) for line in file]
        self.assertEqual([(e["log"], e["stream"]) for e in sorted(entries, key=lambda e: e["stream"])],
                         [("part", "stderr"), ("line\n", "stdout")])

    def test_a_long_line_comes_back_whole(self):
        self.assertEqual(len(self.w.ok("logs", self.finished("head -c 100000 /dev/zero | tr '\\0' x; echo"))),
                         100001)

    def test_a_missing_container_is_named(self):
        self.assert_fails(self.w.try_run("logs", _MISSING), 1, "no such container", _MISSING)


class Exec(FunctionalTest):
    def test_output_code_and_streams(self):
        name = self.running()
        done = self.w.try_run("exec", name, "sh", "-c", "echo out; echo err >&2; exit 5")
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 5))

    def test_it_joins_the_container(self):
        name = self.running("-h", "inside")
        self.assertEqual(self.w.ok("exec", name, "hostname"), "inside\n")
        self.assertEqual(self.w.ok("exec", name, "cat", "/proc/1/cmdline"), "sleep\x001000\x00")

    def test_settings(self):
        name = self.running("-e", "A=1")
        self.assertEqual(self.w.ok("exec", "-u", "web", "-w", "/tmp", "-e", "B=2", name, "sh", "-c",
                                   "id -un; pwd; echo $A $B"), "web\n/tmp\n1 2\n")

    def test_stdin_goes_in_with_i(self):
        self.assertEqual(self.w.ok("exec", "-i", self.running(), "cat", input="hello"), "hello")

    def test_detached_goes_on_alone(self):
        name = self.running()
        self.assertEqual(self.w.ok("exec", "-d", name, "sh", "-c", "echo x > /tmp/done"), "")
        self.w.wait_for(lambda: self.w.try_run("exec", name, "cat", "/tmp/done").stdout == "x\n")

    def test_a_missing_command_is_127_and_one_not_executable_126(self):
        name = self.running()
        self.assert_fails(self.w.try_run("exec", name, "nonesuch"), 127, "nonesuch")
        self.assert_fails(self.w.try_run("exec", name, "/etc/not-executable"), 126, "permission denied")
        self.assert_fails(self.w.try_run("exec", "-u", "nobody-known", name, "true"), 126, "nobody-known")

    def test_a_stopped_container_is_refused(self):
        self.w.detached("--name", "over", IMAGE, "true")
        self.w.ok("wait", "over")
        self.assert_fails(self.w.try_run("exec", "over", "true"), 1, "is not running")

    def test_confinement_is_the_container_s(self):
        out = self.w.ok("exec", self.running(), "grep", "-E", "CapEff|Seccomp:", "/proc/self/status")
        self.assertIn("00000000a80425fb", out)
        self.assertIn("Seccomp:\t2", out)


class LifeCycle(FunctionalTest):
    def test_stop_sends_the_signal_and_waits_then_kills(self):
        polite = self.running(command=("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"))
        self.assertEqual(self.w.ok("stop", polite), polite + "\n")
        self.assertEqual(self.w.inspect(polite)["State"]["ExitCode"], 3)
        stubborn = self.running(command=("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"))
        begin = time.monotonic()
        self.w.ok("stop", "-t", "1", stubborn)
        self.assertGreater(time.monotonic() - begin, 0.9)
        self.assertEqual(self.w.inspect(stubborn)["State"]["ExitCode"], 137)

    def test_stopping_a_stopped_and_starting_a_running_one_is_fine(self):
        name = self.running()
        self.w.ok("start", name)
        self.w.ok("kill", name)
        self.w.ok("wait", name)
        self.w.ok("stop", name)

    def test_start_runs_the_same_container_again_with_its_files(self):
        name = self.w.detached(IMAGE, "sh", "-c", "echo x >> /count; cat /count")
        self.w.ok("wait", name)
        self.assertEqual(self.w.ok("start", "-a", name), "x\nx\n")

    def test_restart_gives_a_new_process(self):
        name = self.running()
        before = self.w.inspect(name)["State"]["Pid"]
        self.w.ok("restart", "-t", "0", name)
        after = self.w.inspect(name)["State"]
        self.assertTrue(after["Running"])
        self.assertNotEqual(after["Pid"], before)

    def test_kill_takes_names_and_numbers_and_refuses_a_stopped_one(self):
        name = self.running(command=("sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.1; done"))
        time.sleep(0.2)  # the shell's trap has no event to wait for
        self.w.ok("kill", "-s", "USR1", name)
        self.assertEqual(self.w.ok("wait", name), "9\n")
        self.assert_fails(self.w.try_run("kill", name), 1, "is not running")
        self.assert_fails(self.w.try_run("kill", "-s", "NONSENSE", self.running()), 1, "NONSENSE")

    def test_wait_prints_the_code(self):
        name = self.w.detached(IMAGE, "sh", "-c", "sleep 0.3; exit 42")
        self.assertEqual(self.w.ok("wait", name), "42\n")
        self.assertEqual(self.w.ok("wait", name), "42\n")

    def test_rm_refuses_a_running_one_without_force(self):
        name = self.running()
        self.assert_fails(self.w.try_run("rm", name), 1, "running")
        self.w.ok("rm", "-f", name)
        self.assertEqual(self.w.ids(), [])

    def test_each_of_several_is_processed_although_one_fails(self):
        good = self.w.detached(IMAGE, "true")
        self.w.ok("wait", good)
        done = self.w.try_run("rm", _MISSING, good)
        self.assertEqual((done.returncode, done.stdout), (1, good + "\n"))
        self.assertIn(_MISSING, done.stderr)
        self.assertEqual(self.w.ids(), [])

    def test_rm_f_of_a_missing_one_succeeds_and_tells(self):
        done = self.w.try_run("rm", "-f", _MISSING)
        self.assertEqual(done.returncode, 0)
        self.assertIn(_MISSING, done.stderr)

    def test_any_unique_prefix_of_the_id_is_a_name(self):
        name = self.running()
        self.assertEqual(self.w.inspect(name[:5])["Id"], name)


class Inspect(FunctionalTest):
    def test_it_shows_what_was_asked_for(self):
        name = self.running("--name", "shown", "-e", "A=1", "-w", "/tmp", "-p", "127.0.0.1:18081:80/tcp")
        record = self.w.inspect("shown")
        self.assertEqual((record["Id"], record["Name"], record["Path"], record["Args"]),
                         (name, "/shown", "sleep", ["1000"]))
        self.assertEqual(record["Config"]["WorkingDir"], "/tmp")
        self.assertIn("A=1", record["Config"]["Env"])
        self.assertEqual(record["State"]["Status"], "running")
        self.assertEqual(record["NetworkSettings"]["Ports"]["80/tcp"],
                         [{"HostIp": "127.0.0.1", "HostPort": "18081"}])

    def test_templates(self):
        self.running("--name", "tt")
        self.assertEqual(self.w.ok("inspect", "-f", "{{.State.Running}} {{.Name}}", "tt"), "true /tt\n")
        self.assertRegex(self.w.ok("inspect", "-f",
                                   "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "tt"),
                         r"^\d+\.\d+\.\d+\.\d+\n$")

    def test_a_missing_name_prints_an_empty_list_and_fails(self):
        done = self.w.try_run("inspect", _MISSING)
        self.assertEqual((done.returncode, done.stdout.strip()), (1, "[]"))
        self.assertIn(_MISSING, done.stderr)


class Info(FunctionalTest):
    def test_info_counts(self):
        self.running()
        out = self.w.ok("info")
        self.assertRegex(out, r"(?m)^\s*Containers: 1$")
        self.assertIn(str(self.w.root), out)

    def test_version_names_itself(self):
        self.assertRegex(self.w.ok("version"), r"\d+\.\d+\.\d+")

    def test_an_unknown_command_is_refused_with_the_nearest(self):
        self.assert_fails(self.w.try_run("rnu"), 1, "rnu", "run")
