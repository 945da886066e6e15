"""`wherry run`: exit codes, streams, environment, users, mounts, names."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
import struct
import fcntl

from base import IMAGE, FunctionalTest


class ExitCodes(FunctionalTest):
    def test_the_code_of_the_process_is_the_code_of_run(self):
        for code in (0, 1, 3, 124, 255):
            with self.subTest(code=code):
                self.assertEqual(self.run_image("sh", "-c", f"exit {code}").returncode, code)

    def test_a_signal_gives_128_and_its_number(self):
        self.assertEqual(self.run_image("sh", "-c", "sh -c 'kill -TERM $$'; exit $?").returncode, 143)
        self.running("--name", "target")
        self.w.ok("kill", "target")
        self.assertEqual(self.w.ok("wait", "target"), "137\n")

    def test_a_missing_command_is_127_and_named(self):
        self.assert_fails(self.run_image("no-such-program"), 127, "no-such-program", "not found")

    def test_a_file_that_is_not_executable_is_126_and_named(self):
        self.assert_fails(self.run_image("/etc/not-executable"), 126, "/etc/not-executable",
                          "permission denied")

    def test_a_directory_as_command_is_126(self):
        self.assert_fails(self.run_image("/etc"), 126, "/etc")

    def test_a_missing_image_is_125_and_named(self):
        done = self.w.try_run("run", "--rm", "--pull", "never", "no-such-image:x", "true")
        self.assert_fails(done, 125, "no-such-image")

    def test_an_unknown_flag_is_125_and_the_nearest_one_is_named(self):
        self.assert_fails(self.w.try_run("run", "--entrypont", "x", IMAGE), 125, "--entrypont", "--entrypoint")

    def test_a_flag_that_is_not_there_yet_is_refused_by_name(self):
        self.assert_fails(self.w.try_run("run", "--gpus", "all", IMAGE, "true"), 125, "--gpus")

    def test_no_image_is_a_usage_error(self):
        done = self.w.try_run("run")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("run", done.stderr)

    def test_a_failed_start_with_rm_leaves_no_container(self):
        self.run_image("no-such-program")
        self.assertEqual(self.w.ids(), [])

    def test_a_failed_start_without_rm_leaves_one_created_with_its_code(self):
        self.w.try_run("run", "--name", "broken", IMAGE, "no-such-program")
        state = self.w.inspect("broken")["State"]
        self.assertEqual((state["Status"], state["ExitCode"], state["Running"]), ("created", 127, False))


class Streams(FunctionalTest):
    def test_stdout_and_stderr_stay_apart(self):
        done = self.run_image("sh", "-c", "echo out; echo err >&2")
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 0))

    def test_stdin_is_empty_without_i(self):
        self.assertEqual(self.output("cat", input="not for you"), "")

    def test_half_closed_stdin_reaches_the_process_while_output_goes_on(self):
        self.assertEqual(self.output("sh", "-c", "cat; echo end", options=["-i"], input="hello\n"),
                         "hello\nend\n")

    def test_megabytes_pass_unchanged_both_ways(self):
        data = os.urandom(1 << 20) * 4
        done = self.run_image("cat", options=["-i"], input=data, text=False)
        self.assertEqual(done.returncode, 0, done.stderr[-500:])
        self.assertTrue(done.stdout == data)

    def test_the_last_bytes_before_the_exit_arrive(self):
        for _ in range(10):
            self.assertEqual(len(self.output("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x")), 100000)

    def test_a_tty_is_a_tty_with_merged_streams_and_carriage_returns(self):
        code, out = self.on_terminal("run", "--rm", "-it", IMAGE, "sh", "-c", "tty; echo $TERM; echo err >&2")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"^/dev/pts/\d+\r\nxterm\r\nerr\r\n")

    def test_the_terminal_s_size_is_the_container_s(self):
        code, out = self.on_terminal("run", "--rm", "-it", IMAGE, "stty", "size", rows=33, columns=101)
        self.assertEqual((code, out.strip()), (0, "33 101"))

    def test_a_resize_arrives(self):
        script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done"
        code, out = self.on_terminal("run", "--rm", "-it", IMAGE, "sh", "-c", script, resize=(44, 122))
        self.assertEqual(code, 0, out)
        self.assertIn("44 122", out)

    def test_t_without_a_terminal_is_an_error(self):
        done = self.w.try_run("run", "--rm", "-it", IMAGE, "true", input="")
        self.assert_fails(done, 1, "the input device is not a TTY")

    def on_terminal(self, *args, rows=24, columns=80, resize=None) -> tuple[int, str]:
        """Runs a command on a pseudo-terminal; with `resize`, after it has said "ready"."""
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = self.w.start(*args, stdin=side, stdout=side, stderr=side, start_new_session=True)
        os.close(side)
        out, deadline = b"", time.monotonic() + 30
        while time.monotonic() < deadline:
            if not select.select([main], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                chunk = os.read(main, 65536)
            except OSError:  # all other ends are closed
                break
            out += chunk
            if resize and b"ready" in out:
                fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", *resize, 0, 0))
                process.send_signal(signal.SIGWINCH)
                resize = None
        code = process.wait(10)
        os.close(main)
        return code, out.decode()


class Signals(FunctionalTest):
    SCRIPT = "trap 'echo got {0}; exit 7' {0}; echo ready; while :; do sleep 0.1; done"

    def test_signals_to_the_client_reach_the_process(self):
        for number, name in ((signal.SIGTERM, "TERM"), (signal.SIGINT, "INT"), (signal.SIGHUP, "HUP"),
                             (signal.SIGUSR1, "USR1")):
            with self.subTest(signal=name):
                process = self.w.start("run", "--rm", IMAGE, "sh", "-c", self.SCRIPT.format(name))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(number)
                out, _ = process.communicate(timeout=20)
                self.assertEqual((out.decode(), process.returncode), (f"got {name}\n", 7))

    def test_a_killed_client_leaves_the_container_running(self):
        process = self.w.start("run", "--name", "orphan", IMAGE, "sh", "-c", "echo ready; sleep 1000")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.kill()
        process.communicate()
        self.assertTrue(self.w.inspect("orphan")["State"]["Running"])

    def test_a_killed_client_of_rm_has_its_container_removed_at_the_end(self):
        process = self.w.start("run", "--rm", "--name", "brief", IMAGE, "sh", "-c", "echo ready; sleep 1")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.kill()
        process.communicate()
        self.w.wait_for(lambda: self.w.ids() == [])


class Settings(FunctionalTest):
    def test_the_environment_has_docker_s_defaults_and_nothing_of_the_caller(self):
        out = dict(line.split("=", 1) for line in
                   self.output("env", env={"SECRET": "x"}).splitlines())
        self.assertEqual(set(out), {"PATH", "HOSTNAME", "HOME"})
        self.assertEqual(out["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        self.assertEqual(out["HOME"], "/root")

    def test_e_wins_over_env_file_and_takes_the_caller_s_value_by_name(self):
        file = self.scratch("env") / "file"
        file.write_text("# comment\nA=from file\nB=from file\n")
        out = self.output("sh", "-c", 'echo "$A|$B|$C|${D-unset}"', env={"C": "from caller"},
                          options=["--env-file", file, "-e", "B=from flag", "-e", "C", "-e", "D"])
        self.assertEqual(out, "from file|from flag|from caller|unset\n")

    def test_the_hostname_is_the_short_id_or_h(self):
        name = self.running()
        self.assertEqual(self.w.ok("exec", name, "hostname").strip(), name[:12])
        self.assertEqual(self.output("hostname", options=["-h", "box"]), "box\n")

    def test_the_working_directory_is_made_when_missing(self):
        self.assertEqual(self.output("pwd", options=["-w", "/new/place"]), "/new/place\n")

    def test_users_are_looked_up_in_the_image(self):
        self.assertEqual(self.output("id", options=["-u", "web"]),
                         "uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)\n")
        self.assertEqual(self.output("sh", "-c", "id -u; id -g", options=["-u", "1234:5678"]), "1234\n5678\n")
        self.assertEqual(self.output("sh", "-c", "echo $HOME", options=["-u", "web"]), "/home/web\n")

    def test_an_unknown_user_is_named(self):
        done = self.run_image("true", options=["-u", "nosuchuser"])
        self.assertIn(done.returncode, (125, 126))
        self.assertIn("nosuchuser", done.stderr)

    def test_entrypoint_clears_the_command_of_the_image(self):
        self.w.ok("import", "--change", 'CMD ["echo","from image"]', self.tar(), "withcmd:test")
        self.addCleanup(self.w.ok, "rmi", "-f", "withcmd:test")
        self.assertEqual(self.w.ok("run", "--rm", "withcmd:test"), "from image\n")
        self.assertEqual(self.w.ok("run", "--rm", "--entrypoint", "echo", "withcmd:test"), "\n")

    def tar(self):
        from harness import images
        return images.busybox_tar()

    def test_read_only_refuses_writes_but_for_mounts(self):
        done = self.run_image("touch", "/x", options=["--read-only"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("Read-only file system", done.stderr)
        self.output("touch", "/dev/shm/x", options=["--read-only"])

    def test_labels_are_recorded(self):
        name = self.running("-l", "a=b", "--label", "bare")
        self.assertEqual(self.w.inspect(name)["Config"]["Labels"], {"a": "b", "bare": ""})

    def test_d_prints_the_full_id_only(self):
        self.assertRegex(self.w.ok("run", "-d", IMAGE, "true"), r"\A[0-9a-f]{64}\n\Z")

    def test_a_name_in_use_names_its_owner(self):
        owner = self.running("--name", "taken")
        done = self.w.try_run("run", "--name", "taken", IMAGE, "true")
        self.assert_fails(done, 125, 'The container name "/taken" is already in use', owner)

    def test_a_bad_name_is_refused(self):
        self.assert_fails(self.w.try_run("run", "--name", "a/b", IMAGE, "true"), 125, "a/b")

    def test_random_names_are_an_adjective_and_a_surname(self):
        self.assertRegex(self.w.inspect(self.running())["Name"], r"^/[a-z]+_[a-z]+\d*$")


class Mounts(FunctionalTest):
    def test_a_bind_mount_shows_the_host_s_files_and_takes_writes(self):
        folder = self.scratch("bind")
        (folder / "in").write_text("from host\n")
        self.assertEqual(self.output("sh", "-c", "cat /m/in; echo back > /m/out",
                                     options=["-v", f"{folder}:/m"]), "from host\n")
        self.assertEqual((folder / "out").read_text(), "back\n")

    def test_ro_refuses_writes(self):
        done = self.run_image("touch", "/m/x", options=["-v", f"{self.scratch('ro')}:/m:ro"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("Read-only file system", done.stderr)

    def test_a_missing_host_directory_is_made(self):
        folder = self.scratch("missing") / "made" / "here"
        self.output("true", options=["-v", f"{folder}:/m"])
        self.assertTrue(folder.is_dir())

    def test_a_bad_mount_is_named(self):
        self.assert_fails(self.run_image("true", options=["-v", "/a:relative"]), 125, "relative")
        self.assert_fails(self.run_image("true", options=["-v", "/a:/b:nonsense"]), 125, "nonsense")

    def test_a_named_volume_is_filled_from_the_image_and_kept(self):
        self.assertEqual(self.output("cat", "/var/data/seed", options=["-v", "vol:/var/data"]),
                         "from the image\n")
        self.output("sh", "-c", "echo kept > /var/data/more", options=["-v", "vol:/var/data"])
        self.assertEqual(self.output("cat", "/v/more", options=["-v", "vol:/v"]), "kept\n")

    def test_the_host_s_mount_table_does_not_grow(self):
        with open("/proc/self/mountinfo") as file:
            before = file.read()
        self.running("-v", f"{self.scratch('table')}:/m")
        with open("/proc/self/mountinfo") as file:
            self.assertEqual(file.read(), before)


class Confinement(FunctionalTest):
    def test_the_default_capabilities_are_docker_s_fourteen(self):
        out = self.output("grep", "-E", "^Cap(Inh|Prm|Eff|Bnd|Amb)", "/proc/self/status")
        masks = {line.split(":")[0]: line.split()[1] for line in out.splitlines()}
        self.assertEqual(masks, {"CapInh": "0" * 16, "CapPrm": "00000000a80425fb",
                                 "CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb",
                                 "CapAmb": "0" * 16})

    def test_cap_drop_and_cap_add_change_them(self):
        def bounding(*options):
            return int(self.output("sh", "-c", "grep CapBnd /proc/self/status", options=options).split()[1], 16)
        self.assertEqual(bounding("--cap-drop", "ALL"), 0)
        self.assertEqual(bounding("--cap-drop", "all", "--cap-add", "CHOWN"), 1)
        self.assertEqual(bounding("--cap-add", "NET_ADMIN"), 0xa80425fb | 1 << 12)

    def test_an_unknown_capability_is_named(self):
        self.assert_fails(self.run_image("true", options=["--cap-add", "FLY"]), 125, "FLY")

    def test_a_seccomp_filter_is_on_and_refuses_mounts_and_namespaces(self):
        self.assertIn("Seccomp:\t2\n", self.output("grep", "Seccomp:", "/proc/self/status"))
        self.assertNotEqual(self.run_image("unshare", "-m", "true").returncode, 0)

    def test_kernel_paths_are_masked_and_read_only(self):
        masked = [path for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats")
                  if os.path.exists(path)]
        self.assertGreater(len(masked), 0)
        for path in masked:
            self.assertEqual(self.output("cat", path), "", path)
        self.assertEqual(self.output("ls", "/sys/firmware"), "")
        for path in ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/x"):
            self.assertNotEqual(self.run_image("sh", "-c", f"echo x > {path}").returncode, 0, path)

    def test_the_devices_are_the_usual_ones(self):
        out = self.output("ls", "/dev").split()
        # /dev/core is there where the kernel has /proc/kcore.
        self.assertEqual(set(out) - {"core"}, {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm",
                                    "stderr", "stdin", "stdout", "tty", "urandom", "zero"})
        self.assertEqual(self.run_image("sh", "-c", "mknod /tmp/d b 7 0 && cat /tmp/d").returncode, 1)

    def test_privileged_has_all_capabilities_and_no_filter(self):
        out = self.output("sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status", options=["--privileged"])
        with open("/proc/self/status") as file:
            ours = re.search(r"CapEff:\t(\w+)", file.read())[1]
        self.assertIn(f"CapEff:\t{ours}", out)
        self.assertIn("Seccomp:\t0", out)

    def test_the_process_is_alone_in_its_pid_namespace(self):
        self.assertEqual(self.output("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'").split()[0], "1")

    def test_no_descriptor_of_the_engine_is_inherited(self):
        self.assertEqual(self.output("sh", "-c", "ls /proc/1/fd | tr '\\n' ' '").split()[:3], ["0", "1", "2"])
        # The fourth is ls reading the directory.
        self.assertEqual(self.output("ls", "/proc/self/fd").split(), ["0", "1", "2", "3"])


class Limits(FunctionalTest):
    def test_limits_are_written_to_the_cgroup(self):
        name = self.running("-m", "64m", "--cpus", "0.5", "--pids-limit", "30")
        host = self.w.inspect(name)["HostConfig"]
        self.assertEqual((host["Memory"], host["NanoCpus"], host["PidsLimit"]), (64 << 20, 500000000, 30))
        files = self.w.ok("exec", name, "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes "
                          "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max")
        self.assertEqual(files.split(), [str(64 << 20), "50000", "30"])

    def test_too_much_memory_is_an_oom_kill_that_inspect_tells(self):
        done = self.w.try_run("run", "--name", "hungry", "-m", "16m", IMAGE, "sh", "-c",
                              "head -c 200m /dev/zero | tail")
        self.assertIn(done.returncode, (137, 1))
        self.assertTrue(self.w.inspect("hungry")["State"]["OOMKilled"])

    def test_a_fork_bomb_is_stopped_by_the_pids_limit(self):
        done = self.run_image("sh", "-c", "for i in $(seq 50); do sleep 1 & done; wait",
                              options=["--pids-limit", "10"])
        self.assertIn("fork", done.stderr)

    def test_too_little_memory_is_refused(self):
        self.assert_fails(self.run_image("true", options=["-m", "1m"]), 125, "memory")

    def test_bad_numbers_are_refused_by_name(self):
        for flag, value in (("-m", "lots"), ("--cpus", "x"), ("--pids-limit", "many")):
            with self.subTest(flag=flag):
                self.assert_fails(self.run_image("true", options=[flag, value]), 125, value)


class Independence(FunctionalTest):
    def test_the_container_outlives_its_caller_s_session(self):
        script = f"{subprocess.list2cmdline(self.w.command('run', '-d', '--name', 'free', IMAGE, 'sleep', '1000'))}"
        subprocess.run(["setsid", "sh", "-c", script], check=True, env=self.w.environment(),
                       stdout=subprocess.DEVNULL)
        pid = self.w.inspect("free")["State"]["Pid"]
        with open(f"/proc/{pid}/stat") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
        with open(f"/proc/{parent}/stat") as file:
            words = file.read().rpartition(")")[2].split()
        self.assertEqual((words[1], words[3]), ("1", str(parent)), "the monitor leads a session below init")
        self.assertEqual(os.readlink(f"/proc/{parent}/cwd"), "/")

    def test_docker_host_is_an_error_and_never_ignored(self):
        done = self.w.try_run("ps", env={"DOCKER_HOST": "tcp://127.0.0.1:2375"})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("DOCKER_HOST", done.stderr)
