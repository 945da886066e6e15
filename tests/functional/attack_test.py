"""Attacks on the whole engine by images, volumes, build steps and other users of the machine. The canary is a folder of
the host's that nobody has given to a container. docs/design/attacks.md has the list."""
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile

from base import IMAGE, FunctionalTest
from builds import FROM, BuildTest
from harness import images
from harness.attacks import defended, weakened_by
from harness.paths import sanitized

_NOBODY = 65534
# CVE-2022-0492: a user namespace gives the right to mount version 1's cgroups, their release_agent runs on the host.
_RELEASE_AGENT = """
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
int main(void) {
  printf("unshare %d\\n", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) ? errno : 0);
  printf("mount %d\\n", mount("cgroup", "/tmp", "cgroup", 0, "memory") ? errno : 0);
}
"""
_EPERM = 1


def masked_paths() -> list[str]:
    """What Docker's default covers, where the machine has it."""
    heat = sorted(str(path) for path in pathlib.Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle"))
    return [path for path in (
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware", *heat) if os.path.exists(path)]


class Inside(FunctionalTest):
    """What a program in a container tries."""

    @weakened_by("seccomp")
    def test_no_way_to_the_cgroups_through_a_user_namespace(self):
        folder = self.scratch("program")
        (folder / "attack").write_bytes(images.static_program(_RELEASE_AGENT))
        (folder / "attack").chmod(0o755)
        out = self.output("/p/attack", options=["--network", "none", "-v", f"{folder}:/p:ro"])
        with defended():
            self.assertEqual(out, f"unshare {_EPERM}\nmount {_EPERM}\n")

    @weakened_by("cgroup-read-only")
    def test_cgroups_cannot_be_written_to(self):
        """CVE-2023-25809."""
        done = self.run_image("sh", "-c", "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do "
                              "[ -f $d/cgroup.procs ] && echo $$ > $d/cgroup.procs && echo written; done; true",
                              options=["--network", "none"])
        self.assertEqual(done.returncode, 0, done)
        with defended():
            self.assertEqual(done.stdout, "")
        self.assertIn("Read-only file system", done.stderr)

    @weakened_by("masks")
    def test_every_masked_path_is_empty_and_stays_so(self):
        """CVE-2018-10892, GHSA-6fw5-f8r9-fgfm, GHSA-jq35-85cj-fj4p."""
        paths = masked_paths()
        self.assertGreater(len(paths), 3)
        script = "for p in \"$@\"; do if [ -d $p ]; then ls -A $p; (echo > $p/x) 2>/dev/null && echo written; " \
                 "else head -c 64 $p | od -c | head -n 1; fi; done; true"
        out = self.output("sh", "-c", script, "sh", *paths, options=["--network", "none"])
        with defended():
            self.assertEqual(re.sub(r"^0000000\n", "", out, flags=re.M), "")

    def test_what_nobody_reads_is_not_kept_in_memory(self):
        """CVE-2022-1708: the output of a command in a container filled the engine's memory."""
        name = self.running("--network", "none")
        size = 200 << 20
        command = self.w.start("exec", name, "head", "-c", str(size), "/dev/zero", stdin=subprocess.DEVNULL)
        with command:
            got = len(command.stdout.read(1 << 20))
            # While the other end waits for us.
            peaks = []
            for status in pathlib.Path("/proc").glob("[0-9]*/status"):
                with contextlib.suppress(OSError):
                    text = status.read_text()
                    if text.startswith("Name:\twherry"):
                        peaks += [int(kib) for kib in re.findall(r"VmHWM:\s+(\d+) kB", text)]
            self.assertGreaterEqual(len(peaks), 3, "the command and two monitors")
            self.assertLess(max(peaks), (size >> 10) if sanitized() else 40 << 10)
            while chunk := command.stdout.read(1 << 20):
                got += len(chunk)
        self.assertEqual(got, size)

    def test_no_socket_of_ours_has_a_name_without_a_file(self):
        """CVE-2020-15257: a container in the host's network reaches those."""
        self.running("--network", "host")
        out = self.output("cat", "/proc/net/unix", options=["--network", "host"])
        self.assertEqual([line for line in out.splitlines() if " @" in line], [])


class Users(FunctionalTest):
    """Account files are the image's, or a volume's."""

    def given(self, name: str, text: str = "") -> pathlib.Path:
        path = self.scratch("accounts") / name
        path.write_text(text)
        return path

    def run_as(self, user: str, path: pathlib.Path, *command: str):
        return self.run_image(*command, options=["--network", "none", "-u", user, "-v", f"{path}:/etc/{path.name}"])

    @weakened_by("numeric-user")
    def test_a_number_is_never_a_name(self):
        """CVE-2016-3697."""
        done = self.run_as("1000", self.given("passwd", "1000:x:0:0::/:/bin/sh\n"), "id", "-u")
        with defended():
            self.assertEqual(done.stdout, "1000\n", done)

    @weakened_by("account-files")
    def test_an_account_file_that_is_a_pipe_is_refused(self):
        """CVE-2024-9676 and its kin: nobody waits for what a container may never write."""
        path = self.given("passwd")
        path.unlink()
        os.mkfifo(path)
        done = self.run_as("1000", path, "true")
        with defended():
            self.assertNotEqual(done.returncode, 0, done)
        self.assertIn("'/etc/passwd' is not a regular file", done.stderr)

    @weakened_by("account-size")
    def test_an_account_file_of_any_size_is_not_read(self):
        """CVE-2026-47262."""
        path = self.given("group")
        os.truncate(path, 64 << 20)
        done = self.run_as("1000", path, "true")
        with defended():
            self.assertNotEqual(done.returncode, 0, done)
        self.assertIn("larger than the limit", done.stderr)


class OtherUsers(FunctionalTest):
    """Users of the machine who have no right to the engine."""

    def setUp(self):
        super().setUp()
        # The harness's own folders are closed to them; what is ours must be so by itself.
        for folder in (*self.w.root.parents, *self.w.run_root.parents):
            mode = folder.stat().st_mode & 0o7777
            if mode & 0o001 == 0:
                folder.chmod(mode | 0o011)
                self.addCleanup(folder.chmod, mode)

    def as_nobody(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, user=_NOBODY,
                              group=_NOBODY, extra_groups=[])

    def answer_to_nobody(self, folder: pathlib.Path) -> str:
        """What another user gets who connects to the monitor in this folder: an error's name or what is done to it."""
        ours, child = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
                os.chdir(folder)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                    client.connect("monitor.sock")
                    client.settimeout(1)
                    child.send(b"closed" if client.recv(1) == b"" else b"answered")
            except Exception as error:  # noqa: BLE001  # told to the test
                child.send(type(error).__name__.encode())
            finally:
                os._exit(0)
        child.close()
        with ours:
            answer = ours.recv(100).decode()
        os.waitpid(pid, 0)
        return answer

    @weakened_by("roots")
    def test_nothing_of_the_engine_s_is_reached_by_them(self):
        """CVE-2021-41091, CVE-2021-41103: programs with set-id bits of any image were."""
        name = self.running()
        self.w.ok("exec", name, "sh", "-c", "busybox cp /bin/busybox /su && busybox chmod 4755 /su")
        places = [place for place in (self.w.root / "containers").rglob("su")]
        self.assertGreater(len(places), 0)
        for place in [*places, self.w.root, self.w.run_root, self.w.run_root / "containers"]:
            done = self.as_nobody("ls", "-l", str(place))
            with defended():
                self.assertNotEqual(done.returncode, 0, done)
            self.assertIn("Permission denied", done.stderr)

    @weakened_by("roots", "sockets")
    def test_a_monitor_does_not_speak_to_them(self):
        """CVE-2020-15257: who reaches the socket could have a container killed."""
        folder = self.w.run_root / "containers" / self.running()
        self.assertTrue((folder / "monitor.sock").is_socket())
        with defended():
            self.assertEqual(self.answer_to_nobody(folder), "PermissionError")

class Neighbours(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        # As most machines have it; bridges take it over when they are made.
        pathlib.Path("/proc/sys/net/ipv6/conf/default/accept_ra").write_text("1")
        super().setUpClass()

    @weakened_by("router-advertisements")
    def test_a_container_cannot_become_the_host_s_router(self):
        """CVE-2020-13401; CVE-2020-8558 would need route_localnet."""
        settings = pathlib.Path("/proc/sys/net")
        bridges = [link["ifname"] for link in json.loads(subprocess.run(
            ["ip", "-j", "link", "show", "type", "bridge"], check=True, capture_output=True).stdout)]
        self.assertGreater(len(bridges), 0)
        for bridge in bridges:
            with defended():
                self.assertEqual((settings / "ipv6/conf" / bridge / "accept_ra").read_text(), "0\n")
            self.assertEqual((settings / "ipv4/conf" / bridge / "route_localnet").read_text(), "0\n")
        self.assertEqual(self.output("cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1\n")


class Images(BuildTest):
    def setUp(self):
        super().setUp()
        self.canary = self.scratch("canary")
        (self.canary / "secret").write_text("the host's\n")
        (self.canary / "place").mkdir()

    def assert_canary_untouched(self):
        with defended():
            self.assertEqual(sorted(path.name for path in self.canary.iterdir()), ["place", "secret"])
            self.assertEqual((self.canary / "secret").read_text(), "the host's\n")
            self.assertEqual(list((self.canary / "place").iterdir()), [])

    def layer(self, *entries) -> bytes:
        """A tar of (name, content or None for a directory or the target of a link, kind)."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, content, kind in entries:
                info = tarfile.TarInfo(name)
                info.type, info.mode = kind, 0o4777
                if kind == tarfile.REGTYPE:
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                    continue
                info.linkname = content or ""
                tar.addfile(info)
        return data.getvalue()

    @weakened_by("unpack-jail", "paths")
    def test_an_archive_writes_nothing_through_its_own_links(self):
        """CVE-2021-32760, CVE-2019-10152 and their kin: a link, then entries below it or links to what is there."""
        secret = str(self.canary / "secret").lstrip("/")
        for target in (str(self.canary), "../" * 40 + str(self.canary).lstrip("/")):
            for entries in ([("out/evil", b"x", tarfile.REGTYPE)],
                            [("out/place", None, tarfile.DIRTYPE), ("out/place/evil", b"x", tarfile.REGTYPE)],
                            [("out/secret", b"mine", tarfile.REGTYPE)],
                            [("taken", "out/secret", tarfile.LNKTYPE), ("taken", b"mine", tarfile.REGTYPE)],
                            [("../" * 40 + secret, b"mine", tarfile.REGTYPE)],
                            [("out/.wh.secret", b"", tarfile.REGTYPE)],
                            [("out/.wh...", b"", tarfile.REGTYPE), ("out/.wh..wh..opq", b"", tarfile.REGTYPE)]):
                archive = self.context / "layer.tar"
                archive.write_bytes(self.layer(("out", target, tarfile.SYMTYPE), *entries))
                before = (self.canary / "secret").stat().st_mode, (self.canary / "place").stat().st_mode
                self.w.try_run("import", str(archive), "hostile")  # nothing is written by a path at all
                self.try_build(f"{FROM}ADD layer.tar /in/\n", "--no-cache")
                self.assert_canary_untouched()
                with defended():
                    self.assertEqual(((self.canary / "secret").stat().st_mode, (self.canary / "place").stat().st_mode),
                                     before)

    @weakened_by("targets")
    def test_a_volume_is_not_filled_from_the_host(self):
        """CVE-2022-23648: a volume's place is a link of the image's."""
        self.addCleanup(lambda: self.w.ok("volume", "prune", "-af"))
        self.addCleanup(self.w.remove_containers)
        inside = str(self.canary)
        for number, target in enumerate((inside, "../" * 40 + inside.lstrip("/"))):
            self.build(f"{FROM}RUN mkdir -p {inside} && echo mine > {inside}/image && ln -s {target} /data\n"
                       "VOLUME /data\n")
            self.w.try_run("run", "--network", "none", "--name", f"a{number}", "-v", f"filled{number}:/data", "built",
                           "true")
            folder = self.w.root / "volumes" / f"filled{number}" / "_data"
            with defended():
                self.assertNotIn("secret", [path.name for path in folder.iterdir()])
            self.assertEqual([path.name for path in folder.iterdir()], ["image"])
        self.w.try_run("run", "--rm", "--network", "none", "-v", f"/data/../../../..{inside}", IMAGE, "true")
        self.assert_canary_untouched()

    @weakened_by("paths", "stubs")
    def test_removing_a_mount_point_follows_no_link_of_the_step_s(self):
        """CVE-2024-23652: the step puts a link to the host in place of the mount point's parent."""
        for target in (str(self.canary), "../" * 40 + str(self.canary).lstrip("/")):
            self.try_build(f"{FROM}RUN --mount=type=tmpfs,target=/x/place mv /x /z && ln -s {target} /x\n",
                           "--no-cache")
            self.assert_canary_untouched()

    @weakened_by("paths", "build-sources")
    def test_a_build_reads_nothing_outside_of_its_context(self):
        """CVE-2024-1753, CVE-2024-9675, CVE-2024-23651, CVE-2024-9407: links and ".." in names of sources."""
        upwards = "../" * 40 + str(self.canary).lstrip("/")
        (self.context / "link").symlink_to(self.canary)
        (self.context / "up").symlink_to(upwards)
        for source in ("link", "up", upwards):
            for step in (f"COPY {source}/secret /out", f"ADD {source} /out",
                         f"RUN --mount=type=bind,source={source},target=/m cp -r /m /out",
                         f"RUN --mount=type=cache,from=context,source={source},target=/m cp -r /m /out"):
                built = self.try_build(f"FROM scratch AS context\nCOPY link up /\n{FROM}{step}\n", "--no-cache")
                if built.code == 0:
                    found = self.inside("cat /out /out/* 2>/dev/null; true")
                    with defended():
                        self.assertNotIn("the host's", found, step)
        self.assert_canary_untouched()

    @weakened_by("build-key")
    def test_an_image_of_the_same_configuration_is_no_other_s_cache(self):
        """CVE-2024-24557."""
        for name in ("one", "two"):
            self.build(f"FROM {IMAGE}\nCOPY id /id\n", files={"id": f"{name}\n"}, tag=name)
        for name in ("one", "two"):
            self.build(f"FROM {name}\nRUN cat /id > /out\n")
            out = self.inside("cat /out")
            with defended():
                self.assertEqual(out, f"{name}\n")

    def test_no_program_of_the_image_unpacks_an_archive(self):
        """CVE-2026-41567, CVE-2019-14271: the engine's work is done by the engine's own programs."""
        packed = subprocess.run(["xz"], input=self.layer(("unpacked", b"x", tarfile.REGTYPE)), capture_output=True,
                                check=True).stdout
        fakes = "for n in xz unxz tar unpigz; do rm -f /bin/$n /usr/bin/$n; cp /fake /usr/bin/$n; cp /fake /bin/$n; done"
        self.build(f"{FROM}COPY --chmod=755 fake /fake\nRUN {fakes}\nADD archive.tar.xz /there\n",
                   files={"archive.tar.xz": packed, "fake": "#!/bin/sh\ntouch /executed\n"})
        self.assertEqual(self.inside("ls /there; [ ! -e /executed ]"), "unpacked\n")

    def test_labels_of_an_image_start_nothing_on_the_host(self):
        """CVE-2026-53488."""
        program = self.canary / "place/logger"
        program.write_text(f"#!/bin/sh\ntouch {self.canary}/executed\n")
        program.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.canary / "place", ignore_errors=True)
        self.build(f"{FROM}LABEL containerd.io/restart.status=running containerd.io/restart.loguri=binary://{program} "
                   f"wherry.log-driver={program}\n")
        self.assertEqual(self.w.ok("run", "--rm", "--network", "none", "built", "echo", "x"), "x\n")
        self.assertFalse((self.canary / "executed").exists())
