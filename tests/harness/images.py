"""Root file systems for tests: a tiny one from busybox-static, and Debian's by `wherry bootstrap`'s way."""
import io
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import tempfile

from harness import trees
from harness.paths import BUILD, CACHE

PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n" \
         "web:x:1000:1000:web:/home/web:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\nweb:x:1000:\nextra:x:2000:web\n"

# busybox has no UDP server.
_UDP_ECHO = """
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int argc, char** argv) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 7)}, there;
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(s, (struct sockaddr*)&here, sizeof here) != 0) return 1;
  for (char data[65536];;) {
    socklen_t size = sizeof there;
    ssize_t got = recvfrom(s, data, sizeof data, 0, (struct sockaddr*)&there, &size);
    if (got >= 0) sendto(s, data, got, 0, (struct sockaddr*)&there, size);
  }
}
"""


def static_program(source: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch) / "program"
        subprocess.run(["gcc", "-static", "-Os", "-s", "-x", "c", "-", "-o", str(program)], check=True,
                       input=source, text=True)
        return program.read_bytes()


def busybox_tar() -> pathlib.Path:
    """A root file system of about 2 MB: busybox with its applets, users, a file that is not executable."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / "busybox-2.tar"
    with trees.BuildLock(BUILD / ".images.lock"):
        if not target.exists():
            partial = target.with_suffix(".partial")
            _write_busybox_tar(partial)
            partial.rename(target)
    return target


def _write_busybox_tar(path: pathlib.Path) -> None:
    applets = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True,
                             text=True).stdout.split()
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "dev", "etc", "home", "home/web", "proc", "root", "sys", "tmp", "usr", "usr/bin",
                     "var", "var/data"):
            mode = {"tmp": 0o1777, "root": 0o700}.get(name, 0o755)
            owner = 1000 if name in ("home/web", "var/data") else 0
            _add(tar, name, tarfile.DIRTYPE, mode=mode, owner=owner)
        _add(tar, "bin/busybox", tarfile.REGTYPE, pathlib.Path("/bin/busybox").read_bytes(), 0o755)
        _add(tar, "bin/udp-echo", tarfile.REGTYPE, static_program(_UDP_ECHO), 0o755)
        for applet in applets:
            if applet != "busybox":
                _add(tar, f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        _add(tar, "etc/passwd", tarfile.REGTYPE, PASSWD.encode())
        _add(tar, "etc/group", tarfile.REGTYPE, GROUP.encode())
        _add(tar, "etc/not-executable", tarfile.REGTYPE, b"plain text\n")
        _add(tar, "var/data/seed", tarfile.REGTYPE, b"from the image\n", owner=1000)


def _add(tar, name, kind, data=b"", mode=0o644, owner=0, link="") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, owner, owner, link
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


PADDING = "a layer of its own\n"


def padded_tar() -> pathlib.Path:
    """The busybox tree with one more file: an image that shares no layer with it."""
    target = CACHE / "busybox-2-padded.tar"
    source = busybox_tar()
    with trees.BuildLock(BUILD / ".images.lock"):
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.copyfile(source, partial)
            with tarfile.open(partial, "a") as tar:
                _add(tar, "etc/padding", tarfile.REGTYPE, PADDING.encode())
            partial.rename(target)
    return target


def many_files_tar(files: int = 3000) -> pathlib.Path:
    """The busybox tree and some thousand files of 0 to 12 KB, as a distribution's tree has them."""
    target = CACHE / f"busybox-2-files-{files}.tar"
    source = busybox_tar()
    with trees.BuildLock(BUILD / ".images.lock"):
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.copyfile(source, partial)
            random_bytes = random.Random(files)
            with tarfile.open(partial, "a") as tar:
                for index in range(files):
                    data = random_bytes.randbytes(random_bytes.randrange(12288))
                    _add(tar, f"usr/share/part{index % 40}/file{index}", tarfile.REGTYPE, data)
            partial.rename(target)
    return target


def wrong_files(tree: pathlib.Path, tar: pathlib.Path) -> list[str]:
    """What differs between an unpacked layer and its tar: names, kinds, sizes, contents, link targets."""
    wrong = []
    with tarfile.open(tar) as archive:
        for entry in archive:
            path = tree / entry.name
            try:
                same = (path.is_dir() if entry.isdir() else
                        os.readlink(path) == entry.linkname if entry.issym() else
                        path.read_bytes() == archive.extractfile(entry).read())
            except OSError:
                same = False
            if not same:
                wrong.append(entry.name)
    return wrong


def debian_tar() -> pathlib.Path:
    """Debian bookworm, minbase, cached under build/."""
    target = CACHE / "debian-bookworm.tar"
    with trees.BuildLock(BUILD / ".images.lock"):
        if not target.exists():
            trees.mmdebstrap("bookworm", target, [])
    return target
