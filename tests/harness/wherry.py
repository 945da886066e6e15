"""Drives the built programs as a user would, each driver with a root and run root of its own."""
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from harness import store_records
from harness.paths import bin_dir

_FOREIGN = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "WHERRY_FAILPOINT", "WHERRY_FAILPOINT_LIST",
            "WHERRY_FAILPOINT_PROGRAM", "WHERRY_TRACE")


class CommandFailed(AssertionError):
    def __init__(self, done: subprocess.CompletedProcess):
        super().__init__(f"{' '.join(map(str, done.args))}\nexited with {done.returncode}\n"
                         f"stdout: {done.stdout!r}\nstderr: {done.stderr!r}")


class Wherry:
    """`root` and `run_root` are made below the sandbox's disk and tmpfs, or below `disk` and `run`.

    `config`: what a configuration file says; empty: none is read."""

    def __init__(self, disk: str | None = None, run: str | None = None, config: dict | None = None):
        self.program = bin_dir() / "wherry"
        self._parents = []
        for parent in (disk or os.environ["WHERRY_TEST_DISK"], run or os.environ["WHERRY_TEST_RUN"]):
            self._parents.append(pathlib.Path(tempfile.mkdtemp(prefix="w-", dir=parent)))
        self.root = self._parents[0] / "root"
        self.run_root = self._parents[1] / "run"
        self._options = []
        if config:
            file = self._parents[1] / "config.json"
            file.write_text(json.dumps(config))
            self._options = ["--config", str(file)]

    def command(self, *args) -> list[str]:
        return [str(self.program), *self._options, "--root", str(self.root), "--run-root", str(self.run_root),
                *map(str, args)]

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
        # No file of the caller's may change a test.
        env["HOME"] = str(self._parents[1])
        return {**env, **(extra or {})}

    def try_run(self, *args, input=None, env=None, timeout: float = 60, text: bool = True,
                cwd=None) -> subprocess.CompletedProcess:
        """The finished command whatever its exit code; stdin is empty unless `input` is given."""
        feed = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(self.command(*args), capture_output=True, text=text, timeout=timeout, cwd=cwd,
                              env=self.environment(env), **feed)

    def ok(self, *args, **options) -> str:
        """stdout of a command that must succeed."""
        done = self.try_run(*args, **options)
        if done.returncode != 0:
            raise CommandFailed(done)
        return done.stdout

    def start(self, *args, env=None, **options) -> subprocess.Popen:
        """A command that goes on; streams are pipes unless told."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.command(*args), env=self.environment(env), **options)

    def inspect(self, name: str) -> dict:
        return json.loads(self.ok("inspect", name))[0]

    def layer_paths(self, image: str) -> list[pathlib.Path]:
        """The layers of an image as directories, lowest first; made anew with each call."""
        top = pathlib.Path(tempfile.mkdtemp(prefix="layers-", dir=self.root.parent))
        return [store_records.check_out(self.root, layer, top / str(index))
                for index, layer in enumerate(self.inspect(image)["RootFS"]["Layers"])]

    def detached(self, *args, **options) -> str:
        """run -d; the id."""
        return self.ok("run", "-d", *args, **options).strip()

    def ids(self, running_only: bool = False) -> list[str]:
        return self.ok("ps", "-q", "--no-trunc", *([] if running_only else ["-a"])).split()

    def wait_for(self, what, timeout: float = 10):
        """The first true value of what(); for facts that no command can wait for."""
        deadline = time.monotonic() + timeout
        while not (value := what()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout} s in vain")
            time.sleep(0.02)
        return value

    def remove_containers(self) -> None:
        for name in self.ids() if self.root.exists() else []:
            self.ok("rm", "-f", "-v", name)

    def close(self) -> None:
        """Removes all containers, then the network objects and files of this root."""
        with contextlib.suppress(FileNotFoundError):
            self.remove_containers()
        forget_networks()
        for parent in self._parents:
            shutil.rmtree(parent)

    # --- a machine that goes down

    def processes(self) -> list[int]:
        """Those whose command line names this run root, and the monitors with what they look after."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes() if entry.isdigit() else b""
                if words.startswith(b"wherry-monitor\0") or os.fsencode(self.run_root) in words:
                    found.append(int(entry))
        return found

    def forget_run_root(self) -> None:
        """As a reboot does, of which no process is left: run root and cgroups."""
        shutil.rmtree(self.run_root)
        self.remove_cgroups()

    def cgroup(self) -> str:
        """The root's own cgroup, below which its containers and monitors are."""
        return "/wherry-" + hashlib.sha256(os.fsencode(os.path.realpath(self.root))).hexdigest()[:8]

    def remove_cgroups(self) -> None:
        for top in (line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                    if " - cgroup" in line):
            for folder, _, _ in os.walk(top + self.cgroup(), topdown=False):
                self.wait_for(lambda folder=folder: _removed(folder))

    # --- faults

    def failpoints_of(self, *args, **options) -> list[str]:
        """The names of the failpoints that a command (which must succeed) passes, in order, once each."""
        return list(dict.fromkeys(self.failpoint_hits("", *args, **options)))

    def failpoint_hits(self, program: str, *args, **options) -> list[str]:
        """Each hit of a failpoint by a command (which must succeed) in order; of one program, or of all."""
        listing = self._parents[1] / "failpoints"
        listing.unlink(missing_ok=True)
        only = {"WHERRY_FAILPOINT_PROGRAM": program} if program else {}
        self.ok(*args, env={"WHERRY_FAILPOINT_LIST": str(listing), **only}, **options)
        names = listing.read_text().split() if listing.exists() else []
        listing.unlink(missing_ok=True)
        return names

    def with_failpoint(self, point: str, action: str, *args, hit: int = 0, program: str = "",
                       **options) -> subprocess.CompletedProcess:
        """action: kill, enospc, eio, enomem, stop; hit: only the N-th; program: only there."""
        armed = f"{point}:{action}" + (f"@{hit}" if hit else "")
        only = {"WHERRY_FAILPOINT_PROGRAM": program} if program else {}
        return self.try_run(*args, env={"WHERRY_FAILPOINT": armed, **only}, **options)


def _removed(folder: str) -> bool:
    """A cgroup is busy until its last process has been reaped."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def forget_networks() -> None:
    """Removes bridges and nftables tables of ours in this (the sandbox's) network namespace."""
    links = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True).stdout)
    for name in (link["ifname"] for link in links):
        if re.fullmatch(r"wherry\d+|wh-.*", name):
            subprocess.run(["ip", "link", "del", name], check=True)
    tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    for line in tables.splitlines():
        if "wherry" in line:
            subprocess.run(["nft", "delete", *line.split()], check=True)


def interrupt(process: subprocess.Popen, number: int = signal.SIGINT) -> None:
    process.send_signal(number)
