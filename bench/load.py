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

_BASE = "debian:bookworm"
_MIDDLE = "gcc libc6-dev git ca-certificates libpython3.11-stdlib"
_DOCKERFILE = f"""FROM {_BASE}
RUN apt-get update && apt-get install -y --no-install-recommends {_MIDDLE} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN mkdir /app && head -c 4000000 /dev/urandom > /app/data && for i in $(seq 200); do echo $i > /app/$i; done
"""
_UPGRADE = f"""FROM {_BASE}
RUN printf 'deb http://deb.debian.org/debian bookworm-updates main\\ndeb http://deb.debian.org/debian-security \\
bookworm-security main\\n' > /etc/apt/sources.list.d/more.list && apt-get update && apt-get upgrade -y && \\
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
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


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    proxy = os.environ["WHERRY_TEST_PACKAGE_PROXY"]
    archive, again = scratch() / "three.tar", scratch() / "again.tar"
    maker = common.Wherry()
    # Only the release as it came out: there is something to upgrade.
    maker.ok("bootstrap", _BASE, "--variant", "minbase", "--mirror", "http://deb.debian.org/debian",
             env={"http_proxy": proxy}, timeout=900)
    for name, dockerfile in (("three:1", _DOCKERFILE), ("upgraded:1", _UPGRADE)):
        maker.ok("build", "-t", name, "--build-arg", f"http_proxy={proxy}", "-", input=dockerfile, timeout=900)
    maker.ok("save", "-o", archive, "three:1", timeout=300)
    flat = {}
    for name in (_BASE, "upgraded:1"):
        flat[name] = scratch() / (name.split(":")[0] + ".tar")
        maker.ok("run", "--rm", "--network", "none", "-v", f"{scratch()}:/out", name, "tar", "-C", "/", "--one-file-system",
                 "--exclude=./out", "--exclude=./dev/*", "-cf", f"/out/{flat[name].name}", ".", timeout=300)
    maker.close()

    sides = {"best": common.Wherry(), "layers": common.Wherry(config={"storage-driver": "layers"})}
    with common.dockerd() as docker:
        common.print_versions(sides["best"], docker)

        def ours(w) -> float:
            subprocess.run(w.command("rmi", "-f", "three:1"), capture_output=True, env=w.environment())
            cold()
            return common.milliseconds(w.command("load", "-q", "-i", str(archive)), w.environment())

        def theirs() -> float:
            subprocess.run(docker.command("rmi", "-f", "three:1"), capture_output=True)
            cold()
            with open(archive, "rb") as file:
                return common.milliseconds(docker.command("load", "-q"), None, file)

        spent = common.interleaved(rounds, best=lambda: ours(sides["best"]), layers=lambda: ours(sides["layers"]),
                                   theirs=theirs)
    rung = re.search(r"Store: (.*)", sides["best"].ok("info")).group(1)
    print(f"{archive.stat().st_size / 1e6:.0f} MB archive, {sized(sides['layers']) / 1e6:.0f} MB in the store")
    common.print_pair(f"load, rung {rung}", spent["best"], spent["theirs"])
    common.print_pair("load, rung layers", spent["layers"], spent["theirs"])

    w = sides["best"]
    packed_again(archive, again)
    before = {path.name for path in (w.root / "objects").glob("*/*")}
    w.ok("load", "-q", "-i", again, timeout=300)
    written = {path.name for path in (w.root / "objects").glob("*/*")} - before
    print(f"the same under other digests     {len(written)} objects written, {len(before)} were there")
    w.close()
    sides["layers"].close()

    for rung in (rung, "layers"):
        w = common.Wherry(config={"storage-driver": rung})
        w.ok("import", flat[_BASE], "first:1", timeout=300)
        subprocess.run(["sync"], check=True)
        first = sized(w)
        w.ok("import", flat["upgraded:1"], "second:1", timeout=300)
        subprocess.run(["sync"], check=True)
        grown = sized(w) - first
        print(f"second image, rung {rung:13} {grown / 1e6:.1f} MB on {first / 1e6:.1f} MB: {100 * grown / first:.1f} %")
        w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
