"""The source tree as the gates see it: files, includes, floors, and a cache of what passed by content."""
import hashlib
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.paths import BUILD, TOP  # noqa: E402

SRC = TOP / "src"
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)

# What a floor may include besides itself: the table of docs/design/floors.md.
_BELOW_STORE = {"base", "sys", "oci", "tree", "archive", "state"}
_ENGINE = _BELOW_STORE | {"runtime", "names", "network", "store", "monitor", "transfer", "engine"}
ALLOWED = {
    "base": set(),
    "sys": {"base"},
    "oci": {"base"},
    "tree": {"base", "sys"},
    "archive": {"base", "sys", "tree"},
    "state": {"base", "sys"},
    "wire": {"base", "sys", "oci"},
    "runtime": {"base", "sys", "oci"},
    "names": {"base", "sys"},
    "network": {"base", "sys", "state"},
    "store": _BELOW_STORE,
    "monitor": {"base", "sys", "oci", "runtime", "names"},
    "transfer": _BELOW_STORE | {"store", "wire"},
    "engine": _ENGINE - {"engine"},
    "build": _ENGINE,
    "cli": _ENGINE | {"build"},
    "registry": {"base", "sys", "oci"},
    "ocicli": {"base", "sys", "oci", "runtime"},
    # A main may include the floor it hands over to, and the test seams it arms.
    "apps": {"base", "sys", "cli", "engine", "monitor", "archive", "wire", "registry", "runtime", "ocicli"},
}


def sources() -> list[pathlib.Path]:
    """Every .cc and .h file of ours that git knows or could know."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard", "--", "*.cc", "*.h"],
                            cwd=TOP, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := TOP / name).exists()]


def headers() -> list[pathlib.Path]:
    return sorted(SRC.rglob("*.h"))


def floor_of(path: pathlib.Path) -> str | None:
    try:
        return path.relative_to(SRC).parts[0]
    except ValueError:
        return None


def includes(path: pathlib.Path) -> list[str]:
    return _INCLUDE.findall(path.read_text())


def closure(path: pathlib.Path) -> list[pathlib.Path]:
    """The file and all headers of ours that it includes, however deep."""
    found, todo = set(), [path]
    while todo:
        current = todo.pop()
        if current in found:
            continue
        found.add(current)
        for name in includes(current):
            for folder in (SRC, TOP / "tests", current.parent):
                if (folder / name).exists():
                    todo.append((folder / name).resolve())
                    break
    return sorted(found)


class PassedCache:
    """Remembers by content what has passed, so that an unchanged file costs nothing."""

    def __init__(self, name: str, *settings: str):
        self._folder = BUILD / "check" / f"passed-{name}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings = "\0".join(settings).encode()

    def key(self, path: pathlib.Path) -> str:
        digest = hashlib.sha256(self._settings)
        for file in closure(path):
            digest.update(b"\0" + str(file.relative_to(TOP)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()

    def has(self, key: str) -> bool:
        return (self._folder / key).exists()

    def add(self, key: str) -> None:
        (self._folder / key).touch()


class Gate:
    """Collects results and prints them as `ok NAME` and `FAIL NAME: why`."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def ok(self, name: str) -> None:
        self.passed += 1
        print(f"ok {name}", flush=True)

    def fail(self, name: str, why: str) -> None:
        self.failed += 1
        print(f"FAIL {name}: {why}", flush=True)

    def report(self, name: str, wrong: list[str]) -> None:
        """One result: good when `wrong` is empty."""
        if wrong:
            self.fail(name, "\n  ".join(["", *wrong[:40]]) if len(wrong) > 1 else wrong[0])
        else:
            self.ok(name)
