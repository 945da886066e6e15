"""Reads a store as docs/formats say it, with none of our programs: layers as entries, and as directories again."""
import dataclasses
import hashlib
import os
import pathlib
import stat

_MAGIC = b"wherrytr"
_TAIL = 8 + 8 + 4 + 32
DIRECTORY, FILE, SYMLINK, CHAR, BLOCK, FIFO, SOCKET, WHITEOUT, LINK = range(1, 10)


@dataclasses.dataclass
class Entry:
    path: bytes
    type: int
    opaque: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: tuple[int, int] = (0, 0)
    inode: int = 0
    size: int = 0
    object: str = ""
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class _Reader:
    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("cut short")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text(self) -> bytes:
        return self.take(self.varint())


def read_record(data: bytes) -> list[Entry]:
    """All entries of a record; ValueError if it is none (docs/formats/tree-record.md)."""
    if data[:8] != _MAGIC or data[8] != 1 or len(data) < 16 + 1 + _TAIL:
        raise ValueError("no record")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise ValueError("wrong checksum")
    reader, entries, firsts = _Reader(data, 16), [], []
    path, owner, seconds = b"", (0, 0, 0), 0
    while (head := reader.take(1)[0]) != 0:
        kind = head & 15
        path = path[:reader.varint()] + reader.text()
        entry = Entry(path, kind, opaque=bool(head & 0x10))
        entries.append(entry)
        if kind == WHITEOUT:
            continue
        if kind == LINK:
            first = firsts[reader.varint() - 1]
            entries[-1] = dataclasses.replace(first, path=path)
            continue
        shared = bool(head & 0x80)
        fields = owner if head & 0x20 else (reader.varint(), reader.varint(), reader.varint())
        entry.mode, entry.uid, entry.gid = fields
        delta = reader.varint()
        time = ((0 if shared else seconds) + (delta >> 1 ^ -(delta & 1))) % (1 << 64)
        entry.mtime = (time - (1 << 64) if time >> 63 else time, reader.varint())
        if not shared:
            owner, seconds = fields, time
        if kind == FILE:
            entry.size = reader.varint()
            entry.object = reader.take(32).hex() if entry.size else ""
        elif kind == SYMLINK:
            entry.target = reader.text()
        elif kind in (CHAR, BLOCK):
            entry.device = (reader.varint(), reader.varint())
        if head & 0x40:
            entry.xattrs = tuple((reader.text(), reader.text()) for _ in range(reader.varint()))
        if shared:
            firsts.append(entry)
            entry.inode = len(firsts)
    if int.from_bytes(reader.take(8), "little") != len(entries):
        raise ValueError("wrong number of entries")
    return entries


def object_path(root: pathlib.Path, name: str) -> pathlib.Path:
    return root / "objects" / name[:2] / name[2:]


def layer_entries(root: pathlib.Path, diff_id: str) -> list[Entry]:
    return read_record((root / "layers" / diff_id.removeprefix("sha256:") / "tree").read_bytes())


def wrong_objects(root: pathlib.Path, diff_id: str) -> list[str]:
    """Files of a layer whose object is missing or not what its name says."""
    wrong = []
    for entry in layer_entries(root, diff_id):
        if entry.type != FILE or not entry.size:
            continue
        try:
            content = object_path(root, entry.object).read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != entry.object or len(content) != entry.size:
            wrong.append(os.fsdecode(entry.path))
    return wrong


def check_out(root: pathlib.Path, diff_id: str, target: pathlib.Path) -> pathlib.Path:
    """The layer as a directory, whiteouts and opaque directories as overlay has them."""
    firsts: dict[int, bytes] = {}
    folders = []
    target.mkdir(parents=True, exist_ok=True)
    for entry in layer_entries(root, diff_id):
        path = os.path.join(os.fsencode(target), entry.path) if entry.path else os.fsencode(target)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if entry.inode and entry.inode in firsts:
            os.link(firsts[entry.inode], path, follow_symlinks=False)
            continue
        firsts.setdefault(entry.inode, path)
        _make(root, entry, path)
        if entry.type == WHITEOUT:
            continue
        os.lchown(path, entry.uid, entry.gid)
        if entry.type != SYMLINK:
            os.chmod(path, entry.mode)
        for name, value in entry.xattrs:
            os.setxattr(path, name, value, follow_symlinks=False)
        folders.append((path, entry)) if entry.type == DIRECTORY else _set_time(path, entry)
    for path, entry in reversed(folders):
        _set_time(path, entry)
    return target


def _set_time(path: bytes, entry: Entry) -> None:
    ns = entry.mtime[0] * 1_000_000_000 + entry.mtime[1]
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def _make(root: pathlib.Path, entry: Entry, path: bytes) -> None:
    if entry.type == DIRECTORY:
        os.makedirs(path, exist_ok=True)
        if entry.opaque:
            os.setxattr(path, "trusted.overlay.opaque", b"y")
    elif entry.type == FILE:
        content = object_path(root, entry.object).read_bytes() if entry.size else b""
        pathlib.Path(os.fsdecode(path)).write_bytes(content)
    elif entry.type == SYMLINK:
        os.symlink(entry.target, path)
    elif entry.type in (CHAR, BLOCK, WHITEOUT):
        kind = stat.S_IFBLK if entry.type == BLOCK else stat.S_IFCHR
        os.mknod(path, kind | 0o600, os.makedev(*entry.device))
    elif entry.type == FIFO:
        os.mkfifo(path)
