"""Debian trees by mmdebstrap from the host's own apt sources: the guest's disk, the peers, a base image."""
import fcntl
import os
import pathlib
import subprocess


def debian_sources(suite: str | None = None) -> list[str]:
    """The host's Debian sources as one-line entries; with `suite`, that suite from the same archive.

    Asked from apt itself, so that every format of sources works and no archive is named here.
    """
    listing = ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
               "Created-By: Packages", "Origin: Debian"]
    lines = _targets(listing)
    if not lines:
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        lines = _targets(listing)
    if not lines:
        raise RuntimeError("apt knows no Debian sources on this host")
    if suite is None:
        return [f"deb {uri} {release} {component}" for uri, release, component in lines]
    plain = [line for line in lines if "-" not in line[1]] or lines
    trust = "[check-valid-until=no] " if suite == "sid" else ""
    return [f"deb {trust}{plain[0][0]} {suite} {plain[0][2]}"]


def _targets(listing: list[str]) -> list[tuple[str, str, str]]:
    out = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return sorted({tuple(line.split("|")) for line in out.splitlines() if line.count("|") == 2})


def mmdebstrap(suite: str, target: pathlib.Path, include: list[str], options: list[str] | None = None,
               other_suite: bool = False) -> None:
    """Makes `target` (a directory or NAME.tar) under a temporary name, then renames it: never half-made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name.removesuffix(".tar") + ".partial" +
                               (".tar" if target.suffix == ".tar" else ""))
    remove(partial)
    sources = "\n".join(debian_sources(suite if other_suite else None)) + "\n"
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet",
               "--aptopt=Acquire::Retries \"3\"", "--dpkgopt=path-exclude=/usr/share/man/*",
               "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=force-unsafe-io"]
    if include:
        command.append("--include=" + ",".join(include))
    command += (options or []) + [suite, str(partial), "-"]
    done = subprocess.run(command, input=sources, text=True, capture_output=True)
    if done.returncode != 0:
        remove(partial)
        raise RuntimeError(f"mmdebstrap failed for '{target.name}':\n{done.stderr[-3000:]}")
    os.rename(partial, target)


def remove(path: pathlib.Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)


class BuildLock:
    """One maker at a time for what is cached under build/; the kernel frees it at death."""

    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def __enter__(self):
        self._file = open(self._path, "w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self._file.close()
