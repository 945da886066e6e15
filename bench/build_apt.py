#!/usr/bin/env python3
"""build_apt.py [ROUNDS] [NAME]: the article's image of apt packages, cold and cached, beside a dockerd with BuildKit.

NAME: a folder of examples/article (default: appserver). Both sides start from the same base image and fetch packages
through one local cache, which one unmeasured build fills. Cold builds run every step; each is followed by cached ones.
"""
import os
import subprocess
import sys

import common

BASE = "debian:bookworm"
CACHED = 5  # rebuilds for each cold build: they cost next to nothing


def give_base(w, docker) -> None:
    """The same image, byte for byte, on both sides."""
    proxy = os.environ["WHERRY_TEST_PACKAGE_PROXY"]
    w.ok("bootstrap", BASE, "--variant", "minbase", env={"http_proxy": proxy}, timeout=900)
    saving = subprocess.Popen(w.command("save", BASE), env=w.environment(), stdout=subprocess.PIPE)
    loaded = subprocess.run(docker.command("load", "-q"), stdin=saving.stdout, capture_output=True, text=True)
    if saving.wait() != 0 or loaded.returncode != 0:
        raise RuntimeError(f"cannot give the base to docker: {loaded.stderr}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    name = sys.argv[2] if len(sys.argv) > 2 else "appserver"
    w = common.Wherry()
    words = ["build", "-q", "-t", "bench:apt", "--build-arg", f"http_proxy={os.environ['WHERRY_TEST_PACKAGE_PROXY']}"]
    # Through standard input: the context is none of the times.
    dockerfile = (common.TOP / "examples" / "article" / name / "Dockerfile").read_text()
    with common.dockerd() as docker:
        give_base(w, docker)
        common.print_versions(w, docker)

        def ours(*flags) -> float:
            return common.build(w.command(*words, *flags, "-"), dockerfile, w.environment())

        def theirs(*flags) -> float:
            return common.build([*common.buildkit(docker), *words, *flags, "-"], dockerfile)

        ours("--no-cache")
        cold, cached = {"ours": [], "theirs": []}, {"ours": [], "theirs": []}
        for _ in range(rounds):
            for side, build in (("ours", ours), ("theirs", theirs)):
                cold[side].append(build("--no-cache"))
            for _ in range(CACHED):
                for side, build in (("ours", ours), ("theirs", theirs)):
                    cached[side].append(build())
        common.print_pair(f"{name}, cold", cold["ours"], cold["theirs"])
        common.print_pair(f"{name}, cached", cached["ours"], cached["theirs"])
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
