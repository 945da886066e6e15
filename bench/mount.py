#!/usr/bin/env python3
"""mount.py [ROUNDS]: making a container's root, of images of 1, 20 and 127 layers, on each rung that works here.

It is the phase runtime.root of a `run` (WHERRY_TRACE): everything from the snapshot to the mounted overlay.
"""
import re
import statistics
import sys

import common

_LAYERS = (1, 20, 127)


def root_us(w, image: str) -> int:
    done = w.try_run("run", "--rm", "--network", "none", image, "true", env={"WHERRY_TRACE": "1"})
    return int(re.search(r"runtime\.root took (\d+) us", done.stderr).group(1))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    for rung, w in common.each_rung():
        w.ok("import", common.images.busybox_tar(), common.IMAGE)
        if rung == "erofs":
            common.print_versions(w)
        for layers in _LAYERS:
            steps = "".join(f"RUN echo {n} > /file{n}\n" for n in range(1, layers))
            w.ok("build", "-t", f"of:{layers}", "-", input=f"FROM {common.IMAGE}\n{steps}", timeout=300)
            spent = [root_us(w, f"of:{layers}") for _ in range(rounds + 1)][1:]
            print(f"{rung:8} {layers:3} layers   median {statistics.median(spent) / 1000:.2f} ms   "
                  f"min {min(spent) / 1000:.2f} ms")


if __name__ == "__main__":
    common.in_sandbox(main)
