"""One running guest: boots it, runs commands over a serial socket, ends it."""
import base64
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time

from guest.image import Image

_END = re.compile(rb"\n__END__ (\d+)\n")


class Guest:
    """Use as a context manager. `payload`: files that appear under /payload, name -> host path.

    `security`: the kernel's module, of which only one can label: "apparmor" or "selinux".
    """

    def __init__(self, image: Image, payload: dict[str, pathlib.Path], security: str, memory_megabytes: int = 1024):
        self._image = image
        # Short, because unix socket paths are bounded; private, because sockets are in it.
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="wherry-guest-"))
        self._security = security
        self._memory = memory_megabytes
        self._process = None
        self._socket = None
        self._make_payload(payload)

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, command: str, timeout: float = 60) -> tuple[int, str]:
        """Runs a bash command as root; its exit code and its output (both streams)."""
        self._socket.settimeout(timeout)
        self._socket.sendall(base64.b64encode(command.encode()) + b"\n")
        data = b""
        deadline = time.monotonic() + timeout
        while (end := _END.search(data)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"guest command took over {timeout} s: {command}\n{data[-2000:]!r}")
            chunk = self._socket.recv(65536)
            if not chunk:
                raise RuntimeError(f"the guest ended during: {command}\n{self._console()}")
            data += chunk
        return int(end[1]), data[:end.start()].decode(errors="replace")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_payload(self, payload: dict[str, pathlib.Path]) -> None:
        self._drive = self._folder / "payload.tar"
        with tarfile.open(self._drive, "w", dereference=True) as tar:
            for name, source in payload.items():
                tar.add(source, arcname=name)

    def _boot(self) -> None:
        console = self._folder / "console.log"
        serial = self._folder / "serial.sock"
        # -snapshot writes go to $TMPDIR; the image itself is never changed.
        self._process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-cpu", "max",
             "-m", str(self._memory), "-display", "none", "-no-reboot", "-nic", "none",
             "-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd),
             "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=1 mitigations=off nokaslr "
                        f"systemd.show_status=0 security={self._security}",
             "-drive", f"file={_escape(self._image.disk)},if=virtio,format=raw,snapshot=on",
             "-drive", f"file={_escape(self._drive)},if=virtio,format=raw,snapshot=on",
             "-serial", f"file:{console}", "-serial", f"unix:{serial},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self._folder)})
        self._wait_until_ready(console)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(serial))
        code, out = self.run("mkdir -p /payload && tar -xf /dev/vdb -C /payload", timeout=120)
        if code != 0:
            raise RuntimeError(f"cannot unpack the payload in the guest: {out}")

    def _wait_until_ready(self, console: pathlib.Path, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not (console.exists() and b"READY" in console.read_bytes()):
            if self._process.poll() is not None:
                raise RuntimeError(f"qemu ended: {self._process.stderr.read().decode()}\n"
                                   f"{self._console()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the guest did not boot in {timeout} s:\n{self._console()}")
            time.sleep(0.1)  # a file that another program writes: nothing to wait on

    def _console(self) -> str:
        path = self._folder / "console.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def _escape(path: pathlib.Path) -> str:
    return str(path).replace(",", ",,")
