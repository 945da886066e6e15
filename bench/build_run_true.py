#!/usr/bin/env python3
"""build_run_true.py [ROUNDS] [STEPS]: a build of 50 x `RUN true` without cache, and again with it, beside a dockerd."""
import sys

import common


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    w = common.wherry_with_image()
    dockerfile = f"FROM {common.IMAGE}\n" + "RUN true\n" * steps
    with common.dockerd() as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        buildkit = common.buildkit(docker)
        for title, flags in ((f"{steps} x RUN true, cold", ["--no-cache"]), ("again, cached", [])):
            words = ["build", "-q", "-t", "bench:steps", *flags, "-"]
            spent = common.interleaved(rounds, ours=lambda: common.build(w.command(*words), dockerfile, w.environment()),
                                       theirs=lambda: common.build([*buildkit, *words], dockerfile))
            common.print_pair(title, spent["ours"], spent["theirs"])
            common.print_pair("  per step", *([ms / steps for ms in spent[side]] for side in ("ours", "theirs")))
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
