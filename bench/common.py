"""What the benchmarks share: a sandbox with a journalled disk, wherry and a dockerd in it, interleaved runs.

Both engines have their stores on the same loop-mounted ext4 file system and use the same image. Runs alternate,
so that a change of the machine's mood hits both.
"""
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests"))

from harness import images, peers, sandbox  # noqa: E402
from harness.paths import bin_dir  # noqa: E402
from harness.wherry import Wherry  # noqa: E402

IMAGE = "busybox:bench"


def install_programs() -> None:
    """A copy of the programs, as installed ones are, theirs too: what a linker has just written lies in small pieces
    in the page cache, and mapping it costs a start up to 0.5 ms."""
    installed = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "installed"
    installed.mkdir()
    for program in bin_dir().glob("wherry*"):
        shutil.copy2(program, installed)
    os.environ["WHERRY_BIN_DIR"] = str(installed)


def in_sandbox(main, suite: str = "bookworm", debian: bool = False) -> None:
    """Runs main() in a private machine; `suite`: of the peers that it needs; `debian`: it uses images.debian_tar()."""
    if "WHERRY_TEST_DISK" in os.environ:
        install_programs()
        main()
    else:
        images.busybox_tar()  # made outside, where the package archive can be reached
        peers.tree(suite)
        if debian:
            images.debian_tar()
        sys.exit(sandbox.enter([sys.executable, *sys.argv]))


def wherry_with_image() -> Wherry:
    w = Wherry()
    w.ok("import", images.busybox_tar(), IMAGE)
    return w


def each_rung():
    """An engine on each rung of the store that works here: (rung, wherry)."""
    for rung in ("erofs", "farm", "reflink", "layers"):
        w = Wherry(config={"storage-driver": rung})
        if w.try_run("info").returncode == 0:
            yield rung, w
        else:
            print(f"{rung:8} does not work here")
        w.close()


def dockerd(suite: str = "bookworm") -> peers.Dockerd:
    """That of a Debian suite: bookworm's 20.10, sid's newest."""
    return peers.Dockerd(pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / "docker", suite)


def import_into(docker: peers.Dockerd) -> None:
    with open(images.busybox_tar(), "rb") as tar:
        done = subprocess.run(docker.command("import", "-", IMAGE), stdin=tar, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())


def print_versions(w: Wherry, docker: peers.Dockerd | None = None) -> None:
    print(f"kernel  {platform.release()}, {os.cpu_count()} cores")
    print("wherry ", w.ok("version").strip().splitlines()[0])
    if docker is not None:
        print("dockerd", docker.ok("version", "--format", "{{.Server.Version}}").strip())


def milliseconds(command: list[str], env=None, stdin=subprocess.DEVNULL) -> float:
    begin = time.monotonic_ns()
    done = subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    spent = (time.monotonic_ns() - begin) / 1e6
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr.decode()}")
    return spent


def build(command: list[str], dockerfile: str, env=None) -> float:
    """Milliseconds of a build that reads its Dockerfile from standard input."""
    begin = time.monotonic_ns()
    done = subprocess.run(command, input=dockerfile, text=True, capture_output=True, env=env)
    spent = (time.monotonic_ns() - begin) / 1e6
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr}")
    return spent


def buildkit(docker: peers.Dockerd) -> list[str]:
    """Their client with BuildKit. It is entered through nsenter: its environment goes along by `env`."""
    words = docker.command()
    return [*words[:words.index("docker")], "DOCKER_BUILDKIT=1", *words[words.index("docker"):]]


def interleaved(rounds: int, **sides) -> dict[str, list[float]]:
    """`sides`: name -> a function that runs once and gives its milliseconds. One unmeasured round first."""
    spent = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            value = run()
            if number > 0:
                spent[name].append(value)
    return spent


def print_pair(title: str, ours: list[float], theirs: list[float]) -> None:
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{title:32} ours {a:8.2f} ms (min {min(ours):.2f})   theirs {b:8.2f} ms (min {min(theirs):.2f})   "
          f"ratio 1/{b / a:.1f}", flush=True)
