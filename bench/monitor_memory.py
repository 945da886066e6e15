#!/usr/bin/env python3
"""monitor_memory.py: the memory that one idle container's monitor has for itself, beside containerd's shim."""
import pathlib
import re
import time

import common


def private_kilobytes(pid: int) -> int:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(value) for value in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))


def parent_of(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def shims() -> list[int]:
    return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm")
            if path.read_text().startswith("containerd-shim")]


def main() -> None:
    w = common.wherry_with_image()
    with common.dockerd() as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        ours = w.detached("-p", "127.0.0.1::80", common.IMAGE, "sleep", "1000")
        docker.ok("run", "-d", "-p", "127.0.0.1::80", common.IMAGE, "sleep", "1000")
        time.sleep(1)  # until both are idle
        monitor = private_kilobytes(parent_of(w.inspect(ours)["State"]["Pid"]))
        print(f"ours:   monitor {monitor} kB private")
        theirs = sum(map(private_kilobytes, shims()))
        print(f"theirs: containerd-shim {theirs} kB private (and a docker-proxy for each published port)")
        print(f"ratio 1/{theirs / monitor:.1f}")
        docker.ok("rm", "-f", *docker.ok("ps", "-q").split())
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
