"""A private machine for tests: its own network, processes, mounts and cgroups, with an uplink of ours.

enter() runs a command in it; everything in it ends and disappears with the command, however it ends:
- a network namespace with `lo` and `uplink` (198.51.100.2/24, default route), whose other end is in a second
  namespace, "outside" (198.51.100.1), from where published ports are asked;
- a PID namespace whose init reaps what is left, so that the leak check can look at every process;
- a mount namespace with a loop-mounted journalled ext4 file system at WHERRY_TEST_DISK, a tmpfs at
  WHERRY_TEST_RUN, and a private tmpfs over /run;
- cgroups below one of our own in each hierarchy, seen as the root through a cgroup namespace.
- WHERRY_TEST_PACKAGE_PROXY: an HTTP proxy (harness/package_cache.py) at the outside end, the only way to the
  distribution's packages.
Nothing of the machine's own network or cgroups is changed.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import package_cache
from harness.paths import BUILD, CACHE

INSIDE = "198.51.100.2"
OUTSIDE = "198.51.100.1"
_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWNET, _CLONE_NEWPID = 0x20000, 0x02000000, 0x40000000, 0x20000000
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 1 << 18, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args) -> None:
    converted = [os.fsencode(a) if isinstance(a, (str, os.PathLike)) else a for a in args]
    if getattr(_libc, name)(*converted) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}{args}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    _call("unshare", flags)


def mount(source, target, kind, flags=0, data=None) -> None:
    _call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def outside_command(command: list[str]) -> list[str]:
    """`command`, to be run in the outside network namespace."""
    return ["nsenter", f"--net=/proc/{os.environ['WHERRY_TEST_OUTSIDE']}/ns/net", "--", *command]


class Cgroups:
    """One cgroup of ours in each hierarchy of the host, for the life of a sandbox."""

    def __init__(self, name: str):
        self._folders = []  # (hierarchy mount point, our folder)
        own = _own_cgroups()
        for point, kind, options in _cgroup_mounts():
            # On v1 below where we are, so that the caller's limits hold; on v2 below the root, since a cgroup
            # with processes cannot give controllers to its children.
            parent = own.get(_hierarchy_key(kind, options), "/") if kind == "cgroup" else "/"
            folder = pathlib.Path(point + parent)
            self._folders.append((point, kind, folder / name if folder.is_dir() else
                                  pathlib.Path(point) / name))

    def enter(self) -> None:
        """Makes them and moves this process in."""
        for _, kind, folder in self._folders:
            folder.mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if kind == "cgroup" and (folder / setting).exists():
                    (folder / setting).write_text((folder.parent / setting).read_text())
            (folder / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        for _, _, folder in self._folders:
            for _ in range(100):
                for path in sorted(folder.rglob("*/"), key=lambda p: -len(p.parts)):
                    _rmdir(path)
                _rmdir(folder)
                if not folder.exists():
                    break
                time.sleep(0.05)  # v1 has no event for "empty"


def _rmdir(path: pathlib.Path) -> None:
    try:
        path.rmdir()
    except OSError:
        pass


def _cgroup_mounts() -> list[tuple[str, str, str]]:
    """(mount point, cgroup or cgroup2, super options)"""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            found.append((left.split()[4], kind, options))
    return found


def _hierarchy_key(kind: str, options: str) -> str:
    if kind == "cgroup2":
        return ""
    plain = {"rw", "ro", "xattr", "clone_children", "noprefix"}
    return ",".join(sorted(word for word in options.split(",")
                           if word not in plain and not word.startswith("release_agent")))


def _own_cgroups() -> dict[str, str]:
    own = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[",".join(sorted(controllers.split(",")))] = path.rstrip("/")
    return own


def enter(command: list[str], disk_megabytes: int = 6144) -> int:
    """Runs `command` in a sandbox; its exit code. Its standard streams are the caller's."""
    scratch_parent = BUILD / "tmp"
    scratch_parent.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sandbox-", dir=scratch_parent))
    cgroups = Cgroups(f"wherry-test-{os.getpid()}")
    # Ends politely: the child's parent-death signal does the rest.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    child = 0
    try:
        child = os.fork()
        if child == 0:
            _become_sandbox(cgroups, scratch, command, disk_megabytes)
        _, status = os.waitpid(child, 0)
        child = 0
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    finally:
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        cgroups.remove()
        shutil.rmtree(scratch, ignore_errors=True)


def _die_with_parent() -> None:
    _call("prctl", 1, signal.SIGKILL, 0, 0, 0)


def _become_sandbox(cgroups: Cgroups, scratch: pathlib.Path, command: list[str], megabytes: int) -> None:
    """The child: never returns."""
    try:
        _die_with_parent()
        cgroups.enter()
        world = os.open("/proc/self/ns/net", os.O_RDONLY)
        outside = _make_networks()
        os.environ["WHERRY_TEST_PACKAGE_PROXY"] = package_cache.start(
            OUTSIDE, outside, world, CACHE / "packages", scratch / "packages")
        os.close(world)
        # The runner itself sits one below: on v2 only empty cgroups can have controllers.
        unshare(_CLONE_NEWNS | _CLONE_NEWCGROUP | _CLONE_NEWPID)
        mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        init = os.fork()
        if init == 0:
            _die_with_parent()
            _prepare_mounts(scratch, megabytes)
            os.environ["WHERRY_TEST_OUTSIDE"] = str(_outside_holder(outside))
            os._exit(_init_loop(command))
        os.close(outside)
        _, status = os.waitpid(init, 0)
        os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else
                 128 + os.WTERMSIG(status))
    except BaseException as error:  # the parent's clean-up must not run twice
        print(f"cannot make the sandbox: {error}", file=sys.stderr)
        os._exit(125)


def _make_networks() -> int:
    """This process ends in the inner namespace; the fd of the outside one."""
    unshare(_CLONE_NEWNET)
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    _run("ip link set lo up")
    unshare(_CLONE_NEWNET)
    # `ip` takes a namespace by pid: the outside one belongs to a process for this moment.
    holder = _hold(outside)
    _run("ip link set lo up")
    _run(f"ip link add uplink type veth peer name outside netns {holder}")
    _run(f"ip address add {INSIDE}/24 dev uplink")
    _run("ip link set uplink up")
    enter_outside = f"nsenter --net=/proc/{holder}/ns/net -- ip"
    _run(f"{enter_outside} address add {OUTSIDE}/24 dev outside")
    _run(f"{enter_outside} link set outside up")
    _run(f"ip route add default via {OUTSIDE}")
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    return outside


def _hold(namespace: int) -> int:
    """A process that keeps a network namespace; SIGKILL ends it."""
    pid = os.fork()
    if pid == 0:
        _die_with_parent()
        _call("setns", namespace, _CLONE_NEWNET)
        os.write(_ready[1], b"x")
        while True:
            signal.pause()
    os.read(_ready[0], 1)
    return pid


_ready = os.pipe()


def _outside_holder(outside: int) -> int:
    pid = _hold(outside)
    os.close(outside)
    return pid


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


def _prepare_mounts(scratch: pathlib.Path, megabytes: int) -> None:
    mount("proc", "/proc", "proc", 0x2 | 0x4 | 0x8)
    _remount_cgroups()
    mount("run", "/run", "tmpfs", 0, "mode=755")
    image = scratch / "disk.img"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    _run_list(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image)])
    disk = scratch / "disk"
    disk.mkdir()
    _run_list(["mount", "-o", "loop", str(image), str(disk)])
    run = scratch / "run"
    run.mkdir()
    mount("run", str(run), "tmpfs", 0, "mode=700")
    os.environ["WHERRY_TEST_DISK"] = str(disk)
    os.environ["WHERRY_TEST_RUN"] = str(run)
    os.environ["TMPDIR"] = str(run)


def _run_list(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _remount_cgroups() -> None:
    """The hierarchies again, now rooted at our own cgroups."""
    for point, kind, options in _cgroup_mounts():
        _call("umount2", point, _MNT_DETACH)
        if kind == "cgroup2":
            mount("cgroup2", point, "cgroup2")
            runner = pathlib.Path(point) / "runner"
            runner.mkdir()
            (runner / "cgroup.procs").write_text("0")
        else:
            key = _hierarchy_key(kind, options)
            mount("cgroup", point, "cgroup", 0, f"none,{key}" if key.startswith("name=") else key)


def _init_loop(command: list[str]) -> int:
    """PID 1: runs the command and reaps everything until it has ended; the kernel then ends the rest."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    main = subprocess.Popen(command)
    while True:
        pid, status = os.wait()
        if pid == main.pid:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else \
                128 + os.WTERMSIG(status)
