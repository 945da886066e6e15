"""The leak check: what is there before a test must be all that is there at most two seconds after it.

Looks at processes (the sandbox's PID namespace has only ours), mounts, cgroups, links, nftables, files below
the run root, half-made things below the root, locks and loop devices. Made-once things (the bridge, its
base rules) are there before, because the snapshot is taken after a first container.
"""
import os
import pathlib
import re
import subprocess
import time

_GRACE_SECONDS = 2.0


def snapshot(roots: list[pathlib.Path] = ()) -> dict[str, set[str]]:
    return {"process": _processes(), "mount": _mounts(), "cgroup": _cgroups(), "link": _links(),
            "nft rule": _nft(), "lock": _locks(), "file": _files(roots)}


def wait_until_clean(before: dict[str, set[str]], roots: list[pathlib.Path] = ()) -> list[str]:
    """Sentences about what is left over; empty when nothing is."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        left = _difference(before, snapshot(roots))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _difference(before, after) -> list[str]:
    return [f"{kind} left over: {item}{_place(item) if kind == 'mount' else ''}"
            for kind in after for item in sorted(after[kind] - before[kind])]


def _processes() -> set[str]:
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ")[:200]
        except OSError:
            continue
        after_name = stat.rpartition(")")[2].split()
        if after_name[0] not in "ZX":
            found.add(f"{entry} started {after_name[19]}: {words.decode(errors='replace')}")
    return found


def _mounts() -> set[str]:
    """By their numbers: where one is may change, because somebody renames a folder of the machine."""
    return {" ".join(line.split()[:4]) for line in
            pathlib.Path("/proc/self/mountinfo").read_text().splitlines()}


def _place(mount: str) -> str:
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if line.startswith(mount + " "):
            return " on " + line.split()[4]
    return ""


def _cgroups() -> set[str]:
    """Below the hierarchies' roots, which are the sandbox's own. The kernel empties v1 ones lazily."""
    found = set()
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] in ("cgroup", "cgroup2"):
            found |= {folder for folder, _, _ in os.walk(left.split()[4]) if not _MADE_ONCE.search(folder)}
    return found


# A root's own cgroup and the one its monitors live in, and the parent of wherry-oci's containers; who is in them is
# the process check's matter.
_MADE_ONCE = re.compile(r"/wherry(-[0-9a-f]+|-oci)?(/engine)?$")


def _links() -> set[str]:
    return set(_lines(["ip", "-o", "-br", "link"], lambda line: line.split()[0]))


def _nft() -> set[str]:
    return set(_lines(["nft", "-s", "-n", "list", "ruleset"], str.strip))


def _lines(command, shape) -> list[str]:
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [shape(line) for line in out.splitlines() if line.strip()]


def _locks() -> set[str]:
    return {" ".join(line.split()[1:6]) for line in pathlib.Path("/proc/locks").read_text().splitlines()
            if _pid_is_ours(line.split())}


def _pid_is_ours(words: list[str]) -> bool:
    # Locks of other PID namespaces show pid 0 or -1 here.
    pid = words[5] if words[1] == "->" else words[4]
    return pid.isdigit() and pid != "0"


def _files(roots) -> set[str]:
    found = set()
    for root in roots:
        for folder, folders, files in os.walk(root):
            found |= {os.path.join(folder, name) for name in folders + files}
    return found
