#!/usr/bin/env python3
"""pull_push.py [ROUNDS]: a cold pull and a first push of an image of three layers (about 270 MB), from and to
Debian's docker-registry on loopback, beside a dockerd. Debian's base, a copy of its /usr, and some small files.

Before each run the image is not there (pull) or the registry has nothing (push). Whoever pushes has built or
pulled the image before: ours keeps the compressed layers, Docker makes them again.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import common
from harness import images, peers

_NAME = "bench/three"
_DOCKERFILE = """FROM debian:bench
RUN mkdir /copy && cp -a /usr/bin /usr/lib /usr/share /copy
RUN mkdir /app && head -c 4000000 /dev/urandom > /app/data && for i in $(seq 200); do echo $i > /app/$i; done
"""


def start_registry(folder: pathlib.Path) -> tuple[subprocess.Popen, str]:
    folder.mkdir()
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /peer/data}}\n"
        "http: {addr: 127.0.0.1:15000}\n")
    process = subprocess.Popen(peers.command(folder, "docker-registry", "serve", "/peer/config.yml"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if subprocess.run(["curl", "-fs", "http://127.0.0.1:15000/v2/"], capture_output=True).returncode == 0:
            return process, "127.0.0.1:15000"
        time.sleep(0.05)
    raise RuntimeError("docker-registry does not answer")


def cold(command: list[str], before: list[str], env=None) -> float:
    """`before` makes the image unknown; caches of the disk are dropped."""
    subprocess.run(before, stdin=subprocess.DEVNULL, capture_output=True, env=env)
    subprocess.run(["sync"], check=True)
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    return common.milliseconds(command, env)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    w = common.Wherry()
    hub = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "hub"
    process, host = start_registry(hub)
    try:
        w.ok("import", images.debian_tar(), "debian:bench", timeout=300)
        w.ok("build", "-t", f"{host}/{_NAME}", "-", input=_DOCKERFILE, timeout=300)
        w.ok("push", f"{host}/{_NAME}", timeout=300)
        w.ok("rmi", "-f", "debian:bench")
        w.ok("builder", "prune", "-af")
        with common.dockerd() as docker:
            common.print_versions(w, docker)
            image = f"{host}/{_NAME}"
            spent = common.interleaved(
                rounds, ours=lambda: cold(w.command("pull", image), w.command("rmi", "-f", image), w.environment()),
                theirs=lambda: cold(docker.command("pull", image), docker.command("rmi", "-f", image)))
            common.print_pair("pull, 3 layers, cold", spent["ours"], spent["theirs"])
            docker.ok("build", "-t", "bench:built", "-", input=f"FROM {image}\n")
            counter = iter(range(1000))

            def push(command, environment=None) -> float:
                target = f"{host}/fresh{next(counter)}/three"
                subprocess.run([*command("tag", image, target)], check=True, env=environment)
                shutil.rmtree(hub / "data")  # else the layers would only be mounted
                return common.milliseconds(command("push", target), environment)

            spent = common.interleaved(rounds, ours=lambda: push(w.command, w.environment()),
                                       theirs=lambda: push(docker.command))
            common.print_pair("push to an empty registry", spent["ours"], spent["theirs"])
    finally:
        process.kill()
        process.wait()
        w.close()


if __name__ == "__main__":
    common.in_sandbox(main, debian=True)
