"""Bundles made by hand and the real wherry-oci: what every test of the runtime's command line starts from."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import time
import unittest

from harness import images, leaks
from harness.attacks import WEAKENED
from harness.paths import bin_dir

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **WEAKENED}
DEFAULT_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
                        "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"]


def config(*args, **process) -> dict:
    """A configuration like `wherry-oci spec`'s, for the busybox root, without a terminal."""
    return {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args),
            "env": ["PATH=/bin:/usr/bin", "FROM_CONFIG=yes"], "cwd": "/",
            "capabilities": {kind: DEFAULT_CAPABILITIES for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True, **process},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "bundle",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]}],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]},
    }


class OciTest(unittest.TestCase):
    """self.oci() runs wherry-oci with a root of the class's own; nothing may be left after a test."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.disk = pathlib.Path(os.environ["WHERRY_TEST_DISK"]) / f"oci-{cls.__name__}"
        cls.root = pathlib.Path(os.environ["WHERRY_TEST_RUN"]) / f"oci-{cls.__name__}"
        cls.disk.mkdir()
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", str(cls.disk), str(cls.root)], check=True)
        cls.rootfs = cls.disk / "rootfs"
        with tarfile.open(images.busybox_tar()) as tar:
            tar.extractall(cls.rootfs)

    def make_canary(self) -> pathlib.Path:
        """A directory of the host's that no container is given."""
        canary = self.disk / "canary"
        canary.mkdir()
        self.addCleanup(shutil.rmtree, canary)
        (canary / "secret").write_text("the host's\n")
        return canary

    def setUp(self):
        self._before = leaks.snapshot([])
        self._bundles = 0
        self.addCleanup(self._nothing_is_left)
        self.addCleanup(self._delete_all)

    def _delete_all(self):
        for name in self.oci_ok("list", "-q").split():
            self.oci_ok("delete", "--force", name)
        left = [path.name for path in self.root.glob("[!.]*")] if self.root.exists() else []
        self.assertEqual(left, [], "states left below --root")

    def _nothing_is_left(self):
        left = leaks.wait_until_clean(self._before, [])
        if left:
            self.fail("\n".join(["left over after the test:", *left[:30]]))

    # --- bundles

    def bundle(self, configuration: dict, share_root: bool = True) -> pathlib.Path:
        """A bundle's folder; its root is the class's unless share_root is False (then it is empty)."""
        self._bundles += 1
        path = self.disk / f"{self.id().rpartition('.')[2]}-{self._bundles}"
        path.mkdir()
        self.addCleanup(subprocess.run, ["rm", "-rf", str(path)], check=True)
        if share_root:
            configuration = {**configuration, "root": {**configuration["root"], "path": str(self.rootfs)}}
        (path / "config.json").write_text(json.dumps(configuration))
        return path

    # --- the program

    def command(self, *words) -> list[str]:
        return [str(bin_dir() / "wherry-oci"), "--root", str(self.root), *map(str, words)]

    def oci(self, *words, **options) -> subprocess.CompletedProcess:
        settings = {"capture_output": True, "text": True, "timeout": 60, "env": ENVIRONMENT, **options}
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*words), **settings)

    def oci_ok(self, *words, **options) -> str:
        done = self.oci(*words, **options)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def oci_fails(self, *words, code: int = 1, says: str = "", **options) -> subprocess.CompletedProcess:
        done = self.oci(*words, **options)
        self.assertEqual(done.returncode, code, done)
        # The text log quotes its message.
        self.assertIn(says, done.stderr.replace('\\"', '"'))
        return done

    def create(self, name: str, configuration: dict, *flags, **options) -> pathlib.Path:
        """A created container whose streams are files of its bundle: out and err."""
        bundle = self.bundle(configuration)
        with open(bundle / "out", "wb") as out, open(bundle / "err", "wb") as err:
            done = subprocess.run(self.command("create", "--bundle", bundle, *flags, name), stdout=out, stderr=err,
                                  stdin=subprocess.DEVNULL, timeout=60, **{"env": ENVIRONMENT, **options})
        self.assertEqual(done.returncode, 0, (bundle / "err").read_text())
        return bundle

    def running(self, name: str, *args, **changes) -> pathlib.Path:
        """A started container: sleeps unless told otherwise."""
        bundle = self.create(name, {**config(*(args or ("sleep", "1000"))), **changes})
        self.oci_ok("start", name)
        return bundle

    def state(self, name: str) -> dict:
        return json.loads(self.oci_ok("state", name))

    def wait_status(self, name: str, status: str, timeout: float = 10) -> None:
        deadline = time.monotonic() + timeout
        while self.state(name)["status"] != status:
            self.assertLess(time.monotonic(), deadline, f"'{name}' did not become {status}: {self.state(name)}")
            time.sleep(0.02)  # nobody tells a bystander

    @contextlib.contextmanager
    def killed_at(self, point: str, *words):
        """Runs the command with a kill at this failpoint; the body sees what is left."""
        done = self.oci(*words, env={**ENVIRONMENT, "WHERRY_FAILPOINT": f"{point}:kill"})
        self.assertEqual(done.returncode, -9, f"'{point}' was not passed: {done}")
        yield
