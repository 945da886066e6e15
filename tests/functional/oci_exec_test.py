"""wherry-oci exec: flags, --process, terminals, codes; and console sockets as conmon and the shim use them."""
import array
import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import threading
import unittest

from oci_base import ENVIRONMENT, OciTest, config


def receive_fd(path: pathlib.Path) -> tuple[threading.Thread, list]:
    """A listening socket at `path`; the list gets (message, fd) of the one who connects."""
    got, server = [], socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def accept():
        with server, server.accept()[0] as connection:
            message, control, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
            fds = array.array("i")
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(data[:4])
            got.append((message, fds[0] if fds else -1))

    thread = threading.Thread(target=accept)
    thread.start()
    return thread, got


def read_until(fd: int, end: bytes) -> bytes:
    data = b""
    while end not in data:
        if not select.select([fd], [], [], 20)[0]:
            raise AssertionError(f"waited in vain for {end!r}; came: {data!r}")
        data += os.read(fd, 4096)
    return data


class Exec(OciTest):
    def test_it_has_the_configurations_process_but_for_what_flags_change(self):
        self.running("a")
        self.assertEqual(self.oci_ok("exec", "a", "sh", "-c", "echo $FROM_CONFIG $(id -u) $PWD"), "yes 0 /\n")
        done = self.oci_ok("exec", "--cwd", "/tmp", "-e", "A=b", "--env", "C=d", "-u", "1000:1000", "-g", "2000", "a",
                           "sh", "-c", "echo $A $C $(id -u):$(id -g) $(id -G) $PWD")
        self.assertEqual(done, "b d 1000:1000 1000 2000 /tmp\n")

    def test_a_variable_is_there_once_and_home_is_the_users(self):
        (self.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:77:77::/srv/web:/bin/sh\n")
        self.running("a", **{"process": {**config("sleep", "1000")["process"], "env": ["PATH=/bin", "A=1", "A=2"]}})
        self.assertEqual(self.oci_ok("exec", "-e", "A=3", "-e", "PATH=/usr/bin:/bin", "a", "env"),
                         "PATH=/usr/bin:/bin\nA=3\nHOME=/root\n")
        for user, home in (("77", "/srv/web"), ("4242", "/")):
            self.assertEqual(self.oci_ok("exec", "-u", user, "a", "sh", "-c", "echo $HOME"), home + "\n")
        self.assertEqual(self.oci_ok("exec", "-e", "HOME=", "a", "sh", "-c", "echo $HOME"), "/root\n")
        self.assertEqual(self.oci_ok("exec", "-e", "HOME=/mine", "a", "sh", "-c", "echo $HOME"), "/mine\n")
        init = pathlib.Path(f"/proc/{self.state('a')['pid']}/environ").read_bytes()
        self.assertEqual(init, b"PATH=/bin\0A=2\0HOME=/root\0")

    def test_what_it_keeps_of_the_configuration_may_be_gone_or_damaged(self):
        configuration = config("sleep", "1000")
        configuration["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
        bundle = self.create("a", configuration)
        self.oci_ok("start", "a")
        (bundle / "config.json").write_text("{}")  # what counts is what was made
        kept = self.root / "a/exec"

        def is_confined():
            done = self.oci("exec", "a", "sh", "-c", "echo $FROM_CONFIG; mkdir /never")
            self.assertEqual((done.returncode, done.stdout), (1, "yes\n"))
            self.assertIn("not supported", done.stderr.lower())

        is_confined()
        text = kept.read_text()
        is_confined()
        self.assertEqual(kept.read_text(), text)
        for damage in ("", "wherry-exec-1 - 0", "wherry-exec-0 - 0\n{}", "wherry-exec-1 - x\n{}",
                       text.replace("{", "[", 1), text[:-20]):
            kept.write_text(damage)
            is_confined()
            self.assertEqual(kept.read_text(), text, f"made anew after {damage[:30]!r}")
        for program in (self.root / ".cache/seccomp").iterdir():
            program.unlink()
        is_confined()
        self.oci_ok("pause", "a")
        self.oci_fails("exec", "a", "true", code=255, says="cannot exec in a paused container")
        self.oci_ok("resume", "a")

    def test_only_the_init_gets_a_working_directory_that_is_missing(self):
        (self.rootfs / "made").exists() and self.fail("the root is not fresh")
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.rootfs / "made")], check=True)
        bundle = self.create("a", config("sh", "-c", "pwd; exec sleep 1000", cwd="/made/deep"))
        self.oci_ok("start", "a")
        self.oci_ok("exec", "a", "test", "-d", "/made/deep")
        self.assertEqual((bundle / "out").read_text(), "/made/deep\n")
        self.oci_fails("exec", "--cwd", "/none", "a", "true", code=255,
                       says="cannot enter the working directory '/none'")

    def test_streams_and_code_are_the_programs(self):
        self.running("a")
        done = self.oci("exec", "a", "sh", "-c", "cat; echo oops >&2; exit 42", input="through\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (42, "through\n", "oops\n"))
        self.assertEqual(self.oci("exec", "a", "sh", "-c", "kill -9 $$").returncode, 137)

    def test_it_runs_in_all_namespaces_and_cgroups_of_the_container(self):
        self.running("a")
        pid = self.state("a")["pid"]
        listing = "for n in pid net ipc uts mnt cgroup user; do readlink /proc/self/ns/$n; done"
        ours = [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup", "user")]
        self.assertEqual(self.oci_ok("exec", "a", "sh", "-c", listing).split(), ours)
        self.assertEqual(set(self.oci_ok("exec", "a", "cut", "-d:", "-f3", "/proc/self/cgroup").split()), {"/"})

    def test_it_runs_in_a_cgroup_below_the_containers(self):
        self.running("a")
        for directory in self.cgroups("a").values():
            (directory / "all").mkdir()
        made = self.cgroups("a")["memory"] / "some"
        made.mkdir()
        show = ("a", "cat", "/proc/self/cgroup")

        def places(*words) -> dict[str, str]:
            lines = self.oci_ok("exec", *words, *show).splitlines()
            return {line.split(":")[1]: line.split(":")[2] for line in lines}
        self.assertEqual(set(places("--cgroup", "all").values()), {"/all"})
        own = {name: "/" for name in places()}
        self.assertEqual(places("--cgroup", "memory:/some"), own | {"memory": "/some"})
        self.assertEqual(places("--cgroup", "memory:some", "--cgroup", "pids,freezer,systemd:/all"),
                         own | {"memory": "/some", "pids": "/all", "freezer": "/all", "name=systemd": "/all"})
        self.assertEqual(places("--cgroup", "/"), own)
        for words, why in (
                (("memory:/none",), "/none': no such file or directory"),
                (("some",), "/some': no such file or directory"),  # there for one controller only
                (("nosuch:/some",), "no cgroup of a controller 'nosuch'"),
                (("memory:/../..",), "'.' or '..'"),
                (("memory,:/some",), "has no name"),
                (("memory:/some", "memory:/all"), "controller 'memory' was given before"),
                (("all", "memory:/some"), "only one can be without a controller")):
            with self.subTest(words):
                flags = [word for argument in words for word in ("--cgroup", argument)]
                self.oci_fails("exec", *flags, *show, code=255, says=why)

    def cgroups(self, name: str) -> dict[str, pathlib.Path]:
        """Where the container's cgroup is: "memory", "systemd", "" for version 2 -> its directory."""
        mounts = {}
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            before, after = line.split(" - ")
            if after.startswith("cgroup2 "):
                mounts[""] = before.split()[4]
            elif after.startswith("cgroup "):
                mounts[pathlib.Path(before.split()[4]).name] = before.split()[4]
        lines = pathlib.Path(f"/proc/{self.state(name)['pid']}/cgroup").read_text().splitlines()
        own = {line.split(":")[1].removeprefix("name="): line.split(":", 2)[2] for line in lines}
        return {kind: pathlib.Path(top + own[kind]) for kind, top in mounts.items() if kind in own}

    def test_capabilities_are_added_and_never_inheritable(self):
        self.running("a")
        show = ("sh", "-c", "grep -E 'Cap(Inh|Eff)|NoNewPrivs' /proc/self/status | cut -f2 | tr '\\n' ' '")
        plain = self.oci_ok("exec", "a", *show).split()
        more = self.oci_ok("exec", "--cap", "CAP_NET_RAW", "a", *show).split()
        self.assertEqual(int(more[1], 16) & ~int(plain[1], 16), 1 << 13)
        self.assertEqual((plain[0], more[0]), ("0" * 16, "0" * 16))
        self.assertIn("'CAP_NOPE'", self.oci("exec", "--cap", "CAP_NOPE", "a", "true").stderr)

    def test_users_that_are_no_numbers_are_refused(self):
        self.running("a")
        for user in ("1000x", "", "1:", ":1", "99999999999", "-1", "root"):
            self.oci_fails("exec", f"--user={user}", "a", "true", code=255, says="invalid")

    def test_a_process_file_says_it_all(self):
        self.running("a")
        file = self.disk / "process.json"
        self.addCleanup(file.unlink)
        file.write_text(json.dumps({"args": ["sh", "-c", "echo $X $PWD $(id -u)"], "cwd": "/etc", "env": ["X=y", "PATH=/bin"],
                                    "user": {"uid": 1000, "gid": 1000}}))
        self.assertEqual(self.oci_ok("exec", "--process", file, "a"), "y /etc 1000\n")
        file.write_text("{")
        self.oci_fails("exec", "--process", file, "a", code=255, says="not JSON")
        file.write_text('{"args": [], "cwd": "/"}')
        self.oci_fails("exec", "--process", file, "a", code=255, says="process args cannot be empty")

    def test_detached_it_writes_a_pid_file_and_goes_on(self):
        self.running("a")
        file = self.disk / "exec-pid"
        self.addCleanup(file.unlink)
        subprocess.run(self.command("exec", "-d", "--pid-file", file, "a", "sleep", "999"), check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = int(file.read_text())
        self.assertEqual(sorted(json.loads(self.oci_ok("ps", "-f", "json", "a"))), sorted([pid, self.state("a")["pid"]]))
        self.assertIn(b"999", pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())

    def test_missing_programs_and_containers_are_told(self):
        self.running("a")
        self.oci_fails("exec", "a", "nothere", code=255, says='exec: "nothere": executable file not found in $PATH')
        self.oci_fails("exec", "a", code=255, says="process args cannot be empty")
        self.oci_fails("exec", "b", "true", code=255, says="container does not exist")

    def test_working_directories_that_lead_out_are_refused(self):
        self.running("a")
        for number in range(3, 12):
            self.oci_fails("exec", "--cwd", f"/proc/self/fd/{number}", "a", "true", code=255)


class Terminals(OciTest):
    def test_a_console_socket_gets_the_masters_fd_for_create(self):
        thread, got = receive_fd(self.disk / "console")
        self.addCleanup((self.disk / "console").unlink)
        self.create("a", config("sh", "-c", "tty; stty size; read x; echo got $x", terminal=True,
                                consoleSize={"height": 33, "width": 99}), "--console-socket", self.disk / "console")
        thread.join(20)
        (message, master), = got
        self.assertTrue(message)
        self.oci_ok("start", "a")
        self.assertIn(b"33 99", read_until(master, b"99\r\n"))
        os.write(master, b"word\n")
        self.assertIn(b"got word", read_until(master, b"got word\r\n"))
        os.close(master)
        self.wait_status("a", "stopped")

    def test_a_console_socket_gets_the_masters_fd_for_exec(self):
        self.running("a")
        thread, got = receive_fd(self.disk / "console")
        self.addCleanup((self.disk / "console").unlink)
        self.oci_ok("exec", "-d", "-t", "--console-socket", self.disk / "console", "a", "sh", "-c", "tty; sleep 1000")
        thread.join(20)
        master = got[0][1]
        self.assertIn(b"/dev/pts/", read_until(master, b"\r\n"))
        os.close(master)

    def test_a_terminal_needs_a_socket_when_nobody_stays(self):
        bundle = self.bundle(config("true", terminal=True))
        self.oci_fails("create", "-b", bundle, "a", says="console")
        self.oci_fails("create", "-b", self.bundle(config("true")), "--console-socket", "/nothere", "a", says="console socket")
        self.oci_fails("create", "-b", bundle, "--console-socket", "/nothere", "a", says="/nothere")

    @contextlib.contextmanager
    def on_terminal(self, *words):
        """(process, master): wherry-oci on a terminal of 20 rows and 70 columns, which must not be left raw."""
        master, slave = os.openpty()
        subprocess.run(["stty", "rows", "20", "cols", "70"], stdin=slave, check=True)
        process = subprocess.Popen(self.command(*words), stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT,
                                   start_new_session=True)
        try:
            yield process, master
            settings = subprocess.run(["stty", "-a"], stdin=slave, check=True, capture_output=True, text=True).stdout
            self.assertIn(" echo ", settings, "the terminal was left raw")
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)

    def test_run_in_the_foreground_relays_the_callers_terminal(self):
        bundle = self.bundle(config("sh", "-c", "stty size; read x; echo got $x; exit 4", terminal=True))
        with self.on_terminal("run", "-b", bundle, "a") as (process, master):
            self.assertEqual(read_until(master, b"\r\n"), b"20 70\r\n")
            os.write(master, b"word\r")
            self.assertIn(b"got word", read_until(master, b"got word\r\n"))
            self.assertEqual(process.wait(20), 4)

    def test_the_program_of_run_finds_the_callers_size_at_once(self):
        document = config("sh", "-c", "stty size; read x", terminal=True, consoleSize={"height": 5, "width": 6})
        # `run` is kept from its relay by the hook, while the program runs.
        document["hooks"] = {"poststart": [{"path": "/bin/sleep", "args": ["sleep", "0.5"]}]}
        with self.on_terminal("run", "-b", self.bundle(document), "a") as (process, master):
            self.assertEqual(read_until(master, b"\r\n"), b"20 70\r\n")
            os.write(master, b"\r")
            self.assertEqual(process.wait(20), 0)

    def test_the_program_of_exec_finds_the_callers_size_and_what_it_becomes(self):
        self.running("a")
        script = "stty size; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done"
        with self.on_terminal("exec", "-t", "a", "sh", "-c", script) as (process, master):
            self.assertEqual(read_until(master, b"ready\r\n"), b"20 70\r\nready\r\n")
            subprocess.run(["stty", "rows", "30", "cols", "90"], stdin=master, check=True)
            process.send_signal(signal.SIGWINCH)
            self.assertIn(b"30 90", read_until(master, b"90\r\n"))
            self.assertEqual(process.wait(20), 3)


if __name__ == "__main__":
    unittest.main()
