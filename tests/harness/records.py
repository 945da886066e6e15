"""A reader of layers' records, written from docs/formats/tree-record.md alone."""
import dataclasses

_TYPES = "?dflcbpsw"


@dataclasses.dataclass
class Entry:
    path: str
    type: str = ""  # d f l c b p s w, as in _TYPES
    opaque: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: tuple[int, int] = (0, 0)
    size: int = 0
    object: str = ""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    inode: int = 0


class _Cursor:
    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count:self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def text(self) -> bytes:
        return self.take(self.varint())


def read(data: bytes) -> list[Entry]:
    assert data.startswith(b"wherrytr\x01"), data[:16]
    cursor, entries, inodes = _Cursor(data, 16), [], []
    path, owner, seconds = b"", (0, 0, 0), 0
    while tag := cursor.byte():
        path = path[:cursor.varint()] + cursor.text()
        entry = Entry(path.decode(errors="surrogateescape"))
        entries.append(entry)
        if tag & 15 == 8:
            entry.type = "w"
            continue
        if tag & 15 == 9:
            number = cursor.varint()
            entries[-1] = dataclasses.replace(inodes[number - 1], path=entry.path)
            continue
        entry.type, entry.opaque = _TYPES[tag & 15], bool(tag & 0x10)
        shared = bool(tag & 0x80)
        fields = owner if tag & 0x20 else (cursor.varint(), cursor.varint(), cursor.varint())
        entry.mode, entry.uid, entry.gid = fields
        delta = cursor.varint()
        when = (0 if shared else seconds) + (delta >> 1 ^ -(delta & 1))
        when = (when + (1 << 63)) % (1 << 64) - (1 << 63)
        entry.mtime = (when, cursor.varint())
        if not shared:
            owner, seconds = fields, when
        _read_content(cursor, entry)
        if tag & 0x40:
            for _ in range(cursor.varint()):
                name = cursor.text().decode()
                entry.xattrs[name] = cursor.text()
        if shared:
            entry.inode = len(inodes) + 1
            inodes.append(entry)
    return entries


def _read_content(cursor: _Cursor, entry: Entry) -> None:
    if entry.type == "f":
        entry.size = cursor.varint()
        entry.object = cursor.take(32).hex() if entry.size else ""
    elif entry.type == "l":
        entry.target = cursor.text().decode(errors="surrogateescape")
    elif entry.type in "cb":
        entry.device = (cursor.varint(), cursor.varint())
