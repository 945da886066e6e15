#!/usr/bin/env python3
"""load.py [ROUNDS]: `load` of a three-layer image of Debian packages (about 270 MB, 100 MB compressed) into an empty
store, what is synced included, beside a dockerd; on the rung that is best here and on the rung `layers`.

Then, without a peer: the same content under other layer digests (objects that are written), and a second image one
`apt-get upgrade` away (what the store grows by, of the first image's size on disk).
"""
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import common
from harness import peers, trees

_BASE = "debian:bookworm"
_DOCKERFILE = f"""FROM {_BASE}
RUN apt-get update && apt-get install -y --no-install-recommends git python3 file && \\
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN mkdir /app && head -c 4000000 /dev/urandom > /app/data && for i in $(seq 200); do echo $i > /app/$i; done
"""


def scratch() -> pathlib.Path:
    return pathlib.Path(os.environ["WHERRY_TEST_DISK"])


def sized(w) -> int:
    """Bytes that the store has on disk, the database aside."""
    places = [str(w.root / name) for name in ("objects", "layers", "trees", "blobs", "farm") if (w.root / name).exists()]
    out = subprocess.run(["du", "-s", "-B1", "-c", *places], capture_output=True, text=True, check=True).stdout
    return int(out.splitlines()[-1].split()[0])


def packed_again(source: pathlib.Path, target: pathlib.Path) -> None:
    """The image with every layer's tar in another form: other digests, the same files."""
    folder = scratch() / "again"
    folder.mkdir()
    subprocess.run(["tar", "-xf", source, "-C", folder], check=True)
    manifest = json.loads((folder / "manifest.json").read_text())[0]
    config = json.loads((folder / manifest["Config"]).read_text())
    diff_ids, layers = [], []
    for number, layer in enumerate(manifest["Layers"]):
        plain = folder / f"layer{number}.tar"
        with tarfile.open(folder / layer) as old, tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as new:
            for member in old:
                member.uname = member.gname = "other"
                member.pax_headers = {}
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
        digest = subprocess.run(["sha256sum", plain], capture_output=True, text=True, check=True).stdout.split()[0]
        diff_ids.append("sha256:" + digest)
        layers.append(plain.name)
    config["rootfs"]["diff_ids"] = diff_ids
    with tarfile.open(target, "w") as archive:
        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("config.json", json.dumps(config).encode())
        for layer in layers:
            archive.add(folder / layer, layer)
        add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["again:1"], "Layers": layers}]).encode())
    subprocess.run(["rm", "-rf", folder], check=True)


def cold() -> None:
    subprocess.run(["sync"], check=True)
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")


def bootstrap(w, name: str, *flags) -> None:
    w.ok("bootstrap", _BASE, "--variant", "minbase", "-t", name, *flags, timeout=900,
         env={"http_proxy": os.environ["WHERRY_TEST_PACKAGE_PROXY"]})


def release_as_it_came_out() -> list[str]:
    """bootstrap's flags for Debian without what came after the release: there is something to upgrade."""
    return ["--mirror", trees.debian_sources("bookworm")[0].split()[-3]]


def three_layers(archive: pathlib.Path) -> None:
    w = common.Wherry()
    bootstrap(w, _BASE)
    w.ok("build", "-t", "three:1", "--build-arg", f"http_proxy={os.environ['WHERRY_TEST_PACKAGE_PROXY']}", "-",
         input=_DOCKERFILE, timeout=900)
    w.ok("save", "-o", archive, "three:1", timeout=300)
    w.close()


def ours(archive: pathlib.Path, rung: str | None) -> float:
    # A new store each time: files are made slowly where ext4 has just deleted some.
    w = common.Wherry(config={"storage-driver": rung} if rung else None)
    w.ok("images")
    cold()
    spent = common.milliseconds(w.command("load", "-q", "-i", str(archive)), w.environment())
    w.close()
    return spent


def theirs(archive: pathlib.Path, counter: list[int]) -> float:
    counter.append(0)
    with peers.Dockerd(scratch() / f"docker{len(counter)}") as docker, open(archive, "rb") as file:
        cold()
        spent = common.milliseconds(docker.command("load", "-q"), None, file)
    return spent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    archive, again = scratch() / "three.tar", scratch() / "again.tar"
    three_layers(archive)
    w = common.Wherry()
    with common.dockerd() as docker:
        common.print_versions(w, docker)
    rung = re.search(r"Store: (.*)", w.ok("info")).group(1)
    daemons = []
    spent = common.interleaved(rounds, best=lambda: ours(archive, None), layers=lambda: ours(archive, "layers"),
                               theirs=lambda: theirs(archive, daemons))
    w.ok("load", "-q", "-i", archive, timeout=300)
    sizes = [row["Size"] for row in map(json.loads, w.ok("images", "--format", "{{json .}}").splitlines())]
    print(f"an archive of {archive.stat().st_size / 1e6:.0f} MB, {sizes[0]} on one side, {sized(w) / 1e6:.0f} MB in the store")
    common.print_pair(f"load, rung {rung}", spent["best"], spent["theirs"])
    common.print_pair("load, rung layers", spent["layers"], spent["theirs"])

    packed_again(archive, again)
    before = {path.name for path in (w.root / "objects").glob("*/*")}
    w.ok("load", "-q", "-i", again, timeout=300)
    written = {path.name for path in (w.root / "objects").glob("*/*")} - before
    print(f"the same under other digests     {len(written)} objects written, {len(before)} were there")
    w.close()

    for rung in (rung, "layers"):
        w = common.Wherry(config={"storage-driver": rung})
        bootstrap(w, "first:1", *release_as_it_came_out())
        subprocess.run(["sync"], check=True)
        first = sized(w)
        bootstrap(w, "second:1")
        subprocess.run(["sync"], check=True)
        grown = sized(w) - first
        print(f"second image, rung {rung:13} {grown / 1e6:.1f} MB on {first / 1e6:.1f} MB: {100 * grown / first:.1f} %")
        w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
