"""Layers that want to break out, lie or never end: a table for whatever takes tars.

Each case says what must happen: it is refused with these words, or taken and gives these paths. Nothing
outside may change in either. Made byte by byte: tarfile is too polite.
"""
import base64
import dataclasses


@dataclasses.dataclass
class Case:
    name: str
    tar: bytes
    words: str | None = None            # of the refusal; None: it is taken
    paths: tuple[str, ...] | None = None  # what it gives, when it is taken; None: not compared
    attack: str = ""                    # what it tries, for whoever reads a failure


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    data = value.to_bytes(width, "big", signed=True)
    return bytes([data[0] | 0x80]) + data[1:]


def header(name=b"f", kind=b"0", size=0, link=b"", mode=0o644, uid=0, gid=0, mtime=1_000_000_000, major=0, minor=0,
           magic=b"ustar\x0000", prefix=b"", checksum=None, **raw: bytes) -> bytes:
    """One block. `raw`: fields that are put in as they are."""
    fields = {"mode": octal(mode, 8), "uid": octal(uid, 8), "gid": octal(gid, 8), "size": octal(size, 12),
              "mtime": octal(mtime, 12), "major": octal(major, 8), "minor": octal(minor, 8), **raw}
    block = bytearray(512)

    def put(at: int, data: bytes) -> None:
        block[at:at + len(data)] = data

    put(0, name[:100])
    put(100, fields["mode"])
    put(108, fields["uid"])
    put(116, fields["gid"])
    put(124, fields["size"])
    put(136, fields["mtime"])
    put(156, kind)
    put(157, link[:100])
    put(257, magic)
    put(329, fields["major"])
    put(337, fields["minor"])
    put(345, fields.get("tail", prefix)[:167])
    put(148, b" " * 8)
    put(148, checksum if checksum is not None else b"%06o\0 " % sum(block))
    return bytes(block)


def entry(name=b"f", data=b"", **fields) -> bytes:
    fields.setdefault("size", len(data))
    return header(name, **fields) + data + b"\0" * (-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], kind=b"x", raw: bytes | None = None) -> bytes:
    return entry(b"pax", raw if raw is not None else b"".join(record(*one) for one in records), kind=kind)


def gnu(name: bytes, kind=b"L") -> bytes:
    return entry(b"././@LongLink", name + b"\0", kind=kind, magic=b"ustar  \0")


def sparse_header(name: bytes, runs: list[tuple[int, int]], real: int, data: bytes, more=b"\0", **fields) -> bytes:
    tail = bytearray(167)
    for i, (offset, size) in enumerate(runs):
        tail[41 + 24 * i:41 + 24 * i + 24] = octal(offset, 12) + octal(size, 12)
    tail[137:138] = more
    tail[138:150] = octal(real, 12)
    fields.setdefault("magic", b"ustar  \0")
    return header(name, kind=b"S", size=len(data), tail=bytes(tail), **fields) + data + b"\0" * (-len(data) % 512)


END = b"\0" * 1024
FILE = entry(b"ok", b"x")


def link(name: bytes, target: bytes) -> bytes:
    return entry(name, kind=b"2", link=target)


def hard(name: bytes, target: bytes) -> bytes:
    return entry(name, kind=b"1", link=target)


def directory(name: bytes, **fields) -> bytes:
    return entry(name, kind=b"5", mode=0o755, **fields)


def _names(canary: bytes) -> list[Case]:
    up = b"../" * 12 + canary.lstrip(b"/")
    return [
        Case("dot-dot", entry(up, b"x") + END, "has '..'", attack="a path that climbs out"),
        Case("dot-dot-inside", entry(b"a/../b", b"x") + END, "has '..'"),
        Case("dot-dot-directory", directory(b"../d") + END, "has '..'"),
        Case("dot-dot-whiteout", entry(b"../.wh.x") + END, "has '..'"),
        Case("dot-dot-pax", pax((b"path", up)) + entry(b"f", b"x") + END, "has '..'"),
        Case("dot-dot-gnu", gnu(up) + entry(b"f", b"x") + END, "has '..'"),
        Case("dot-dot-sparse-name", pax((b"GNU.sparse.name", up), (b"GNU.sparse.size", b"1"), (b"GNU.sparse.map", b"0,1"))
             + entry(b"f", b"x") + END, "has '..'"),
        Case("absolute", entry(canary, b"x") + END, paths=(canary.decode().lstrip("/"),), attack="an absolute path"),
        Case("slashes", entry(b"///a//.//b", b"x") + END, paths=("a/b",)),
        Case("no-name", entry(b"", b"x") + END, "has no name"),
        Case("root-is-file", entry(b"./", b"x", kind=b"0") + END, "the root must be a directory"),
        Case("root-is-link", link(b".", b"/etc") + END, "the root must be a directory", attack="the root becomes a link"),
        Case("root-is-link-slash", link(b"/", b"/etc") + END, "the root must be a directory"),
        Case("name-256", entry(b"n" * 100) + pax((b"path", b"n" * 256)) + entry(b"f", b"x") + END, "too long|longer than 255"),
        Case("path-4096", pax((b"path", b"p/" * 2100 + b"f")) + entry(b"f", b"x") + END, "longer than 4095"),
        Case("zero-in-pax-path", pax((b"path", b"a\0b")) + entry(b"f", b"x") + END, "'path'"),
        Case("newline", entry(b"a\nb\x1b[2J", b"x") + END, paths=("a\nb\x1b[2J",)),
        Case("gnu-and-pax-name", gnu(b"one") + pax((b"path", b"two")) + entry(b"f", b"x") + END, "both a GNU and a PAX"),
    ]


def _links(canary: bytes) -> list[Case]:
    return [
        Case("link-then-write", link(b"out", b"/") + entry(b"out" + canary, b"x") + END,
             paths=("out", canary.decode().lstrip("/")), attack="write through an absolute link"),
        Case("link-up-then-write", directory(b"d") + link(b"d/out", b"../../../../..") + entry(b"d/out" + canary, b"x") + END,
             paths=("d", "d/out", canary.decode().lstrip("/"))),
        Case("link-over-directory-then-write", directory(b"d") + entry(b"d/a", b"x") + link(b"d", b"/etc") + entry(b"d/b", b"x")
             + END, "cannot enter 'd'", attack="the parent becomes a link"),
        Case("file-over-link", link(b"l", canary) + entry(b"l", b"x") + END, paths=("l",), attack="write to a link's target"),
        Case("chmod-through-link", link(b"l", canary) + directory(b"l", uid=7) + END, paths=("l",)),
        Case("link-loop", link(b"a", b"b") + link(b"b", b"a") + entry(b"a/f", b"x") + END, "too many levels"),
        Case("link-to-itself", link(b"a", b"a/a") + entry(b"a/f", b"x") + END, "too many levels"),
        Case("link-chain-41", b"".join(link(b"l%d" % i, b"l%d" % (i + 1)) for i in range(41)) + directory(b"l41")
             + entry(b"l0/f", b"x") + END, "too many levels"),
        Case("link-chain-40", b"".join(link(b"l%d" % i, b"l%d" % (i + 1)) for i in range(40)) + directory(b"l40")
             + entry(b"l0/f", b"x") + END, paths=tuple(sorted(f"l{i}" for i in range(41))) + ("l40/f",)),
        Case("link-without-target", link(b"l", b"") + END, "has no target"),
        Case("link-target-4096", pax((b"linkpath", b"t" * 4096)) + link(b"l", b"t") + END, "longer than 4095"),
        Case("dangling-parent", link(b"l", b"nowhere") + entry(b"l/f", b"x") + END, "cannot enter 'l'"),
        Case("hard-link-out", hard(b"h", canary) + END, "cannot link", attack="a hard link to the host's file"),
        Case("hard-link-up", hard(b"h", b"../" * 12 + canary.lstrip(b"/")) + END, "has '..'"),
        Case("hard-link-through-link", link(b"out", b"/") + hard(b"h", b"out" + canary) + END, "cannot link"),
        Case("hard-link-to-link", link(b"l", canary) + hard(b"h", b"l") + entry(b"h", b"x") + END, paths=("h", "l"),
             attack="write through a hard link to a link"),
        Case("hard-link-missing", hard(b"h", b"none") + END, "no such file"),
        Case("hard-link-to-directory", directory(b"d") + hard(b"h", b"d") + END, "is a directory"),
        Case("hard-link-to-itself", entry(b"a", b"x") + hard(b"a", b"a") + END, paths=("a",)),
        Case("hard-link-loop", hard(b"a", b"b") + hard(b"b", b"a") + END, "no such file"),
        Case("hard-link-over-its-parent", entry(b"a/b", b"x") + hard(b"a", b"a/b") + END, "cannot link"),
        Case("hard-link-without-target", hard(b"h", b"") + END, "no name|two names"),
        Case("file-as-parent", entry(b"a", b"x") + entry(b"a/b", b"x") + END, "not a directory"),
    ]


def _marks() -> list[Case]:
    return [
        Case("whiteout-of-nothing", entry(b".wh.") + END, "a whiteout must name a file"),
        Case("whiteout-of-dot", entry(b".wh..") + END, "a whiteout must name a file"),
        Case("whiteout-of-dot-dot", entry(b"d/.wh...") + END, "a whiteout must name a file", attack="deletes the parent"),
        Case("whiteout-is-directory", directory(b".wh.d") + entry(b".wh.d/f", b"x") + END, "below a whiteout"),
        Case("whiteout-through-link", link(b"out", b"/") + entry(b"out/.wh.etc") + END, paths=("etc", "out")),
        Case("opaque-below-file", entry(b"f", b"x") + entry(b"f/.wh..wh..opq") + END, "not a directory"),
        Case("aufs-links", directory(b".wh..wh.plnk") + entry(b".wh..wh.plnk/1.2", b"x") + entry(b".wh..wh.aufs") + FILE + END,
             paths=("ok",)),
        Case("device-0-0", entry(b"gone", kind=b"3") + END, "overlay's own mark", attack="a whiteout that is none"),
        Case("device-0-0-linked", entry(b"c", kind=b"3", major=1, minor=3) + entry(b"b", kind=b"4") + FILE + END,
             paths=("b", "c", "ok")),
        Case("device-number-huge", entry(b"c", kind=b"3", major=0o7777777, minor=1) + END, "out of range"),
        Case("xattr-opaque", pax((b"SCHILY.xattr.trusted.overlay.opaque", b"y")) + directory(b"d") + END, paths=("d",),
             attack="steers overlay"),
        Case("xattr-redirect", pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/ab/cd"),
                                   (b"SCHILY.xattr.trusted.overlay.metacopy", b"")) + entry(b"f", b"x") + END, paths=("f",),
             attack="names an object of another image"),
        Case("xattr-user-overlay", pax((b"SCHILY.xattr.user.overlay.whiteout", b"y")) + entry(b"f", b"x") + END, paths=("f",)),
        Case("xattr-encoded", pax((b"LIBARCHIVE.xattr.trusted%2eoverlay.opaque", base64.b64encode(b"y"))) + directory(b"d") + END,
             paths=("d",)),
        Case("xattr-capability-damaged", pax((b"SCHILY.xattr.security.capability", b"\1\2\3")) + entry(b"f", b"x") + END,
             "security.capability", attack="confuses the kernel"),
        Case("xattr-huge", pax((b"SCHILY.xattr.user.big", b"v" * 70_000)) + entry(b"f", b"x") + END, "larger than 64 KiB"),
        Case("xattr-many", pax(*[(b"SCHILY.xattr.user.n%d" % i, b"v") for i in range(129)]) + entry(b"f", b"x") + END,
             "more than 128"),
    ]


def _numbers() -> list[Case]:
    return [
        Case("size-negative", _raw_size(base256(-1, 12)), "negative"),
        Case("size-2-60", _raw_size(base256(1 << 60, 12)), "larger than 1 TiB"),
        Case("size-beyond-63-bits", _raw_size(b"\x80" + b"\xff" * 11), "is no number"),
        Case("size-letters", _raw_size(b"12three\0\0\0\0\0"), "is no number"),
        Case("pax-size-negative", pax((b"size", b"-1")) + entry(b"f", b"x") + END, "negative"),
        Case("pax-size-overflow", pax((b"size", b"99999999999999999999")) + entry(b"f", b"x") + END, "'size'"),
        Case("pax-size-lies", pax((b"size", b"5000")) + entry(b"f", b"x") + END, "truncated|damaged"),
        Case("uid-2-32", pax((b"uid", b"4294967296")) + entry(b"f", b"x") + END, "owner is out of range", attack="wraps to root"),
        Case("uid-none", pax((b"uid", b"4294967295")) + entry(b"f", b"x") + END, "owner is out of range"),
        Case("gid-negative", pax((b"gid", b"-1")) + entry(b"f", b"x") + END, "owner is out of range"),
        Case("mtime-letters", pax((b"mtime", b"soon")) + entry(b"f", b"x") + END, "'mtime'"),
        Case("mtime-1901", pax((b"mtime", b"-2147483648.5")) + entry(b"f", b"x") + END, paths=("f",)),
    ]


def _raw_size(size: bytes) -> bytes:
    block = bytearray(header(b"f"))
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return FILE + bytes(block) + END


def _structure() -> list[Case]:
    flipped = bytearray(entry(b"second", b"x"))
    flipped[3] ^= 1
    whole = entry(b"a", b"x" * 700) + entry(b"b", b"y")
    return [
        Case("empty-input", b"", "not a tar"),
        Case("noise", bytes((i * 7919 >> 3) & 255 for i in range(4096)), "not a tar"),
        Case("checksum", FILE + bytes(flipped) + END, "checksum"),
        Case("no-end", whole, "no end mark"),
        Case("cut-in-data", whole[:900], "no end mark"),
        Case("cut-in-header", whole[:-700], "no end mark"),
        Case("lone-zero-block", FILE + b"\0" * 512 + entry(b"b", b"x") + END, "single block of zeros"),
        Case("second-archive", FILE + END + entry(b"hidden", b"x") + END, paths=("ok",), attack="two archives in one"),
        Case("unknown-type", FILE + entry(b"f", kind=b"Q") + END, "type is unknown"),
        Case("multi-volume", FILE + entry(b"f", kind=b"M", magic=b"ustar  \0") + END, "type is unknown"),
        Case("volume-label", entry(b"label", kind=b"V", magic=b"ustar  \0") + FILE + END, paths=("ok",)),
        Case("directory-with-size", FILE + header(b"d", kind=b"5", size=512) + FILE + END, paths=("d", "ok")),
        Case("pax-alone", FILE + pax((b"path", b"f")) + END, "without an entry"),
        Case("pax-chain", pax((b"comment", b"c")) * 40 + FILE + END, "too many extended headers"),
        Case("pax-record-length", pax(raw=b"99999 path=x\n") + FILE + END, "PAX header is damaged"),
        Case("pax-record-short", pax(raw=b"3 a\n") + FILE + END, "PAX header is damaged"),
        Case("pax-record-no-newline", pax(raw=b"8 path=x") + FILE + END, "PAX header is damaged"),
        Case("pax-huge", header(b"pax", kind=b"x", size=2 << 20) + b"\0" * (2 << 20) + FILE + END, "larger than 1 MiB"),
        Case("gnu-name-huge", header(b"L", kind=b"L", size=1 << 33, magic=b"ustar  \0") + END, "larger than 1 MiB"),
        Case("global-path", pax((b"path", b"all"), kind=b"g") + FILE + END, "global PAX header"),
        Case("charset", pax((b"hdrcharset", b"ISO-IR 8859 1 1998")) + FILE + END, "character set"),
    ]


def _sparse() -> list[Case]:
    tera = str(1 << 41).encode()
    return [
        Case("sparse-bomb", sparse_header(b"s", [(0, 1)], 0o77777777777, b"x", ) + sparse_header(b"t", [], 0o77777777777, b"")
             + sparse_header(b"u", [], 0o77777777777, b"") + END, "16 GiB", attack="512 bytes that become 8 GiB"),
        Case("sparse-2-tib", pax((b"GNU.sparse.size", tera), (b"GNU.sparse.map", b"0,1")) + entry(b"s", b"x") + END,
             "larger than 1 TiB"),
        Case("sparse-overlap", sparse_header(b"s", [(0, 10), (5, 10)], 100, b"x" * 20) + END, "runs overlap"),
        Case("sparse-behind-end", sparse_header(b"s", [(90, 20)], 100, b"x" * 20) + END, "behind the file's end"),
        Case("sparse-data-differs", sparse_header(b"s", [(0, 10)], 100, b"x" * 20) + END, "does not fit"),
        Case("sparse-map-endless", sparse_header(b"s", [(0, 1)], 100, b"", more=b"\1")
             + (b"\0" * 504 + b"\1" + b"\0" * 7) * 17_000 + END, "does not end"),
        Case("sparse-1.0-map-endless", pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                                           (b"GNU.sparse.realsize", b"10")) + entry(b"s", b"9\n0\n1\n" + b"1\n" * 200) + END,
             "sparse map"),
        Case("sparse-1.0-count", pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"10"))
             + entry(b"s", b"99999999999\n" + b"0\n" * 100) + END, "sparse map"),
        Case("sparse-0.0-half", pax((b"GNU.sparse.size", b"10"), (b"GNU.sparse.offset", b"0")) + entry(b"s", b"x") + END,
             "offset without a size"),
        Case("sparse-version-9", pax((b"GNU.sparse.major", b"9"), (b"GNU.sparse.size", b"10")) + entry(b"s", b"x") + END,
             "unknown version"),
        Case("sparse-in-ustar", sparse_header(b"s", [(0, 1)], 10, b"x", magic=b"ustar\x0000") + END, "not of GNU"),
        Case("sparse-right", sparse_header(b"s", [(512, 3)], 2000, b"abc") + END, paths=("s",)),
    ]


def cases(canary: str) -> list[Case]:
    """`canary`: the absolute path of a file outside that nothing may touch."""
    path = canary.encode()
    return [*_names(path), *_links(path), *_marks(), *_numbers(), *_structure(), *_sparse()]
