#!/usr/bin/env python3
"""run_true.py [ROUNDS] [SUITE]: `run --rm IMAGE true` on the bridge and without network, beside a dockerd.

SUITE is the Debian suite that the dockerd comes from: bookworm (20.10) or sid (28).
"""
import sys

import common


SUITE = sys.argv[2] if len(sys.argv) > 2 else "bookworm"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    w = common.wherry_with_image()
    with common.dockerd(SUITE) as docker:
        common.import_into(docker)
        common.print_versions(w, docker)
        for network in ("bridge", "none"):
            words = ["run", "--rm", "--network", network, common.IMAGE, "true"]
            ours, theirs = w.command(*words), docker.command(*words)
            env = w.environment()
            spent = common.interleaved(rounds, ours=lambda: common.milliseconds(ours, env),
                                       theirs=lambda: common.milliseconds(theirs))
            common.print_pair(f"run --rm true, network {network}", spent["ours"], spent["theirs"])
        spent = common.interleaved(rounds, nsenter=lambda: common.milliseconds(
            ["nsenter", "-t", "1", "-m", "--", "true"]))
        print(f"of theirs, entering the peers tree: {min(spent['nsenter']):.2f} ms")
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main, SUITE)
