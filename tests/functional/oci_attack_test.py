"""wherry-oci under attack from its own containers: the program itself, its descriptors, its working directory, who
one is. docs/design/attacks.md has the list."""
import contextlib
import hashlib
import os
import shutil
import subprocess
import unittest

from harness.attacks import defended, weakened_by
from harness.paths import bin_dir
from oci_base import ENVIRONMENT, OciTest, config

ALL = [f"CAP_{name}" for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP").split()]

# Holds the program of every process that enters, and writes to it when that has ended (CVE-2019-5736). As the first
# process it stops all others before it looks, so that whoever has come is still what he was when he is looked at.
OVERWRITE = r"""
echo ready
while :; do
  kill -STOP -1
  set -- /proc/[0-9]*
  for p; do
    [ "$p" != /proc/1 ] || continue
    case $(readlink $p/exe) in
    *wherry-oci*)
      (  # a shell whose exec fails ends
        exec 9< $p/exe
        case $(readlink /proc/self/fd/9) in *wherry-oci*) ;; *) exit;; esac  # it was another program by then
        echo caught
        kill -CONT ${p#/proc/}
        i=0
        while [ $i -lt 100 ]; do
          i=$((i + 1))
          if printf x >> /proc/self/fd/9; then echo written; break; fi
          sleep 0.01
        done
        echo tried
      );;
    esac
  done
  kill -CONT -1
done 2> /tmp/attempts
"""


class Attacks(OciTest):
    @weakened_by("seal")
    def test_a_privileged_container_cannot_write_to_the_program_that_enters_it(self):
        program = self.disk / "wherry-oci"  # what is attacked is a copy
        shutil.copy(bin_dir() / "wherry-oci", program)
        self.addCleanup(program.unlink)
        before = hashlib.sha256(program.read_bytes()).digest()
        document = config("sh", "-c", OVERWRITE)
        document["process"]["capabilities"] = {kind: ALL for kind in ("bounding", "effective", "permitted")}
        bundle = self.bundle(document)
        command = [str(program), "--root", str(self.root)]
        out = open(bundle / "out", "wb")
        self.addCleanup(out.close)
        subprocess.run([*command, "run", "-d", "-b", str(bundle), "a"], check=True, stdin=subprocess.DEVNULL, stdout=out,
                       stderr=subprocess.DEVNULL)
        for _ in range(400):
            done = subprocess.run([*command, "exec", "a", "true"], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            if "caught" in (bundle / "out").read_text():
                break
        self.assertIn("caught", (bundle / "out").read_text(), "the attack never met the program")
        # From now on nobody executes it: what is still open could be written to.
        while "tried" not in (text := (bundle / "out").read_text()):
            self.assertEqual(self.state("a")["status"], "running")
        with defended():
            self.assertNotIn("written", text)
            self.assertEqual(hashlib.sha256(program.read_bytes()).digest(), before)
        (self.rootfs / "tmp/attempts").unlink()

    def test_a_program_that_is_executed_again_inside_is_sealed_too(self):
        program = self.disk / "wherry-oci"
        shutil.copy(bin_dir() / "wherry-oci", program)
        self.addCleanup(program.unlink)
        before = hashlib.sha256(program.read_bytes()).digest()
        evil = self.rootfs / "evil"
        evil.write_text("#!/proc/self/exe\n")
        evil.chmod(0o755)
        self.addCleanup(evil.unlink)
        done = subprocess.run([str(program), "--root", str(self.root), "run", "-b", str(self.bundle(config("/evil"))), "a"],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(hashlib.sha256(program.read_bytes()).digest(), before)

    @weakened_by("close-fds")
    def test_nothing_of_the_caller_is_open_inside(self):
        # A descriptor of the host's root directory, as a careless caller leaves it open.
        listing = config("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '")
        words = ["bash", "-c", "exec 7< / 9< /; exec \"$@\"", "caller"]

        def look(*command):
            done = subprocess.run([*words, *self.command(*command)], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0, done)
            with defended():
                self.assertEqual(done.stdout, "0 1 2 3 ", "the last one is ls's own")

        look("run", "-b", self.bundle(listing), "a")
        self.running("b")
        look("exec", "b", *listing["process"]["args"])

    def test_working_directories_by_descriptor_are_refused(self):
        for number in range(3, 20):
            document = config("sh", "-c", "pwd; ls")
            document["process"]["cwd"] = f"/proc/self/fd/{number}"
            self.oci_fails("run", "-b", self.bundle(document), "a", says="working directory")

    @weakened_by("environment")
    def test_the_hosts_environment_stays_outside(self):
        environment = {**ENVIRONMENT, "SECRET": "x", "_OCI_SYNCPIPE": "3"}
        inside = self.oci_ok("run", "-b", self.bundle(config("env")), "a", env=environment)
        self.running("b")
        for out in (inside, self.oci_ok("exec", "b", "env", env=environment)):
            with defended():
                self.assertNotIn("SECRET", out)
                self.assertNotIn("_OCI", out)

    def test_a_namespace_s_path_of_any_length_is_refused_or_used_whole(self):
        """CVE-2021-43784: a length that did not fit its field moved what was read as names of namespaces."""
        for length in (4097, 65536, 66000, 1 << 20):
            document = config("true")
            document["linux"]["namespaces"][1]["path"] = "/proc/1/ns/net" + "/x" * (length // 2)
            self.oci_fails("run", "-b", self.bundle(document), "a", says="cannot join a namespace")

    def test_listing_processes_runs_nothing_of_the_container_s(self):
        """CVE-2022-1227: the image's own `ps` ran with rights over the host's processes."""
        self.running("a")
        folder = self.rootfs / "sbin"
        folder.mkdir(exist_ok=True)
        for name in ("ps", "nsenter"):
            for parent in (self.rootfs / "bin", folder):
                kept = parent / f"{name}.kept"
                if (parent / name).exists():
                    (parent / name).rename(kept)
                    self.addCleanup(kept.rename, parent / name)
                else:
                    self.addCleanup((parent / name).unlink)
                (parent / name).write_text("#!/bin/sh\ntouch /executed\n")
                (parent / name).chmod(0o755)
        self.assertIn("sleep 1000", self.oci_ok("ps", "a"))
        self.assertFalse((self.rootfs / "executed").exists())


class TheHost(OciTest):
    """A directory of the host's that nobody has given to a container, opened by a careless caller."""

    def setUp(self):
        super().setUp()
        self.canary = self.make_canary()
        self.fd = os.open(self.canary, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, self.fd)

    @weakened_by("working-directory")
    def test_a_working_directory_by_descriptor_does_not_lead_there(self):
        """CVE-2024-21626."""
        self.running("b")
        for place in (f"/proc/self/fd/{self.fd}", f"/proc/1/fd/{self.fd}", f"/proc/self/fd/{self.fd}/../canary"):
            document = config("cat", "secret", cwd=place)
            for words in (("run", "-b", self.bundle(document), "a"), ("exec", "--cwd", place, "b", "cat", "secret")):
                done = self.oci(*words, pass_fds=[self.fd])
                with defended():
                    self.assertNotIn("the host's", done.stdout)
                    self.assertNotEqual(done.returncode, 0, done)
                self.oci("delete", "--force", "a")

    @weakened_by("dumpable")
    def test_who_enters_cannot_be_looked_into_on_the_way(self):
        """CVE-2016-9962: between entering and its program a process still holds what its caller has opened."""
        self.running("b")
        entering = subprocess.Popen(self.command("exec", "b", "true"), pass_fds=[self.fd], stdin=subprocess.DEVNULL,
                                    env={**ENVIRONMENT, "WHERRY_FAILPOINT": "runtime.stage.confined:stop"})
        self.addCleanup(entering.wait)
        self.addCleanup(entering.kill)
        look = "for p in /proc/[0-9]*; do grep -q 'State:.T' $p/status || continue; echo stopped; " \
               f"cat $p/fd/{self.fd}/secret; cat $p/environ; done"
        done = None
        while done is None or "stopped" not in done.stdout:
            self.assertIsNone(entering.poll(), "it was to stop on its way")
            done = self.oci("exec", "b", "sh", "-c", look)
        with defended():
            self.assertNotIn("the host's", done.stdout)
            self.assertNotIn("PATH", done.stdout)

    @contextlib.contextmanager
    def as_member_of(self, *groups):
        before = os.getgroups()
        os.setgroups(groups)
        try:
            yield
        finally:
            os.setgroups(before)

    @weakened_by("groups")
    def test_the_callers_groups_stay_outside(self):
        """CVE-2022-2989 and its kin: a negative group permission is evaded by groups that were kept."""
        self.running("b")
        document = config("id", "-G", user={"uid": 1000, "gid": 1000, "additionalGids": [2000]})
        with self.as_member_of(4242):
            outs = [(self.oci_ok("run", "-b", self.bundle(document), "a"), "1000 2000\n"),
                    (self.oci_ok("exec", "-u", "1000:1000", "b", "id", "-G"), "1000\n")]
        with defended():
            for out, wanted in outs:
                self.assertEqual(out, wanted)

    @weakened_by("inheritable")
    def test_no_capability_is_inheritable(self):
        """CVE-2022-29162 and its kin: a program's file would turn it into an effective one."""
        show = ("grep", "CapInh", "/proc/self/status")
        self.running("b")
        for uid in (0, 1000):
            outs = [self.oci_ok("run", "-b", self.bundle(config(*show, user={"uid": uid, "gid": uid})), "a"),
                    self.oci_ok("exec", "-u", str(uid), "b", *show),
                    self.oci_ok("exec", "-u", str(uid), "--cap", "CAP_NET_RAW", "b", *show)]
            with defended():
                for out in outs:
                    self.assertEqual(int(out.split()[1], 16), 0, out)

    @weakened_by("user-words")
    def test_a_user_is_the_whole_word_or_nobody(self):
        """CVE-2026-30892: "1000x" ran as 1000, "" as root."""
        self.running("b")
        for user in ("1000x", "", "1:", ":1", "99999999999", "4294967296", "-1", "root", "0x0", " 0"):
            done = self.oci("exec", f"--user={user}", "b", "id", "-u")
            with defended():
                self.assertEqual((done.returncode, done.stdout), (255, ""), f"'{user}': {done}")


if __name__ == "__main__":
    unittest.main()
