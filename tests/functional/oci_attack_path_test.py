"""wherry-oci and images whose paths lead elsewhere: mounts, devices, procfs, masks, terminals. The canary is a folder
of the host's that no bundle names. docs/design/attacks.md has the list."""
import ctypes
import os
import pathlib
import select
import shutil
import socket
import subprocess
import unittest

from harness import images
from harness.attacks import defended, weakened_by
from oci_base import OciTest, config
from oci_exec_test import receive_fd

_IN_OPEN = 0x20
# Exchanges a directory and a link for ever: DIRECTORY LINK.
_EXCHANGE = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char** argv) {
  (void)argc;
  for (;;) syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], 2);
}
"""


def without(document: dict, *destinations: str) -> dict:
    """The configuration without its mounts on or below these places."""
    document["mounts"] = [mount for mount in document["mounts"] if not mount["destination"].startswith(destinations)]
    return document


class HostilePaths(OciTest):
    def setUp(self):
        super().setUp()
        self.canary = self.make_canary()

    def hostile(self, document: dict) -> tuple[pathlib.Path, pathlib.Path]:
        """A bundle with a copy of the root of its own, to be spoilt: (bundle, root)."""
        bundle = self.bundle(document, share_root=False)
        subprocess.run(["cp", "-a", str(self.rootfs), str(bundle / "rootfs")], check=True)
        return bundle, bundle / "rootfs"

    def assert_canary_untouched(self):
        with defended():
            self.assertEqual(sorted(path.name for path in self.canary.iterdir()), ["secret"])
            self.assertEqual((self.canary / "secret").read_text(), "the host's\n")

    def upwards(self) -> str:
        """The canary by more ".." than any root is deep."""
        return "../" * 40 + str(self.canary).lstrip("/")


class MountTargets(HostilePaths):
    @weakened_by("targets")
    def test_a_link_on_the_way_to_a_mount_point_stays_in_the_root(self):
        """CVE-2019-18837, CVE-2017-1002101: what is missing was made on the host."""
        for target in (str(self.canary), self.upwards()):
            document = config("true")
            document["mounts"].append({"destination": "/data/made", "type": "tmpfs", "source": "tmpfs"})
            bundle, root = self.hostile(document)
            (root / "data").symlink_to(target)
            self.oci("run", "-b", bundle, "a")
            self.assert_canary_untouched()

    @weakened_by("targets")
    def test_what_is_behind_a_link_is_covered_inside_only(self):
        """A file of the image's own at the link's end is what the mount covers."""
        document = config("cat", f"{self.canary}/secret")
        given = self.disk / "given"
        given.write_text("given\n")
        self.addCleanup(given.unlink)
        document["mounts"].append({"destination": "/data/secret", "type": "bind", "source": str(given),
                                   "options": ["bind"]})
        bundle, root = self.hostile(document)
        (root / "data").symlink_to(self.canary)
        inside = root / str(self.canary).lstrip("/")
        inside.mkdir(parents=True)
        (inside / "secret").write_text("the image's\n")
        done = self.oci("run", "-b", bundle, "a")
        with defended():
            self.assertEqual((done.returncode, done.stdout), (0, "given\n"), done)
        self.assert_canary_untouched()

    @weakened_by("targets")
    def test_a_dev_that_is_a_link_gets_no_device(self):
        """CVE-2026-41579, CVE-2026-47766: devices and links were made where it led."""
        for target in (str(self.canary), self.upwards()):
            bundle, root = self.hostile(without(config("true"), "/dev"))
            shutil.rmtree(root / "dev")
            (root / "dev").symlink_to(target)
            done = self.oci("run", "-b", bundle, "a")
            self.assert_canary_untouched()
            self.assertNotEqual(done.returncode, 0, done)

    @weakened_by("targets")
    def test_a_directory_that_becomes_a_link_between_two_looks_leads_nowhere(self):
        """CVE-2021-30465, CVE-2024-45310: two containers share a volume; one exchanges a directory and a link while
        the other one's mount point in it is looked up and made."""
        volume = self.disk / "volume"
        (volume / "place").mkdir(parents=True)
        self.addCleanup(shutil.rmtree, volume)
        (volume / "link").symlink_to(self.canary)
        (volume / "exchange").write_bytes(images.static_program(_EXCHANGE))
        (volume / "exchange").chmod(0o755)
        share = {"destination": "/vol", "type": "bind", "source": str(volume), "options": ["rbind"]}
        attacker = config("/vol/exchange", "/vol/place", "/vol/link")
        attacker["mounts"].append(share)
        self.create("b", attacker)
        self.oci_ok("start", "b")
        victim = config("true")
        victim["mounts"] += [share, *({"destination": f"/vol/place/made/{number}", "type": "tmpfs", "source": "tmpfs"}
                                      for number in range(8))]
        bundle = self.bundle(victim)
        for _ in range(100):
            self.oci("run", "-b", bundle, "a")
            self.assert_canary_untouched()
            for folder in (volume / "place", volume / "link"):
                shutil.rmtree(folder / "made", ignore_errors=True)
        self.assertEqual(self.state("b")["status"], "running")
        self.oci_ok("delete", "--force", "b")  # it would exchange them under the clean-up


class Procfs(HostilePaths):
    @weakened_by("proc-link")
    def test_a_proc_or_sys_that_is_a_link_is_refused(self):
        """CVE-2019-19921: masks are put where the link leads now, the program looks where it leads later."""
        for name in ("proc", "sys"):
            bundle, root = self.hostile(config("true"))
            shutil.rmtree(root / name)
            (root / "elsewhere").mkdir()
            (root / name).symlink_to("elsewhere")
            done = self.oci("run", "-b", bundle, "a")
            with defended():
                self.assertNotEqual(done.returncode, 0, done)
            self.assertIn("symbolic link", done.stderr)

    @weakened_by("proc-mounts")
    def test_nothing_stands_in_for_a_part_of_it(self):
        """CVE-2019-16884, CVE-2023-27561, CVE-2025-52881: labels and settings were written to a file of the
        attacker's."""
        fake = self.disk / "fake"
        (fake / "self/attr").mkdir(parents=True)
        self.addCleanup(shutil.rmtree, fake)
        bind = {"type": "bind", "source": str(fake), "options": ["rbind"]}
        for mount in ({"destination": "/proc/self/attr", "type": "tmpfs", "source": "tmpfs"},
                      {"destination": "/proc/sys", **bind}, {"destination": "/proc", **bind},
                      {"destination": "/through", **bind}, {"destination": "/dev/../through", **bind}):
            document = config("true")
            document["mounts"].append(mount)
            bundle, root = self.hostile(document)
            (root / "through").symlink_to("proc/sys")
            done = self.oci("run", "-b", bundle, "a")
            with defended():
                self.assertNotEqual(done.returncode, 0, f"{mount}: {done}")
            self.assertIn("/proc", done.stderr)

    @weakened_by("private-proc")
    def test_settings_go_to_the_kernel_and_not_to_files_of_the_image(self):
        """CVE-2019-16884, CVE-2025-52881: an image without a procfs, whose own "proc" leads to the host."""
        document = without(config("sleep", "1000"), "/proc")
        document["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "77"}
        document["linux"]["readonlyPaths"] = document["linux"]["maskedPaths"] = []
        bundle, root = self.hostile(document)
        (root / "proc/sys/net/ipv4").mkdir(parents=True)
        (root / "proc/sys/net/ipv4/ip_default_ttl").symlink_to(self.canary / "secret")
        self.oci_ok("create", "-b", bundle, "a", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    capture_output=False)
        self.assert_canary_untouched()
        done = subprocess.run(["nsenter", "-t", str(self.state("a")["pid"]), "-n", "cat",
                               "/proc/sys/net/ipv4/ip_default_ttl"], check=True, capture_output=True, text=True)
        self.assertEqual(done.stdout, "77\n")

    @weakened_by("sysctl-names")
    def test_settings_of_the_whole_machine_are_refused_by_any_spelling(self):
        """CVE-2022-0811. The value is what is there already."""
        place = pathlib.Path("/proc/sys/kernel/core_pattern")
        before = place.read_text().strip()
        for key in ("kernel.core_pattern", "kernel/core_pattern", "net.ipv4.ip_forward/../../../kernel/core_pattern",
                    "net/../kernel/core_pattern", "kernel.shm_rmid_forced+kernel.core_pattern", "net/./ipv4"):
            document = config("true")
            document["linux"]["sysctl"] = {key: before}
            done = self.oci("run", "-b", self.bundle(document), "a")
            with defended():
                self.assertNotEqual(done.returncode, 0, f"{key}: {done}")
            self.assertIn("is not allowed", done.stderr)
        document = config("true")
        document["linux"]["sysctl"] = {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"}
        self.oci_fails("run", "-b", self.bundle(document), "a", says="cannot set the sysctl")
        self.assertEqual(place.read_text().strip(), before)


class Masks(HostilePaths):
    @weakened_by("masks")
    def test_masked_files_are_empty_and_settings_read_only(self):
        """CVE-2018-10892 and its kin."""
        # What would be written is what is there.
        done = self.oci("run", "-b", self.bundle(config("sh", "-c", """
            cat /proc/keys
            old=$(cat /proc/sys/kernel/panic_on_oops)
            echo $old > /proc/sys/kernel/panic_on_oops && echo written""")), "a")
        with defended():
            self.assertEqual(done.stdout, "")
        self.assertIn("Read-only file system", done.stderr)

    @weakened_by("null-device")
    def test_masks_are_no_file_of_the_container_s(self):
        """CVE-2025-31133: the container's "/dev/null" was what covered; here it is the secret itself."""
        devices = self.disk / "devices"
        devices.mkdir()
        self.addCleanup(shutil.rmtree, devices)
        (devices / "null").symlink_to("/proc/keys")
        document = without(config("sh", "-c", "cat /proc/keys; stat -c '%F %t:%T' /proc/keys"), "/dev")
        document["mounts"].append({"destination": "/dev", "type": "bind", "source": str(devices), "options": ["bind"]})
        done = self.oci("run", "-b", self.bundle(document), "a")
        with defended():
            self.assertEqual(done.stdout, "character special file 1:3\n")


class Terminals(HostilePaths):
    def with_terminal(self, document: dict) -> tuple[pathlib.Path, pathlib.Path]:
        document["process"]["terminal"] = True
        document = without(document, "/dev")
        bundle, root = self.hostile(document)
        for name in ("dev/pts", "dev/shm"):
            (root / name).mkdir(parents=True, exist_ok=True)
        return bundle, root

    def run_with_terminal(self, bundle: pathlib.Path) -> subprocess.CompletedProcess:
        path = self.disk / "console"  # short enough for an address
        thread, got = receive_fd(path)
        self.addCleanup(path.unlink)
        done = self.oci("create", "-b", bundle, "--console-socket", path, "a", capture_output=False,
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            with socket.socket(socket.AF_UNIX) as instead:  # nobody else may have come
                instead.connect(str(path))
        thread.join(20)
        for _, master in got:
            if master >= 0:
                self.addCleanup(os.close, master)
        return done

    @weakened_by("console")
    def test_a_console_that_is_a_link_covers_nothing_else(self):
        """CVE-2025-52565: what the link named was covered by a writable terminal."""
        document = config("sh", "-c", "if [ -c /etc/victim ]; then echo covered; fi > /etc/seen; sleep 1000")
        bundle, root = self.with_terminal(document)
        configuration = bundle / "config.json"
        configuration.write_text(configuration.read_text().replace(
            '"mounts": [', '"mounts": [{"destination": "/dev/pts", "type": "devpts", "source": "devpts", '
            '"options": ["newinstance", "ptmxmode=0666"]}, ', 1))
        (root / "etc/victim").write_text("")
        (root / "dev/console").symlink_to("/etc/victim")
        if self.run_with_terminal(bundle).returncode == 0:
            self.oci_ok("start", "a")
            while not (root / "etc/seen").exists() or self.state("a")["status"] != "running":
                pass
            out = self.oci_ok("exec", "a", "sh", "-c", "[ -c /etc/victim ] && echo covered; true")
            with defended():
                self.assertEqual(out, "")

    @weakened_by("multiplexer")
    def test_a_multiplexer_that_is_none_is_not_opened(self):
        """An image's own "/dev/pts/ptmx" may be a device whose opening does harm."""
        bundle, root = self.with_terminal(config("true"))
        (root / "dev/pts/ptmx").write_text("")
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self.addCleanup(os.close, watch)
        self.assertGreater(libc.inotify_add_watch(watch, str(root / "dev/pts/ptmx").encode(), _IN_OPEN), 0)
        done = self.run_with_terminal(bundle)
        self.assertNotEqual(done.returncode, 0)
        with defended():
            self.assertEqual(select.select([watch], [], [], 0)[0], [], "it was opened")
        self.assertIn("not a terminal multiplexer", done.stderr)


if __name__ == "__main__":
    unittest.main()
