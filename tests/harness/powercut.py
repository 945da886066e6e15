"""A disk that can lose power: a loop-mounted journalled ext4 image.

cut() shuts the file system down without flushing its log, takes the image as it is on "disk" and mounts the
copy, as after a reboot: what was not made durable is gone.
"""
import fcntl
import os
import pathlib
import struct
import subprocess

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class PowerCutDisk:
    """Use as a context manager; `path` is where it is mounted now."""

    def __init__(self, folder: pathlib.Path, megabytes: int = 512, inodes: int = 0):
        self._folder = folder
        self._generation = 0
        folder.mkdir(parents=True, exist_ok=True)
        image = self._image()
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        few = ["-N", str(inodes)] if inodes else []
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", *few, str(image)], check=True)

    def __enter__(self):
        self._mount()
        return self

    def __exit__(self, *_):
        self._unmount()
        for image in self._folder.glob("disk-*.img"):
            image.unlink()
        self.path.rmdir()
        self._folder.rmdir()

    def cut(self, stop=lambda: None) -> pathlib.Path:
        """Cuts the power and comes back; the new mount point, which is the same path.

        `stop` ends the processes that the cut catches: one that is slow to begin would find the bare mount point.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
        stop()
        dead = self._image()
        self._generation += 1
        subprocess.run(["cp", "--sparse=always", str(dead), str(self._image())], check=True)
        self._unmount()
        dead.unlink()
        self._mount()
        return self.path

    @property
    def path(self) -> pathlib.Path:
        return self._folder / "mounted"

    def _image(self) -> pathlib.Path:
        return self._folder / f"disk-{self._generation}.img"

    def _mount(self) -> None:
        self.path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(self._image()), str(self.path)], check=True)

    def _unmount(self) -> None:
        # Lazily: files of processes that the cut caught may still be open.
        subprocess.run(["umount", "-l", str(self.path)], check=True)
