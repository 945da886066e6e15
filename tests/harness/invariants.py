"""What must hold after every fault: acknowledged is durable, state equals the kernel's truth, nothing wedges."""
import hashlib
import os
import pathlib
import stat
import time

from harness import store_records
from harness.wherry import CommandFailed, Wherry

_GRACE_SECONDS = 2.0


class ImageWitness:
    """What an acknowledged image was; check() says what has changed since."""

    def __init__(self, wherry: Wherry, name: str):
        self._wherry = wherry
        self.name = name
        self.id = image_id(wherry, name)
        self._layers = layer_trees(wherry)

    def check(self) -> list[str]:
        wrong = []
        found = image_id(self._wherry, self.name)
        if found != self.id:
            wrong.append(f"image '{self.name}' is now {found or 'missing'}, was {self.id}")
        now = layer_trees(self._wherry)
        wrong += [f"layer '{name}' is missing or has changed" for name, digest in self._layers.items()
                  if now.get(name) != digest]
        return wrong


def image_id(wherry: Wherry, name: str) -> str:
    return "".join(wherry.ok("images", "-q", "--no-trunc", name).split()[:1])


def layer_trees(wherry: Wherry) -> dict[str, str]:
    """A digest of every layer, by name, from the files as they are on disk; of a damaged one what is wrong."""
    folder = wherry.root / "layers"
    if not folder.is_dir():
        return {}
    return {path.name: " ".join(store_records.wrong_objects(wherry.root, path.name)) or
            hashlib.sha256((path / "tree").read_bytes() + (path / "recipe").read_bytes()).hexdigest()
            for path in sorted(folder.iterdir())}


def tree_digest(top: pathlib.Path) -> str:
    """SHA-256 over the names, types, modes, owners, link targets and contents of a tree."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            digest.update(f"{os.path.relpath(path, top)}\0{info.st_mode}\0{info.st_uid}\0{info.st_gid}\0".encode())
            if stat.S_ISLNK(info.st_mode):
                digest.update(os.fsencode(os.readlink(path)))
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def check_states(wherry: Wherry) -> list[str]:
    """Each listed container against the kernel: running if and only if its process is there.

    Between an end and its record is a moment, for which this waits.
    """
    deadline = time.monotonic() + _GRACE_SECONDS
    while (wrong := _wrong_states(wherry)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return wrong


def _wrong_states(wherry: Wherry) -> list[str]:
    wrong = []
    for name in wherry.ids():
        try:
            state = wherry.inspect(name)["State"]
        except CommandFailed as error:
            if "No such object" in str(error):
                continue  # removed since it was listed
            raise
        pid = state["Pid"]
        alive = pid > 0 and _alive(pid)
        if state["Running"] != alive:
            wrong.append(f"container '{name[:12]}' is '{state['Status']}' with pid {pid}, which is "
                         f"{'alive' if alive else 'not there'}")
    return wrong


def _alive(pid: int) -> bool:
    try:
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return words[0] not in "ZX"


def check_not_wedged(wherry: Wherry, image: str, name: str) -> list[str]:
    """The same name and image work again."""
    wherry.try_run("rm", "-f", name)
    done = wherry.try_run("run", "--rm", "--name", name, image, "true")
    return [] if done.returncode == 0 else [f"'{name}' from '{image}' does not run again: {done.stderr}"]
