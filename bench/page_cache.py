#!/usr/bin/env python3
"""page_cache.py: what reading all of a second image with the same content adds to the page cache, of what the first
one took; on each rung that works here. The second image has the first one's files in a layer of its own.
"""
import os
import pathlib
import re
import subprocess

import common

_READ = "find / -xdev -type f -exec cat {} + > /dev/null"


def cached_kib() -> int:
    return int(re.search(r"^Cached:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M).group(1))


def read_all(w, image: str) -> int:
    """KiB that the cache grew by."""
    before = cached_kib()
    w.ok("run", "--rm", "--network", "none", image, "sh", "-c", _READ, timeout=300)
    return cached_kib() - before


def main() -> None:
    scratch = pathlib.Path(os.environ["WHERRY_TEST_DISK"])
    again = scratch / "again.tar"
    folder = scratch / "tree"
    folder.mkdir()
    subprocess.run(["tar", "-xf", common.images.debian_tar(), "-C", folder, "--numeric-owner"], check=True)
    subprocess.run(["tar", "--sort=name", "--format=gnu", "--numeric-owner", "-C", folder, "-cf", again, "."], check=True)
    subprocess.run(["rm", "-rf", folder], check=True)
    for rung, w in common.each_rung():
        w.ok("import", common.images.debian_tar(), "first:1", timeout=300)
        w.ok("import", again, "second:1", timeout=300)
        for image in ("first:1", "second:1"):  # the programs and libraries of the engine itself
            w.ok("run", "--rm", "--network", "none", image, "true")
        subprocess.run(["sync"], check=True)
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        first, second = read_all(w, "first:1"), read_all(w, "second:1")
        print(f"{rung:8} first {first / 1024:.1f} MiB, second {second / 1024:.1f} MiB more: {100 * second / first:.1f} %")


if __name__ == "__main__":
    common.in_sandbox(main, debian=True)
