#!/usr/bin/env python3
"""oci_run.py [ROUNDS]: `run` and `exec` of a static true by wherry-oci, crun, runc; starts at 500 running.

The configuration is what a dockerd of Debian sid gives its runtime for `run --network host` (its seccomp profile,
mounts, masks, capabilities), the root a plain directory. All three run in the same mount namespace, which has no
unified cgroup hierarchy, since crun refuses hybrid ones; the measuring process is in it too, so that nothing but
fork and execve is added. bwrap, with the namespaces it can make, is the floor beside them.
"""
import ctypes
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import common
from harness import images, peers
from harness.paths import bin_dir

_CLONE_NEWNS = 0x20000
CROWD = 500
RUNTIMES = {"wherry-oci": "/peer/wherry-oci", "crun": "/usr/bin/crun", "runc": "/usr/sbin/runc"}


def docker_config(data: pathlib.Path) -> dict:
    """config.json of a container with dockerd's defaults."""
    shutil.copy(images.busybox_tar(), data / "busybox.tar")
    with peers.Dockerd(data, suite="sid", options=["--bridge=none", "--iptables=false", "--ip6tables=false"]) as docker:
        docker.ok("import", "/peer/busybox.tar", common.IMAGE)
        name = docker.ok("run", "-d", "--network", "host", common.IMAGE, "sleep", "1000").strip()
        found = list((data / "exec").rglob(f"{name}/config.json"))
        document = json.loads(found[0].read_text())
        docker.ok("rm", "-f", name)
    return document


def make_bundle(data: pathlib.Path, docker: dict) -> None:
    rootfs = data / "bundle/rootfs"
    rootfs.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(images.busybox_tar()), "-C", str(rootfs)], check=True)
    (rootfs / "true").write_bytes(images.static_program("int main() { return 0; }"))
    (rootfs / "pause").write_bytes(images.static_program("#include <unistd.h>\nint main() { for (;;) pause(); }"))
    for name in ("true", "pause"):
        (rootfs / name).chmod(0o755)
    document = {**docker, "root": {"path": "/peer/bundle/rootfs"}}
    document.pop("hooks", None)
    # Files of the container's own folder, which is gone: as many mounts, from one file.
    (data / "file").write_text("")
    for mount in document["mounts"]:
        if mount["type"] == "bind":
            mount["source"] = "/peer/file"
    document["linux"].pop("cgroupsPath", None)
    for name in ("true", "pause"):
        folder = data / f"bundle-{name}"
        folder.mkdir()
        document["process"]["args"] = [f"/{name}"]
        (folder / "config.json").write_text(json.dumps(document))


def measure(command: list[str]) -> float:
    return common.milliseconds(command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def memory() -> int:
    """Bytes the kernel has taken for containers and their processes."""
    fields = {}
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) * 1024
    return sum(fields[name] for name in ("Slab", "KernelStack", "PageTables", "AnonPages", "Percpu"))


class Inside:
    """A forked process in the peers' mount namespace: runs functions there and hands their results back."""

    def __init__(self, place: peers.Place):
        self._namespace = os.open(f"/proc/{place.pid}/ns/mnt", os.O_RDONLY)

    def __call__(self, function):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(self._namespace, _CLONE_NEWNS) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                os.chdir("/")
                with os.fdopen(write, "w") as out:
                    json.dump(function(), out)
                os._exit(0)
            except BaseException as error:
                print(error, file=sys.stderr)
                os._exit(1)
        os.close(write)
        with os.fdopen(read) as source:
            text = source.read()
        if os.waitpid(child, 0)[1] != 0:
            raise RuntimeError("the measurement failed")
        return json.loads(text)


def runtime_command(name: str, *words) -> list[str]:
    return [RUNTIMES[name], "--root", f"/run/bench-{name}", *words]


def runs(rounds: int, pause: float) -> dict:
    def run(name):
        time.sleep(pause)  # the machine's idleness is part of what is measured
        return measure(runtime_command(name, "run", "--bundle", "/peer/bundle-true", "bench"))
    return common.interleaved(rounds, **{name: (lambda name=name: run(name)) for name in RUNTIMES})


def start_detached(name: str, identity: str) -> None:
    # A container would hold a pipe of ours open.
    subprocess.run(runtime_command(name, "run", "-d", "--bundle", "/peer/bundle-pause", identity), check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def execs(rounds: int) -> dict:
    for name in RUNTIMES:
        start_detached(name, f"held-{name}")
    try:
        return common.interleaved(rounds, **{
            name: (lambda name=name: measure(runtime_command(name, "exec", f"held-{name}", "/true")))
            for name in RUNTIMES})
    finally:
        for name in RUNTIMES:
            measure(runtime_command(name, "delete", "--force", f"held-{name}"))


def crowd(rounds: int) -> dict:
    def some_runs():
        return [measure(runtime_command("wherry-oci", "run", "--bundle", "/peer/bundle-true", "bench"))
                for _ in range(rounds)]
    start_detached("wherry-oci", "crowd-0")
    some_runs()
    alone, before = some_runs(), memory()
    for number in range(1, CROWD):
        start_detached("wherry-oci", f"crowd-{number}")
    taken = memory() - before
    among = some_runs()
    for number in range(CROWD):
        measure(runtime_command("wherry-oci", "delete", "--force", f"crowd-{number}"))
    return {"alone": alone, "among": among, "bytes": taken / (CROWD - 1)}


def print_all(title: str, spent: dict) -> None:
    ours = statistics.median(spent["wherry-oci"])
    for name, values in spent.items():
        median = statistics.median(values)
        print(f"{title:24} {name:10} median {median:7.2f} ms (min {min(values):6.2f})   ours is {ours / median:.2f} of it",
              flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    data = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "bench"
    data.mkdir()
    make_bundle(data, docker_config(data))
    shutil.copy(bin_dir() / "wherry-oci", data / "wherry-oci")
    with peers.Place(data, suite="sid") as place:
        place.ok("umount", "/sys/fs/cgroup/unified")
        for name, program in RUNTIMES.items():
            print(f"{name:10} {place.ok(program, '--version').splitlines()[0]}")
        inside = Inside(place)
        print_all("run, back to back", inside(lambda: runs(rounds, 0)))
        print_all("run, every 0.25 s", inside(lambda: runs(max(rounds // 4, 5), 0.25)))
        print_all("exec", inside(lambda: execs(rounds)))
        found = inside(lambda: crowd(rounds))
    alone, among = statistics.median(found["alone"]), statistics.median(found["among"])
    print(f"run at 1 running {alone:.2f} ms, at {CROWD} running {among:.2f} ms: {among / alone:.2f} times")
    print(f"memory of an idle container: {found['bytes'] / 1024:.0f} KiB")


if __name__ == "__main__":
    common.in_sandbox(main)
