"""wherry-oci: create, start, state, kill, delete, run, list, ps, pause, resume, as an engine calls them."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness.paths import bin_dir
from oci_base import ENVIRONMENT, OciTest, config


class Lifecycle(OciTest):
    def test_a_container_goes_from_created_to_running_to_stopped(self):
        bundle = self.create("a", config("sh", "-c", "echo hello; cat /proc/self/cgroup >/dev/null; exec sleep 1000"),
                             "--pid-file", self.disk / "pid")
        state = self.state("a")
        self.assertEqual(state["status"], "created")
        self.assertEqual((state["id"], state["bundle"], state["owner"]), ("a", str(bundle), "root"))
        self.assertEqual(state["rootfs"], str(self.rootfs))
        self.assertEqual(state["ociVersion"], "1.2.0")
        self.assertRegex(state["created"], r"^20\d\d-\d\d-\d\dT.*Z$")
        self.assertEqual((bundle / "out").read_text(), "", "the program ran before start")
        self.oci_ok("start", "a")
        self.assertEqual(self.state("a")["status"], "running")
        self.oci_fails("start", "a", says="cannot start an already running container")
        self.oci_fails("delete", "a", says="cannot delete container a that is not stopped: running")
        self.oci_ok("kill", "a", "0")
        self.oci_ok("kill", "a", "KILL")
        self.wait_status("a", "stopped")
        self.oci_fails("kill", "a", "0", says="container not running")
        self.assertEqual(self.state("a")["pid"], 0)
        self.oci_fails("kill", "a", "TERM", says="container not running")
        self.oci_fails("start", "a", says="cannot start a container that has stopped")
        self.oci_fails("exec", "a", "true", code=255, says="cannot exec in a stopped container")
        self.oci_ok("delete", "a")
        self.oci_fails("state", "a", says="container does not exist")
        self.assertEqual((bundle / "out").read_text(), "hello\n")

    def test_the_root_of_states_is_not_the_root_of_everything(self):
        for root in ("", "/", "//"):
            for command in (("list",), ("state", "tmp"), ("delete", "--force", "no-such-folder")):
                self.oci_fails("--root", root, *command, says="--root must not be empty or '/'")

    def test_the_pid_file_has_the_number_alone_and_is_there_when_create_returns(self):
        file = self.disk / "pid"
        self.create("a", config("sleep", "1000"), "--pid-file", file)
        self.assertEqual(file.read_text(), str(self.state("a")["pid"]))
        self.assertTrue(pathlib.Path(f"/proc/{file.read_text()}").exists())
        file.unlink()

    def test_the_init_outlives_create_and_belongs_to_the_subreaper(self):
        bundle = self.bundle(config("sh", "-c", "exit 7"))
        # A shim in small: it adopts the init, and learns its code.
        shim = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
root, program, bundle = sys.argv[1:]
def oci(*words): subprocess.run([program, "--root", root, *words], check=True, stdin=subprocess.DEVNULL)
oci("create", "--bundle", bundle, "--pid-file", bundle + "/pid", "a")
pid = int(open(bundle + "/pid").read())
oci("start", "a")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
oci("delete", "a")
"""
        done = subprocess.run(["python3", "-c", shim, str(self.root), str(bin_dir() / "wherry-oci"), str(bundle)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "7\n"), done)

    def test_delete_of_a_created_container_kills_it(self):
        self.create("a", config("sleep", "1000"))
        pid = self.state("a")["pid"]
        self.oci_ok("delete", "a")
        self.assertFalse(pathlib.Path(f"/proc/{pid}/root").exists())

    def test_delete_by_force_ends_a_running_container_and_knows_no_missing_one(self):
        self.running("a")
        self.oci_ok("delete", "--force", "a")
        self.oci_ok("delete", "--force", "a")
        self.oci_fails("delete", "a", says="container does not exist")

    def test_an_id_is_taken_once_and_must_be_well_formed(self):
        self.create("a", config("true"))
        bundle = self.bundle(config("true"))
        self.oci_fails("create", "--bundle", bundle, "a", says="container with given ID already exists")
        for name in ("", "..", "a/b", "a b"):
            self.oci_fails("create", "--bundle", bundle, name, says="invalid container ID format")
        self.oci_fails("kill", "nobody", says="container does not exist")

    def test_a_signal_reaches_the_first_process_or_all_of_them(self):
        script = "trap 'echo got usr1' USR1; sleep 1000 & while :; do wait; done"
        bundle = self.running("a", "sh", "-c", script)
        while len(json.loads(self.oci_ok("ps", "-f", "json", "a"))) < 2:
            pass
        self.oci_ok("kill", "a", "SIGUSR1")
        while "got usr1" not in (bundle / "out").read_text():
            pass
        self.oci_fails("kill", "a", "NOPE", says='unknown signal "NOPE"')
        self.oci_ok("kill", "--all", "a", "9")
        self.wait_status("a", "stopped")
        self.oci_ok("kill", "--all", "a", "9")

    def test_missing_programs_are_told_in_runcs_words_by_create(self):
        for arguments, words in ((["nothere"], 'exec: "nothere": executable file not found in $PATH'),
                                 (["/nothere"], 'exec: "/nothere": stat /nothere: no such file or directory'),
                                 (["/etc/not-executable"], 'exec: "/etc/not-executable": permission denied'),
                                 (["/etc"], 'exec: "/etc": is a directory')):
            self.oci_fails("create", "--bundle", self.bundle(config(*arguments)), "a", says=words)
        self.assertEqual(self.oci_ok("list", "-q"), "")

    def test_a_bundle_that_cannot_be_used_is_named(self):
        self.oci_fails("create", "--bundle", self.disk / "nothere", "a", says=str(self.disk / "nothere"))
        empty = self.bundle(config("true"))
        (empty / "config.json").unlink()
        self.oci_fails("create", "--bundle", empty, "a", says="config.json' not found")
        (empty / "config.json").write_text("{")
        self.oci_fails("create", "--bundle", empty, "a", says="not JSON")
        (empty / "config.json").write_text(json.dumps({**config("true"), "ociVersion": "2.0.0"}))
        self.oci_fails("create", "--bundle", empty, "a", says="2.0.0")


class Run(OciTest):
    def test_a_program_that_the_kernel_refuses_is_told_and_leaves_nothing(self):
        """What create cannot see: the program is there and executable."""
        for name, text, words in (("script", "#!/nothere\n", "no such file or directory"),
                                  ("noise", "\x01\x02", "exec format error")):
            program = self.rootfs / name
            program.write_text(text)
            program.chmod(0o755)
            self.addCleanup(program.unlink)
            for flags in ([], ["--detach"], ["--keep"]):
                with self.subTest(name=name, flags=flags):
                    self.oci_fails("run", *flags, "--bundle", self.bundle(config(f"/{name}")), "a", says=words)
                    self.assertEqual(self.oci_ok("list", "-q"), "")

    def test_run_gives_the_programs_code_and_streams_and_leaves_nothing(self):
        bundle = self.bundle(config("sh", "-c", "cat; echo oops >&2; exit 42"))
        done = self.oci("run", "--bundle", bundle, "a", input="through\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (42, "through\n", "oops\n"))
        self.oci_fails("state", "a", says="container does not exist")

    def test_run_works_from_the_bundle_as_working_directory(self):
        bundle = self.bundle(config("echo", "here"))
        self.assertEqual(self.oci_ok("run", "a", cwd=bundle), "here\n")

    def test_a_death_by_signal_is_128_and_the_signal(self):
        bundle = self.bundle(config("sh", "-c", "echo ready; exec sleep 1000"))
        process = subprocess.Popen(self.command("run", "-b", bundle, "a"), stdout=subprocess.PIPE, text=True,
                                   env=ENVIRONMENT)
        with process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            self.oci_ok("kill", "a", "KILL")
            self.assertEqual(process.wait(20), 137)

    def test_signals_are_passed_on(self):
        bundle = self.bundle(config("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"))
        process = subprocess.Popen(self.command("run", "-b", bundle, "a"), stdout=subprocess.PIPE, text=True,
                                   env=ENVIRONMENT)
        with process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20), 9)

    def test_the_container_dies_with_its_foreground_run_and_is_deleted_then(self):
        bundle = self.bundle(config("sh", "-c", "echo ready; exec sleep 1000"))
        process = subprocess.Popen(self.command("run", "-b", bundle, "a"), stdout=subprocess.PIPE, text=True,
                                   env=ENVIRONMENT)
        with process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.kill()
        self.wait_status("a", "stopped")
        self.oci_ok("delete", "a")

    def test_a_detached_run_goes_on(self):
        bundle = self.bundle(config("sleep", "1000"))
        subprocess.run(self.command("run", "-d", "-b", bundle, "--pid-file", bundle / "pid", "a"), check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        state = self.state("a")
        self.assertEqual(state["status"], "running")
        self.assertEqual((bundle / "pid").read_text(), str(state["pid"]))

    def test_keep_leaves_the_stopped_container(self):
        self.oci_ok("run", "--keep", "-b", self.bundle(config("true")), "a")
        self.assertEqual(self.state("a")["status"], "stopped")
        self.oci_ok("delete", "a")

    def test_descriptors_are_passed_on_by_number_and_no_others(self):
        listing = config("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; cat <&4; echo $LISTEN_FDS $LISTEN_PID")
        read, write = os.pipe()
        os.write(write, b"by fd\n")
        os.close(write)
        script = ('import os, sys\n'
                  f'os.dup2({read}, 4); os.dup2(1, 3); os.dup2(1, 5)\n'
                  'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))\n'
                  'os.execv(sys.argv[1], sys.argv[1:])\n')
        done = subprocess.run(["python3", "-c", script, *self.command(
            "run", "--preserve-fds", "1", "-b", self.bundle(listing), "a")], pass_fds=[read],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        os.close(read)
        # One of --preserve-fds and one of LISTEN_FDS: 3 and 4; the last number is ls's own.
        self.assertEqual(done.stdout, "0 1 2 3 4 5 by fd\n1 1\n", done)
        self.oci_fails("run", "--preserve-fds", "9", "-b", self.bundle(listing), "a", says="preserved-fd")


class Processes(OciTest):
    def test_list_shows_every_container_in_both_formats(self):
        self.assertEqual(json.loads(self.oci_ok("list", "--format=json")), None)
        self.running("a")
        self.create("b", config("true"))
        listed = {entry["id"]: entry["status"] for entry in json.loads(self.oci_ok("list", "-f", "json"))}
        self.assertEqual(listed, {"a": "running", "b": "created"})
        lines = self.oci_ok("list").splitlines()
        self.assertEqual(lines[0].split(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])
        self.assertEqual([line.split()[0] for line in lines[1:]], ["a", "b"])
        self.assertEqual(self.oci_ok("list", "-q"), "a\nb\n")
        self.oci_fails("list", "-f", "xml", says="invalid format option")

    def test_ps_gives_pids_of_the_host(self):
        self.running("a")
        pid = self.state("a")["pid"]
        self.assertEqual(json.loads(self.oci_ok("ps", "-f", "json", "a")), [pid])
        lines = self.oci_ok("ps", "a").splitlines()
        self.assertIn("PID", lines[0])
        self.assertEqual(len(lines), 2)
        self.assertIn(str(pid), lines[1])
        self.assertIn("sleep", lines[1])

    def test_a_paused_container_stands_still_until_it_is_resumed(self):
        bundle = self.running("a", "sh", "-c", "while :; do echo tick; sleep 0.01; done")
        self.oci_fails("resume", "a", says="container not paused")
        self.oci_ok("pause", "a")
        self.assertEqual(self.state("a")["status"], "paused")
        self.oci_fails("exec", "a", "true", code=255, says="cannot exec in a paused container")
        before = (bundle / "out").stat().st_size
        self.assertEqual((bundle / "out").stat().st_size, before)
        self.oci_ok("resume", "a")
        while (bundle / "out").stat().st_size == before:
            pass
        self.oci_ok("pause", "a")
        self.oci_ok("kill", "a", "KILL")
        self.wait_status("a", "stopped")
        self.oci_fails("pause", "a", says="container not running")

    def test_a_created_container_can_be_paused_and_started_when_it_is_resumed(self):
        self.create("a", config("sleep", "1000"))
        self.oci_ok("pause", "a")
        self.assertEqual(self.state("a")["status"], "paused")
        self.oci_fails("start", "a", says="cannot start a container in the paused state")
        self.oci_ok("resume", "a")
        self.assertEqual(self.state("a")["status"], "created")
        self.oci_ok("start", "a")


class Logs(OciTest):
    def test_an_error_is_the_last_line_of_the_json_log_and_on_stderr(self):
        log = self.disk / "log.json"
        done = self.oci("state", "nobody")
        self.assertRegex(done.stderr, r'^time="[^"]+" level=error msg="container does not exist"\n$')
        done = subprocess.run([str(bin_dir() / "wherry-oci"), "--log", str(log), "--log-format", "json",
                               "--root", str(self.root), "state", "nobody"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, "container does not exist\n"))
        line = json.loads(log.read_text().splitlines()[-1])
        self.assertEqual((line["level"], line["msg"]), ("error", "container does not exist"))
        self.assertRegex(line["time"], r"^20\d\d-")

    def test_bad_flags_are_named(self):
        self.oci_fails("--log-format", "xml", "list", says="invalid log-format: 'xml'")
        self.oci_fails("create", "--bundel", "x", "a", says="unknown flag: --bundel")
        self.oci_fails("create", says="takes [OPTIONS] CONTAINER")
        self.oci_fails("nope", says="nope")

    def test_help_and_version_are_there_for_every_command(self):
        program = str(bin_dir() / "wherry-oci")
        help_text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
        commands = [line.split()[0] for line in help_text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()]
        self.assertIn("create", commands)
        for command in commands:
            done = subprocess.run([program, command, "--help"], check=True, capture_output=True, text=True)
            self.assertIn(f"Usage: wherry-oci {command}", done.stdout)
        version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        self.assertRegex(version, r"^wherry-oci version \S+\nspec: 1\.2\.0\n")


if __name__ == "__main__":
    unittest.main()
