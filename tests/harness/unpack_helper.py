"""wherry-unpack itself: descriptors by number, a report as JSON (src/archive/objects.h)."""
import dataclasses
import json
import os
import pathlib
import resource

from . import store_records
from .paths import bin_dir


def run(arguments: list[str], fds: dict[int, int]) -> tuple[dict, resource.struct_rusage]:
    """`fds`: its number -> ours. The report, or {"status": how it ended}; and what it used."""
    program = str(bin_dir() / "wherry-unpack")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            high = {theirs: os.dup2(ours, 100 + theirs) for theirs, ours in {**fds, 4: writer}.items()}
            for theirs, ours in high.items():
                os.dup2(ours, theirs)
            os.closerange(10, 200)
            os.execve(program, [program, *arguments], {})
        finally:
            os._exit(127)
    os.close(writer)
    with open(reader, "rb") as stream:
        report = stream.read()
    _, status, usage = os.wait4(pid, 0)
    return (json.loads(report) if report else {"status": status}), usage


def objects(tar: pathlib.Path, into: pathlib.Path, store: pathlib.Path | None = None, limit: int = 1_000_000):
    """The layer in `into`: the report, what it used, and the record's entries (none when it was refused)."""
    into.mkdir(mode=0o700)
    fds = {0: os.open(tar, os.O_RDONLY), 3: os.open(into, os.O_RDONLY), 2: 2}
    if store:
        fds[7] = os.open(store, os.O_RDONLY)
    report, usage = run(["objects", "known" if store else "unknown", str(limit)], fds)
    for fd in fds.values():
        if fd > 2:
            os.close(fd)
    entries = store_records.read_record((into / "tree").read_bytes()) if "diff_id" in report else []
    return report, usage, [_in_words(entry) for entry in entries]


def _in_words(entry: store_records.Entry) -> store_records.Entry:
    """As tests compare them: names as text, types as letters, attributes by name."""
    def text(name: bytes) -> str:
        return name.decode(errors="surrogateescape")
    return dataclasses.replace(entry, path=text(entry.path), target=text(entry.target), type="?dflcbpsw"[entry.type],
                               xattrs={text(name): value for name, value in entry.xattrs})


def rebuild(recipe: pathlib.Path, store: pathlib.Path) -> dict:
    fds = {0: os.open(recipe, os.O_RDONLY), 3: os.open(store, os.O_RDONLY), 2: 2}
    report, _ = run(["rebuild", "none"], fds)
    os.close(fds[0])
    os.close(fds[3])
    return report


def take_objects(into: pathlib.Path, store: pathlib.Path) -> None:
    """As the engine does with what it has hashed."""
    for path in (into / "objects").iterdir():
        (store / path.name[:2]).mkdir(exist_ok=True)
        path.rename(store / path.name[:2] / path.name[2:])
