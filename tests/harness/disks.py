"""File systems in files."""
import contextlib
import pathlib
import subprocess
import tempfile
import typing


@contextlib.contextmanager
def reflinking(parent: str) -> typing.Iterator[str]:
    """A mounted XFS below `parent`: it shares blocks."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        image, disk = pathlib.Path(folder) / "image", pathlib.Path(folder) / "disk"
        disk.mkdir()
        for command in (["truncate", "-s", "320M", image], ["mkfs.xfs", "-q", "-m", "reflink=1", image],
                        ["mount", "-o", "loop", image, disk]):
            subprocess.run(command, check=True)
        try:
            yield str(disk)
        finally:
            subprocess.run(["umount", disk], check=True)
