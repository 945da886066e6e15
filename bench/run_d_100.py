#!/usr/bin/env python3
"""run_d_100.py [COUNT]: COUNT times `run -d` one after the other (goal for 100: at most 3 s), beside a dockerd."""
import sys
import time

import common


def spend(run, count: int) -> float:
    begin = time.monotonic()
    for _ in range(count):
        run("run", "-d", common.IMAGE, "sleep", "1000")
    return time.monotonic() - begin


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    w = common.wherry_with_image()
    with common.dockerd() as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        w.ok("run", "--rm", common.IMAGE, "true")
        docker.ok("run", "--rm", common.IMAGE, "true")
        ours = spend(w.ok, count)
        begin = time.monotonic()
        w.remove_containers()
        print(f"ours:   {count} x run -d {ours:6.2f} s, rm -f of all {time.monotonic() - begin:.2f} s", flush=True)
        theirs = spend(docker.ok, count)
        print(f"theirs: {count} x run -d {theirs:6.2f} s")
        print(f"ratio 1/{theirs / ours:.1f}")
        docker.ok("rm", "-f", *docker.ok("ps", "-q").split(), timeout=600)
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
