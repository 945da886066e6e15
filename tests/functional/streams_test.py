"""Every exit code, signals both ways, and streams that carry any bytes and end as they should."""
import concurrent.futures
import hashlib
import os
import signal
import subprocess

from base import IMAGE, FunctionalTest

# The shell takes a signal at its next turn; "ready" comes after its trap.
_TRAP = "trap 'echo got {0}; exit {1}' {0}; echo ready; while :; do sleep 0.05; done"


class Codes(FunctionalTest):
    def test_every_code_from_0_to_255_is_run_s_own(self):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            codes = list(pool.map(lambda code: self.run_image("sh", "-c", f"exit {code}",
                                                              options=["--network", "none"]).returncode,
                                  range(256)))
        self.assertEqual(codes, list(range(256)))

    def test_a_signal_s_end_is_128_and_its_number_for_exec(self):
        name = self.running()
        for number in (1, 2, 6, 9, 10, 13, 14, 15):
            with self.subTest(number):
                done = self.w.try_run("exec", name, "sh", "-c", f"kill -{number} $$; sleep 10")
                self.assertEqual(done.returncode, 128 + number)

    def test_a_kill_from_outside_is_137_for_the_one_who_waits(self):
        process = self.w.start("run", "--name", "victim", IMAGE, "sh", "-c", "echo ready; sleep 1000")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.w.ok("kill", "victim")
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 137)

    def test_start_a_and_attach_give_the_code_too(self):
        name = self.w.ok("create", IMAGE, "sh", "-c", "echo ready; while ! test -e /go; do sleep 0.05; done; exit 44")
        name = name.strip()
        first = self.w.start("start", "-a", name)
        self.assertEqual(first.stdout.readline(), b"ready\n")
        second = self.w.start("attach", "--no-stdin", name)
        self.w.ok("exec", name, "touch", "/go")
        for process in (first, second):
            process.communicate(timeout=20)
            self.assertEqual(process.returncode, 44)

    def test_a_path_that_is_not_there_is_127(self):
        self.assert_fails(self.run_image("/no/such/program"), 127, "/no/such/program")

    def test_a_script_without_its_interpreter_is_127_and_a_garbage_file_126(self):
        folder = self.scratch("programs")
        (folder / "script").write_text("#!/no/such/interpreter\n")
        (folder / "garbage").write_bytes(os.urandom(100))
        for file in folder.iterdir():
            file.chmod(0o755)
        options = ["-v", f"{folder}:/p"]
        self.assert_fails(self.run_image("/p/script", options=options), 127, "/p/script")
        self.assert_fails(self.run_image("/p/garbage", options=options), 126, "/p/garbage", "exec format error")


class Signals(FunctionalTest):
    def test_each_signal_of_the_client_s_is_the_process_s(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                       signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH):
            with self.subTest(number.name):
                name = number.name.removeprefix("SIG")
                process = self.w.start("run", "--rm", "--network", "none", IMAGE, "sh", "-c", _TRAP.format(name, 7))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(number)
                out, _ = process.communicate(timeout=20)
                self.assertEqual((out.decode(), process.returncode), (f"got {name}\n", 7))

    def test_without_sig_proxy_the_client_ends_and_the_container_goes_on(self):
        process = self.w.start("run", "--sig-proxy=false", "--name", "deaf", IMAGE, "sh", "-c", _TRAP.format("INT", 7))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertNotEqual(process.returncode, 7)
        self.assertTrue(self.w.inspect("deaf")["State"]["Running"])

    def test_kill_s_takes_every_spelling(self):
        for spelling in ("USR1", "SIGUSR1", "usr1", "10"):
            with self.subTest(spelling):
                process = self.w.start("run", "--name", "box", "--network", "none", IMAGE, "sh", "-c",
                                       _TRAP.format("USR1", 9))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                self.assertEqual(self.w.ok("kill", "-s", spelling, "box"), "box\n")
                self.assertEqual((process.communicate(timeout=20)[0], process.returncode), (b"got USR1\n", 9))
                self.w.ok("rm", "box")

    def test_stop_asks_with_the_signal_of_the_flag_of_the_container_or_of_the_image(self):
        self.w.ok("import", "--change", "STOPSIGNAL SIGUSR1", self.tar(), "usr1:test")
        self.addCleanup(self.w.ok, "rmi", "usr1:test")
        for image, options, stop, expected in ((IMAGE, [], ["-s", "HUP"], "HUP"),
                                               (IMAGE, ["--stop-signal", "USR2"], [], "USR2"),
                                               ("usr1:test", [], [], "USR1")):
            with self.subTest(expected):
                process = self.w.start("run", "--name", "box", "--network", "none", *options, image, "sh", "-c",
                                       _TRAP.format(expected, 3))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                self.w.ok("stop", *stop, "box")
                self.assertEqual((process.communicate(timeout=20)[0].decode(), process.returncode),
                                 (f"got {expected}\n", 3))
                self.w.ok("rm", "box")

    def tar(self):
        from harness import images
        return images.busybox_tar()


class Bytes(FunctionalTest):
    SIZE = 5 << 20

    def test_five_megabytes_of_anything_pass_both_ways_through_run_and_exec(self):
        data = os.urandom(self.SIZE)
        name = self.running()
        for words in (("run", "--rm", "-i", IMAGE), ("exec", "-i", name)):
            with self.subTest(words[0]):
                done = self.w.try_run(*words, "cat", input=data, text=False)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    def test_both_streams_carry_megabytes_at_once_and_stay_apart(self):
        script = "head -c 2000000 /dev/zero | tr '\\0' e >&2 & head -c 2000000 /dev/zero | tr '\\0' o; wait"
        done = self.run_image("sh", "-c", script)
        self.assertTrue(done.stdout == "o" * 2000000 and done.stderr == "e" * 2000000, (done.returncode,
                        len(done.stdout), len(done.stderr)))

    def test_a_half_closed_stdin_ends_the_input_while_output_goes_on(self):
        name = self.running()
        for words in (("run", "--rm", "-i", IMAGE), ("exec", "-i", name)):
            with self.subTest(words[0]):
                process = self.w.start(*words, "sh", "-c", "md5sum; read x; echo \"code $?\"; seq 1000; exit 8")
                out, err = process.communicate(b"hello\n", timeout=20)
                self.assertEqual((process.returncode, err), (8, b""))
                self.assertEqual(out.decode().split("\n")[:2] + out.decode().split("\n")[-2:],
                                 ["b1946ac92492d2347c6235b4d2611184  -", "code 1", "1000", ""])

    def test_input_arrives_as_it_is_typed(self):
        process = self.w.start("run", "--rm", "-i", IMAGE, "cat")
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), line)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)

    def test_a_program_that_does_not_read_does_not_hold_up_the_client(self):
        process = self.w.start("run", "--rm", "-i", IMAGE, "sh", "-c", "exit 3")
        try:
            process.communicate(b"x" * self.SIZE, timeout=20)
        except BrokenPipeError:
            pass
        self.assertEqual(process.wait(20), 3)

    def test_a_client_whose_output_nobody_reads_ends(self):
        process = self.w.start("run", "--rm", "--name", "chatty", IMAGE, "yes")
        self.assertEqual(process.stdout.readline(), b"y\n")
        process.stdout.close()
        process.wait(20)
        process.stdin.close()
        process.stderr.close()

    def test_a_reads_only_the_streams_asked_for(self):
        done = self.run_image("sh", "-c", "echo out; echo err >&2", options=["-a", "stderr"])
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("", "err\n", 0))

    def test_closed_standard_streams_of_the_client_do_no_harm(self):
        done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh",
                               *self.w.command("run", "--rm", IMAGE, "sh", "-c", "echo x; exit 12")],
                              env=self.w.environment(), timeout=30)
        self.assertEqual(done.returncode, 12)
