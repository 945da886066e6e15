"""Real engines with wherry-oci as their runtime: dockerd, podman, containerd, buildah."""
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

from harness import images, peers
from harness.paths import bin_dir
from oci_base import config

IMAGE = "busybox:oci"
# A process that takes more memory than it may have: not before its engine watches, which nobody tells it, and its
# parent goes on for a moment, since engines forget what they hear after the end.
HOG = ["sh", "-c", "sleep 0.5; tail /dev/zero; sleep 1; exit 3"]


class EngineTest(unittest.TestCase):
    """self.data: a folder on the test's disk which the engine sees as /peer, with the runtime in it."""

    needs_peers = True
    in_another_root = True
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.data = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"engine-{cls.__name__}"
        cls.data.mkdir()
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", str(cls.data)], check=True)
        shutil.copy(bin_dir() / "wherry-oci", cls.data / "wherry-oci")
        shutil.copy(images.busybox_tar(), cls.data / "busybox.tar")

    def eventually(self, question, what: str, timeout: float = 20):
        deadline = time.monotonic() + timeout
        while not (answer := question()):
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)  # another program's state
        return answer


class Docker(EngineTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.docker = peers.Dockerd(cls.data, options=["--bridge=none", "--iptables=false",
                                                      "--add-runtime", "wherry=/peer/wherry-oci"])
        cls.docker.__enter__()
        cls.addClassCleanup(cls.docker.close)
        cls.docker.ok("import", "/peer/busybox.tar", IMAGE)

    def setUp(self):
        self.addCleanup(self._remove_all)

    def _remove_all(self):
        names = self.docker.ok("ps", "-aq").split()
        if names:
            self.docker.ok("rm", "-f", *names)

    def run_image(self, *command, options=()):
        return self.docker.run("run", "--rm", "--runtime", "wherry", "--network", "none", *options, IMAGE, *command)

    def detached(self, *command, options=()) -> str:
        return self.docker.ok("run", "-d", "--runtime", "wherry", "--network", "none", *options, IMAGE,
                              *command).strip()

    def inspect(self, name: str, template: str) -> str:
        return self.docker.ok("inspect", "--format", template, name).strip()

    def test_run_gives_streams_and_code(self):
        done = self.docker.run("run", "--rm", "-i", "--runtime", "wherry", "--network", "none", IMAGE,
                               "sh", "-c", "cat; echo oops >&2; exit 42", input="through\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (42, "through\n", "oops\n"))

    def test_it_is_really_this_runtime_with_dockers_confinement(self):
        script = "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status; cat /proc/1/cgroup | wc -l; id -u"
        ours = self.run_image("sh", "-c", script)
        theirs = self.docker.run("run", "--rm", "--network", "none", IMAGE, "sh", "-c", script)
        self.assertEqual(ours.stdout, theirs.stdout, ours)
        name = self.detached("sleep", "1000")
        pid = self.inspect(name, "{{.State.Pid}}")
        self.assertEqual(self.inspect(name, "{{.HostConfig.Runtime}}"), "wherry")
        self.assertTrue(list(pathlib.Path(f"/proc/{pid}/root/").glob("bin/busybox")))

    def test_missing_programs_have_dockers_codes(self):
        for program, code, words in (("nothere", 127, "executable file not found in $PATH"),
                                     ("/etc/not-executable", 126, "permission denied")):
            done = self.run_image(program)
            self.assertEqual(done.returncode, code, done)
            self.assertIn(words, done.stderr)

    def test_exec_runs_beside_with_code_user_and_terminal(self):
        name = self.detached("sleep", "1000")
        done = self.docker.run("exec", "-e", "A=b", "-u", "web", "-w", "/tmp", name, "sh", "-c",
                               "echo $A $(id -u) $PWD; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, "b 1000 /tmp\n"), done)
        done = self.docker.run("exec", name, "nothere")
        self.assertEqual(done.returncode, 127 if "OCI" not in done.stdout + done.stderr else done.returncode)
        self.assertIn("executable file not found in $PATH", done.stdout + done.stderr)
        self.docker.ok("exec", "-d", "-t", name, "sh", "-c", "tty > /tmp/tty; stty size >> /tmp/tty")
        self.eventually(lambda: self.docker.ok("exec", name, "cat", "/tmp/tty").startswith("/dev/pts/"),
                        "the exec'ed process has no terminal")

    def test_a_terminal_is_the_containers_console(self):
        name = self.detached("sh", "-c", "tty; ls -l /dev/console | cut -c1; exec sleep 1000", options=["-t"])
        self.eventually(lambda: self.docker.ok("logs", name).split() == ["/dev/pts/0", "c"],
                        "the container has no terminal")

    def test_stop_asks_first_and_kill_does_not(self):
        name = self.detached("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        self.eventually(lambda: self.docker.ok("logs", name) == "ready\n", "not ready")
        self.docker.ok("stop", name)
        self.assertEqual(self.inspect(name, "{{.State.ExitCode}} {{.State.Status}}"), "5 exited")
        name = self.detached("sleep", "1000")
        self.docker.ok("kill", name)
        self.assertEqual(self.docker.ok("wait", name).strip(), "137")

    def test_logs_come_in_order(self):
        name = self.detached("sh", "-c", "for i in 1 2 3; do echo $i; done")
        self.docker.ok("wait", name)
        self.assertEqual(self.docker.ok("logs", name), "1\n2\n3\n")

    def test_pause_update_and_top(self):
        name = self.detached("sleep", "1000", options=["-m", "64m"])
        self.docker.ok("pause", name)
        self.assertEqual(self.inspect(name, "{{.State.Status}}"), "paused")
        self.docker.ok("unpause", name)
        self.docker.ok("update", "-m", "32m", "--memory-swap", "32m", "--cpus", "0.5", name)
        pid = self.inspect(name, "{{.State.Pid}}")
        self.assertEqual(limit_of(pid, "memory", "memory.limit_in_bytes"), str(32 << 20))
        self.assertEqual(limit_of(pid, "cpu", "cpu.cfs_quota_us"), "50000")
        self.assertIn("sleep 1000", self.docker.ok("top", name))

    def test_a_kill_for_lack_of_memory_is_reported(self):
        name = self.detached(*HOG, options=["-m", "16m", "--memory-swap", "16m"])
        self.docker.ok("wait", name)
        self.assertEqual(self.inspect(name, "{{.State.OOMKilled}}"), "true")

    def test_restart_and_rm(self):
        name = self.detached("sleep", "1000")
        self.docker.ok("restart", "-t", "0", name)
        self.assertEqual(self.inspect(name, "{{.State.Running}}"), "true")
        self.docker.ok("rm", "-f", name)
        self.assertEqual(self.docker.ok("ps", "-aq"), "")


def limit_of(pid: str, controller: str, file: str) -> str:
    """A value of the version 1 cgroup a process is in."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return (pathlib.Path("/sys/fs/cgroup") / controllers / path.lstrip("/") / file).read_text().strip()
    raise AssertionError(f"{pid} is in no {controller} cgroup")


class PlaceTest(EngineTest):
    """self.place: the engine's world, kept through the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = peers.Place(cls.data)
        cls.place.__enter__()
        cls.addClassCleanup(cls.place.__exit__)


# Raising limits needs CAP_SYS_RESOURCE, which the machine may lack.
_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "wherry-oci"
[engine.runtimes]
wherry-oci = ["/peer/wherry-oci"]
"""
_STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "/peer/graph"
runroot = "/run/graph"
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


def configure_containers(data: pathlib.Path) -> list[str]:
    """Words in front of a command that reads our configuration."""
    (data / "containers.conf").write_text(_CONTAINERS_CONF)
    (data / "storage.conf").write_text(_STORAGE_CONF)
    (data / "policy.json").write_text(_POLICY)
    return ["env", "CONTAINERS_CONF=/peer/containers.conf", "CONTAINERS_STORAGE_CONF=/peer/storage.conf"]


class Podman(PlaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.words = [*configure_containers(cls.data), "podman"]
        cls.podman("import", "/peer/busybox.tar", IMAGE)

    def setUp(self):
        self.addCleanup(self.podman, "rm", "-f", "-a", "-t", "0")

    @classmethod
    def podman(cls, *words, **options) -> str:
        return cls.place.ok(*cls.words, *words, **options)

    def try_podman(self, *words, **options):
        return self.place.run(*self.words, *words, **options)

    def detached(self, *command, options=()) -> str:
        return self.podman("run", "-d", "--network", "none", *options, IMAGE, *command).strip()

    def inspect(self, name: str, template: str) -> str:
        return self.podman("inspect", "--format", template, name).strip()

    def test_run_gives_streams_and_code(self):
        done = self.try_podman("run", "--rm", "-i", "--network", "none", IMAGE, "sh", "-c",
                               "cat; echo oops >&2; exit 42", input="through\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (42, "through\n", "oops\n"))
        self.assertIn("/peer/wherry-oci", self.podman("info"))

    def test_missing_programs_have_podmans_codes(self):
        for program, code in (("nothere", 127), ("/etc/not-executable", 126)):
            done = self.try_podman("run", "--rm", "--network", "none", IMAGE, program)
            self.assertEqual(done.returncode, code, done)

    def test_exec_stop_and_logs(self):
        name = self.detached("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        self.eventually(lambda: self.podman("logs", name) == "ready\n", "not ready")
        done = self.try_podman("exec", "-e", "A=b", "-u", "web", "-w", "/tmp", name, "sh", "-c",
                               "echo $A $(id -u) $PWD; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, "b 1000 /tmp\n"), done)
        self.podman("stop", name)
        self.assertEqual(self.inspect(name, "{{.State.ExitCode}} {{.State.Status}}"), "5 exited")

    def test_a_terminal_for_run_and_exec(self):
        name = self.detached("sh", "-c", "tty; exec sleep 1000", options=["-t"])
        self.eventually(lambda: self.podman("logs", name).strip() == "/dev/pts/0", "no terminal")
        self.assertRegex(self.podman("exec", "-t", name, "tty").strip(), "^/dev/pts/[0-9]+$")

    def test_pause_update_and_a_kill_for_lack_of_memory(self):
        name = self.detached("sleep", "1000", options=["-m", "64m"])
        self.podman("pause", name)
        self.assertEqual(self.inspect(name, "{{.State.Status}}"), "paused")
        self.podman("unpause", name)
        pid = self.inspect(name, "{{.State.Pid}}")
        self.podman("update", "--cpus", "0.5", name)
        self.assertEqual(limit_of(pid, "cpu", "cpu.cfs_quota_us"), "50000")
        self.podman("rm", "-f", "-t", "0", name)
        # conmon of this version tells nobody of it on version 1, with runc neither: the code says it.
        name = self.detached("tail", "/dev/zero", options=["-m", "16m", "--memory-swap", "16m"])
        self.assertEqual(self.podman("wait", name).strip(), "137")


class Containerd(PlaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.data / "rootfs").mkdir()
        subprocess.run(["tar", "-xf", str(cls.data / "busybox.tar"), "-C", str(cls.data / "rootfs")], check=True)
        (cls.data / "containerd.toml").write_text(
            'version = 2\nroot = "/peer/containerd"\nstate = "/run/containerd"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "/run/containerd/containerd.sock"\n')
        log = open(cls.data / "containerd.log", "wb")
        cls.addClassCleanup(log.close)
        cls.daemon = cls.place.start("containerd", "--config", "/peer/containerd.toml", stdout=log, stderr=log)
        cls.addClassCleanup(cls._stop_daemon)
        deadline = time.monotonic() + 30
        while cls.place.run("ctr", "version").returncode != 0:
            if time.monotonic() > deadline or cls.daemon.poll() is not None:
                raise RuntimeError((cls.data / "containerd.log").read_text()[-3000:])
            time.sleep(0.1)  # it tells nobody when it is ready

    @classmethod
    def _stop_daemon(cls):
        cls.daemon.terminate()
        cls.daemon.wait(20)

    def setUp(self):
        self.addCleanup(self._remove_all)

    def _remove_all(self):
        for name in self.ctr("containers", "ls", "-q").split():
            self.place.run("ctr", "tasks", "delete", "--force", name)
            self.ctr("containers", "rm", name)

    def ctr(self, *words, **options) -> str:
        return self.place.ok("ctr", *words, **options)

    def run_words(self, *options) -> list[str]:
        return ["ctr", "run", "--runc-binary", "/peer/wherry-oci", *options, "--rootfs", "/peer/rootfs"]

    def test_run_gives_output_and_code(self):
        done = self.place.run(*self.run_words("--rm"), "a", "/bin/sh", "-c", "echo out; exit 42")
        self.assertEqual((done.returncode, done.stdout), (42, "out\n"), done)

    def test_exec_pause_metrics_and_kill(self):
        self.place.ok(*self.run_words("-d"), "a", "/bin/sleep", "1000")
        self.assertIn("RUNNING", self.ctr("tasks", "ls"))
        done = self.place.run("ctr", "tasks", "exec", "--exec-id", "x", "a", "/bin/sh", "-c", "echo beside; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, "beside\n"), done)
        self.ctr("tasks", "pause", "a")
        self.assertIn("PAUSED", self.ctr("tasks", "ls"))
        self.ctr("tasks", "resume", "a")
        self.assertIn("PID", self.ctr("tasks", "ps", "a"))
        self.ctr("tasks", "kill", "-s", "SIGKILL", "a")
        self.eventually(lambda: "STOPPED" in self.ctr("tasks", "ls"), "the task did not stop")
        self.place.run("ctr", "tasks", "delete", "a")

    def test_the_error_of_a_missing_program_comes_through(self):
        done = self.place.run(*self.run_words("--rm"), "a", "nothere")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('exec: "nothere": executable file not found in $PATH', done.stderr)


class Buildah(PlaceTest):
    def test_a_build_runs_its_steps_in_this_runtime(self):
        words = [*configure_containers(self.data), "buildah"]
        (self.data / "context").mkdir()
        shutil.copy(self.data / "busybox.tar", self.data / "context/busybox.tar")
        (self.data / "context/Dockerfile").write_text(
            "FROM scratch\nADD busybox.tar /\nRUN echo made by $(id -u) > /made\nRUN cat /made; test $$ -lt 100\n")
        done = self.place.run(*words, "bud", "--runtime", "/peer/wherry-oci", "--isolation", "oci", "--network", "none",
                              "--signature-policy", "/peer/policy.json", "-t", "made:test", "/peer/context")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("made by 0", done.stdout + done.stderr)
        (self.data / "context/Dockerfile").write_text("FROM made:test\nRUN exit 7\n")
        done = self.place.run(*words, "bud", "--runtime", "/peer/wherry-oci", "--isolation", "oci", "--network", "none",
                              "--signature-policy", "/peer/policy.json", "/peer/context")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("7", done.stderr)


class Criu(PlaceTest):
    """checkpoint and restore where CRIU cannot do it: this machine's kernel is newer than it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        bundle = cls.data / "bundle"
        (bundle / "rootfs").mkdir(parents=True)
        subprocess.run(["tar", "-xf", str(cls.data / "busybox.tar"), "-C", str(bundle / "rootfs")], check=True)
        (bundle / "config.json").write_text(json.dumps(config("sleep", "1000")))

    def test_what_criu_complains_of_is_in_the_error_and_the_container_goes_on(self):
        oci = ["/peer/wherry-oci", "--root", "/run/states"]
        self.place.ok(*oci, "run", "-d", "-b", "/peer/bundle", "a", capture_output=False, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
        self.addCleanup(self.place.ok, *oci, "delete", "--force", "a")
        done = self.place.run(*oci, "checkpoint", "--image-path", "/peer/image", "a")
        if done.returncode == 0:  # a CRIU that can: then the way back works as well
            self.place.ok(*oci, "restore", "-d", "-b", "/peer/bundle", "--image-path", "/peer/image", "a")
        else:
            self.assertIn("cannot checkpoint the container: criu dump failed with 1: Error (", done.stderr)
            self.assertIn("/peer/image/dump.log", done.stderr)
        self.assertEqual(json.loads(self.place.ok(*oci, "state", "a"))["status"], "running")
        done = self.place.run(*oci, "restore", "-d", "-b", "/peer/bundle", "--image-path", "/peer/nothing", "b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot restore the container: criu restore failed with 1: Error (", done.stderr)
        self.assertIn("container does not exist", self.place.run(*oci, "state", "b").stderr)

    def test_a_missing_criu_is_named(self):
        done = self.place.run("env", "PATH=/nothere", "/peer/wherry-oci", "--root", "/run/states", "restore", "-b",
                              "/peer/bundle", "--image-path", "/peer/image", "c")
        self.assertEqual(done.returncode, 1)
        self.assertIn('executable file not found in $PATH', done.stderr)


if __name__ == "__main__":
    unittest.main()
