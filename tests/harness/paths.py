"""Where things are in a checkout."""
import os
import pathlib

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
CACHE = BUILD / "cache"


def bin_dir() -> pathlib.Path:
    """The programs under test: build/release/bin, or WHERRY_BIN_DIR."""
    return pathlib.Path(os.environ.get("WHERRY_BIN_DIR", BUILD / "release" / "bin"))


def sanitized() -> bool:
    """Whether they are built with sanitizers: they need a loader, and keep memory that was freed."""
    with (bin_dir() / "wherry-monitor").open("rb") as file:
        return b"/ld-linux" in file.read(4096)
