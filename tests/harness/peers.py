"""Other engines to compare with: Debian packages in a tree of their own, a dockerd inside a sandbox.

Nothing is installed on the host. The tree is made once into build/peers/<suite>; a daemon runs in private
mount and IPC namespaces pivoted into it (its processes end with the sandbox, whose PID namespace they share), with its data on a disk the caller gives (overlay needs one
that is not itself an overlay), in the network namespace of the caller, which must be a sandbox's.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import trees  # noqa: E402
from harness.paths import BUILD  # noqa: E402

PACKAGES = {
    "bookworm": ["docker.io", "runc", "crun", "iptables", "ca-certificates", "skopeo", "podman",
                 "docker-registry", "buildah", "containerd", "procps", "criu"],
    "sid": ["docker.io", "docker-cli", "runc", "crun", "iptables", "ca-certificates", "composefs"],
}

# Runs in the new namespaces: $1 the tree, $2 the data folder, then the command.
_PIVOT = """
set -e
tree=$1; data=$2; shift 2
mount --bind "$tree" "$tree"
cd "$tree"
mkdir -p proc sys dev run tmp peer old
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mount --bind "$data" peer
pivot_root . old
umount -l old
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp
exec "$@"
"""


def tree(suite: str = "bookworm") -> pathlib.Path:
    target = BUILD / "peers" / suite
    # A tree of fewer packages, made by an older checkout, is made again.
    stamp = target.with_name(f".{suite}.packages")
    wanted = " ".join(PACKAGES[suite])
    with trees.BuildLock(BUILD / f".peers-{suite}.lock"):
        if not target.exists() or not stamp.exists() or stamp.read_text() != wanted:
            trees.remove(target)
            trees.mmdebstrap(suite, target, PACKAGES[suite], other_suite=suite != "bookworm")
            stamp.write_text(wanted)
    return target


def command(data: pathlib.Path, *words, suite: str = "bookworm") -> list[str]:
    """A program of a peers tree (skopeo, podman, docker-registry), in mount and IPC namespaces of its own.

    `data` is /peer there; /tmp and /run are empty and gone with the command.
    """
    data.mkdir(parents=True, exist_ok=True)
    return ["unshare", "--mount", "--ipc", "--propagation", "private", "bash", "-c", _PIVOT, "peer",
            str(tree(suite)), str(data), *map(str, words)]


class Dockerd:
    """A dockerd of a peers tree; use as a context manager. `data`: a folder on a real file system."""

    def __init__(self, data: pathlib.Path, suite: str = "bookworm", options: list[str] | None = None):
        self._tree = tree(suite)
        self._data = data
        self._options = options or []
        self._process = None

    def __enter__(self):
        self._data.mkdir(parents=True, exist_ok=True)
        self._log = open(self._data / "dockerd.log", "wb")
        # --kill-child: whatever it has started ends with it.
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--ipc", "--fork", "--kill-child", "--propagation", "private",
             "bash", "-c", _PIVOT, "peer", str(self._tree), str(self._data), "dockerd",
             "--data-root", "/peer/data", "--exec-root", "/peer/exec", "--pidfile", "/run/docker.pid",
             "-H", "unix:///peer/docker.sock", *self._options],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def command(self, *args) -> list[str]:
        """The docker CLI of the tree, entered with nsenter (about 1 ms, printed by benchmarks)."""
        return ["nsenter", "-t", str(self._inner()), "-m", "--", "env", "TMPDIR=/tmp", "docker", "-H", "unix:///peer/docker.sock",
                *map(str, args)]

    def run(self, *args, **options) -> subprocess.CompletedProcess:
        options = {"stdin": subprocess.DEVNULL, "text": True, "timeout": 120, **options} \
            if "input" not in options else {"text": True, "timeout": 120, **options}
        return subprocess.run(self.command(*args), capture_output=True, **options)

    def ok(self, *args, **options) -> str:
        done = self.run(*args, **options)
        if done.returncode != 0:
            raise AssertionError(f"docker {args}: {done.returncode}\n{done.stderr}\n{self.log()}")
        return done.stdout

    def log(self) -> str:
        return (self._data / "dockerd.log").read_text(errors="replace")[-4000:]

    def close(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            os.kill(self._inner(), signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._log.close()

    def _inner(self) -> int:
        """dockerd itself: the only child of unshare."""
        children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        if not children.split():
            raise ProcessLookupError("dockerd has ended:\n" + self.log())
        return int(children.split()[0])

    def _wait(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        socket = self._data / "docker.sock"
        while not socket.exists() or self.run("version").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("dockerd did not start:\n" + self.log())
            time.sleep(0.1)  # it tells nobody when it is ready


class Place:
    """A peers tree entered once and kept: what one command leaves in /run and /tmp the next one finds.

    `data`, a folder on a real file system, is /peer there. Use as a context manager; what was started in it is the
    caller's to stop.
    """

    def __init__(self, data: pathlib.Path, suite: str = "bookworm"):
        self.data = data
        self._suite = suite
        self._holder = None

    def __enter__(self):
        words = ["bash", "-c", "echo ready; exec sleep infinity"]
        self._holder = subprocess.Popen(command(self.data, *words, suite=self._suite), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self._holder.stdout.readline() != "ready\n":
            raise RuntimeError("the place could not be made")
        return self

    def __exit__(self, *_):
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, *words) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), "-m", "-i", "--", "env", "-i", "HOME=/root", "TMPDIR=/tmp",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *map(str, words)]

    def run(self, *words, **options) -> subprocess.CompletedProcess:
        options = {"capture_output": True, "text": True, "timeout": 120, **options}
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*words), **options)

    def ok(self, *words, **options) -> str:
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, *words, **options) -> subprocess.Popen:
        return subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, **options)


if __name__ == "__main__":  # peers.py SUITE DATA PROGRAM [ARGUMENT...]: as command()
    words = command(pathlib.Path(sys.argv[2]), *sys.argv[3:], suite=sys.argv[1])
    os.execvp(words[0], words)
