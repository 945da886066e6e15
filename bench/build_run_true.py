#!/usr/bin/env python3
"""build_run_true.py [ROUNDS] [STEPS]: a build of 50 x `RUN true` without cache, and again with it, beside a dockerd."""
import subprocess
import sys
import time

import common


def build(command: list[str], dockerfile: str, env=None) -> float:
    begin = time.monotonic_ns()
    done = subprocess.run(command, input=dockerfile, text=True, capture_output=True, env=env)
    spent = (time.monotonic_ns() - begin) / 1e6
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr}")
    return spent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    w = common.wherry_with_image()
    dockerfile = f"FROM {common.IMAGE}\n" + "RUN true\n" * steps
    with common.dockerd() as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        # Their client is entered through nsenter: its environment goes along by `env`.
        nsenter = docker.command()
        buildkit = [*nsenter[:nsenter.index("docker")], "DOCKER_BUILDKIT=1", *nsenter[nsenter.index("docker"):]]
        for title, flags in ((f"{steps} x RUN true, cold", ["--no-cache"]), ("again, cached", [])):
            words = ["build", "-q", "-t", "bench:steps", *flags, "-"]
            spent = common.interleaved(rounds, ours=lambda: build(w.command(*words), dockerfile, w.environment()),
                                       theirs=lambda: build([*buildkit, *words], dockerfile))
            common.print_pair(title, spent["ours"], spent["theirs"])
            common.print_pair("  per step", *([ms / steps for ms in spent[side]] for side in ("ours", "theirs")))
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
