"""The guest's kernel, initramfs and disk, made once into build/guest.

Software emulation only: nothing here needs /dev/kvm. The disk is made without mounting anything
(mke2fs -d); the initramfs only loads virtio and ext4 and switches to systemd.
"""
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import trees
from harness.paths import BUILD

PACKAGES = ["apparmor", "criu", "iptables", "systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd",
            "iproute2", "nftables", "uidmap", "procps", "kmod", "secilc", "udev", "util-linux"]
DISK_MEGABYTES = 1800
# In load order; those that the kernel has built in are missing as files and skipped.
BOOT_MODULES = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
                "virtio_blk", "crc16", "libcrc32c", "crc32c_generic", "mbcache", "jbd2", "ext4"]

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for m in {modules}; do [ -f /modules/$m.ko ] && $b insmod /modules/$m.ko; done
i=0
while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do $b sleep 0.1; i=$((i+1)); done
$b mount -t ext4 /dev/vda /root || {{ echo "no root file system"; $b poweroff -f; }}
$b umount /proc
$b umount /sys
$b mount --move /dev /root/dev
exec $b switch_root /root /lib/systemd/systemd systemd.unified_cgroup_hierarchy=1
"""

SERVICE = """[Unit]
Description=runs the test driver's commands from the second serial port
After=basic.target
[Service]
ExecStart=/bin/bash /usr/local/lib/serve.sh
KillMode=process
Delegate=yes
[Install]
WantedBy=multi-user.target
"""

# A command arrives as one line of base64; its output goes back as it is, then a line with its code.
SERVE = """stty -F /dev/ttyS1 raw -echo clocal cread
exec 3<>/dev/ttyS1
echo READY > /dev/ttyS0
while IFS= read -r line <&3; do
  command=$(printf %s "$line" | base64 -d)
  bash -c "$command" </dev/null >&3 2>&1
  printf '\\n__END__ %d\\n' $? >&3
done
"""


class Image:
    """Paths of a finished guest."""

    def __init__(self, folder: pathlib.Path):
        self.kernel = folder / "vmlinuz"
        self.initrd = folder / "initrd.gz"
        self.disk = folder / "disk.img"


def ensure(folder: pathlib.Path = BUILD / "guest") -> Image:
    recipe = hashlib.sha256("\n".join([INIT, SERVICE, SERVE, *PACKAGES, *BOOT_MODULES,
                                       str(DISK_MEGABYTES)]).encode()).hexdigest()
    stamp = folder / "recipe"
    with trees.BuildLock(BUILD / ".guest.lock"):
        if not stamp.exists() or stamp.read_text() != recipe:
            trees.remove(folder)
            folder.mkdir(parents=True)
            _make(folder)
            stamp.write_text(recipe)
    return Image(folder)


def _make(folder: pathlib.Path) -> None:
    kernel_tree = folder / "kernel"
    release = _unpack_kernel(kernel_tree)
    shutil.copy(kernel_tree / "boot" / f"vmlinuz-{release}", folder / "vmlinuz")
    modules = kernel_tree / "lib" / "modules" / release
    _make_initrd(folder, modules)
    root = folder / "root"
    trees.mmdebstrap("bookworm", root, PACKAGES)
    shutil.copytree(modules, root / "usr" / "lib" / "modules" / release, symlinks=True)
    subprocess.run(["chroot", str(root), "depmod", release], check=True)
    _configure(root)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), "-E", "lazy_itable_init=1",
                    str(folder / "disk.img"), f"{DISK_MEGABYTES}M"], check=True)
    trees.remove(root)
    trees.remove(kernel_tree)


def _unpack_kernel(target: pathlib.Path) -> str:
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], check=True,
                             capture_output=True, text=True).stdout
    package = re.search(r"Depends: (linux-image-\S+-cloud-amd64)\b", depends)
    if package is None:
        raise RuntimeError("apt knows no 'linux-image-cloud-amd64'")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # apt downloads as its own user, who cannot write here: then it does so as root and says so.
        subprocess.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package[1]],
                       cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (deb,) = pathlib.Path(scratch).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(target)], check=True)
    return package[1].removeprefix("linux-image-")


def _make_initrd(folder: pathlib.Path, modules: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = pathlib.Path(scratch)
        for name in ("bin", "proc", "sys", "dev", "root", "modules"):
            (root / name).mkdir()
        shutil.copy("/bin/busybox", root / "bin" / "busybox")
        for name in BOOT_MODULES:
            for found in modules.rglob(name + ".ko"):
                shutil.copy(found, root / "modules")
        init = root / "init"
        init.write_text(INIT.format(modules=" ".join(BOOT_MODULES)))
        init.chmod(0o755)
        names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
        archive = subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, check=True,
                                 input=names.encode(), capture_output=True).stdout
        (folder / "initrd.gz").write_bytes(gzip.compress(archive, 6))


def _configure(root: pathlib.Path) -> None:
    (root / "usr" / "local" / "lib" / "serve.sh").write_text(SERVE)
    units = root / "etc" / "systemd" / "system"
    (units / "serve.service").write_text(SERVICE)
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    os.symlink("../serve.service", wants / "serve.service")
    (root / "etc" / "hostname").write_text("guest\n")
    subprocess.run(["chroot", str(root), "useradd", "-m", "-s", "/bin/bash", "u1"], check=True)
