"""What each program links, and what our own objects call: the rows of docs/design/README.md, Programs."""
import pathlib
import re
import subprocess

import tree
from harness.paths import bin_dir

_NAME_SERVICE = r"get(pw|gr)(nam|uid|gid|ent)(_r)?|getgrouplist|initgroups|getaddrinfo|gethostby\w+|" \
                r"getserv\w+|iconv_open|dlopen"
_CURL, _TLS, _SQLITE, _ARCHIVE = r"curl_\w+", r"(SSL|TLS)_\w+", r"sqlite3_\w+", r"archive_(read|write)_\w+"

# program: (static-pie, symbols it must not contain, libraries it must not need)
PROGRAMS = {
    "wherry": (True, f"{_CURL}|{_TLS}|grpc_\\w+|{_ARCHIVE}", ""),
    "wherry-monitor": (True, f"{_CURL}|{_TLS}|{_SQLITE}|{_ARCHIVE}", ""),
    "wherry-init": (True, f"{_CURL}|{_TLS}|{_SQLITE}|{_ARCHIVE}|_ZN6wherry\\w+", ""),
    "wherry-oci": (True, f"{_CURL}|{_TLS}|{_SQLITE}|{_ARCHIVE}", ""),
    "wherry-unpack": (False, f"{_CURL}|{_SQLITE}", "libcurl|libsqlite3|libssl"),
    "wherry-transfer": (False, _SQLITE, "libsqlite3|libarchive"),
    "wherry-registry": (False, f"{_CURL}|{_SQLITE}|{_ARCHIVE}|_ZN6wherry(5store|5state|6engine|7archive)\\w+",
                        "libcurl|libsqlite3|libarchive|libboost"),
}
# Floors whose objects only go into dynamically linked helpers.
_DYNAMIC_FLOORS = {"wire", "archive_confined", "registry"}


def check(gate: tree.Gate) -> None:
    folder = bin_dir()
    built = sorted(path for path in folder.glob("wherry*") if path.is_file())
    if not built:
        gate.fail("linkage", f"no program in '{folder}'")
    for program in built:
        if program.name not in PROGRAMS:
            gate.fail(f"linkage {program.name}", "no row for this program in tests/gates/linkage.py")
        else:
            gate.report(f"linkage {program.name}", _check_program(program))
    for archive in sorted(folder.parent.glob("src/*/libwherry_*.a")):
        floor = archive.stem.removeprefix("libwherry_")
        if floor not in _DYNAMIC_FLOORS:
            gate.report(f"calls of {floor}", _check_calls(archive))


def _check_program(program: pathlib.Path) -> list[str]:
    static, symbols, libraries = PROGRAMS[program.name]
    wrong = []
    headers = _output("readelf", "-W", "-h", "-l", "-d", program)
    if static:
        if "DYN (" not in headers:
            wrong.append("is not position independent")
        if "INTERP" in headers or "(NEEDED)" in headers:
            wrong.append("is not static")
    needed = re.findall(r"\(NEEDED\).*\[(.*?)\]", headers)
    wrong += [f"needs {name}" for name in needed if libraries and re.match(libraries, name)]
    if symbols:
        pattern = re.compile(f"^(?:{symbols})$")
        defined = [line.split()[0].split("@")[0] for line in _output("nm", "-P", program).splitlines()]
        if static and not defined:
            wrong.append("has no symbol table to look at")
        wrong += [f"contains {name}" for name in sorted(set(defined)) if pattern.match(name)][:5]
        # Of libc's own start: CPUID instructions before main(). Elsewhere it is what is wanted.
        if static and _own_libc_start(program) and any(name.startswith("intel_check_word") for name in defined):
            wrong.append("does not start with src/apps/libc_start.cc")
    # Nobody may leave out a defence of what is installed (src/base/weaken.h).
    if b"WHERRY_WEAKEN" in program.read_bytes():
        wrong.append("is built with -DWHERRY_WEAKEN")
    return wrong


def _own_libc_start(program: pathlib.Path) -> bool:
    """Whether the build that made it found the libc that src/apps/libc_start.cc is written for."""
    cache = program.parents[1] / "CMakeCache.txt"
    return re.search(r"^WHERRY_OWN_LIBC_START:INTERNAL=1$", cache.read_text(), re.MULTILINE) is not None


def _check_calls(archive: pathlib.Path) -> list[str]:
    # One EVP digest reads openssl.cnf and costs 0.8 ms at start.
    pattern = re.compile(f"^(?:{_NAME_SERVICE}|EVP_\\w+)$")
    found, member = [], ""
    for line in _output("nm", "-u", "-A", archive).splitlines():
        member, _, symbol = line.rpartition(" ")
        if pattern.match(symbol.split("@")[0]):
            found.append(f"{member.split(':')[1]} calls {symbol}")
    return sorted(set(found))


def _output(*command) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
