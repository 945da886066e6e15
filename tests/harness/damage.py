"""Ways to damage a file on purpose."""
import os
import pathlib


def flip(path: pathlib.Path) -> None:
    """One bit in the middle, in place."""
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def flip_unseen(path: pathlib.Path) -> None:
    """And the times put back."""
    info = path.stat()
    flip(path)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def truncate(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def truncate_unseen(path: pathlib.Path) -> None:
    info = path.stat()
    truncate(path)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def replace(path: pathlib.Path) -> None:
    """By a file of the same size, as an editor does it."""
    size = path.stat().st_size
    path.unlink()
    path.write_bytes(b"x" * size)


def replace_by_link(path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def replace_by_folder(path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()


def give_away(path: pathlib.Path) -> None:
    os.chown(path, 1000, 1000)


def open_up(path: pathlib.Path) -> None:
    path.chmod(0o666)


CONTENT = (flip, flip_unseen, truncate, truncate_unseen, replace, pathlib.Path.unlink)
ANY = (*CONTENT, replace_by_link, replace_by_folder, give_away, open_up)
