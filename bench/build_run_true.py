#!/usr/bin/env python3
"""build_run_true.py [ROUNDS] [STEPS]: a build of 50 x `RUN true` without cache, and again with it, beside a dockerd."""
import os
import pathlib
import sys

import common


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    w = common.wherry_with_image()
    context = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {common.IMAGE}\n" + "RUN true\n" * steps)
    with common.dockerd() as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        their_env = {**os.environ, "DOCKER_BUILDKIT": "1"}
        for title, flags in ((f"{steps} x RUN true, cold", ["--no-cache"]), ("again, cached", [])):
            words = ["build", "-q", "-t", "bench:steps", *flags, str(context)]
            ours, theirs = w.command(*words), docker.command(*words)
            spent = common.interleaved(rounds, ours=lambda: common.milliseconds(ours, w.environment()),
                                       theirs=lambda: common.milliseconds(theirs, their_env))
            common.print_pair(title, spent["ours"], spent["theirs"])
            common.print_pair("  per step", [ms / steps for ms in spent["ours"]], [ms / steps for ms in spent["theirs"]])
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
