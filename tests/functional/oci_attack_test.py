"""wherry-oci under attack from its own containers: the program itself, its descriptors, its working directory."""
import hashlib
import shutil
import subprocess
import unittest

from harness.paths import bin_dir
from oci_base import ENVIRONMENT, OciTest, config

ALL = [f"CAP_{name}" for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP").split()]

# Holds the program of every process that enters, and writes to it when that has ended (CVE-2019-5736).
OVERWRITE = r"""
echo ready
while :; do
  for p in /proc/[0-9]*; do
    case $(readlink $p/exe) in
    *wherry-oci*)
      (  # a shell whose exec fails ends
        exec 9< $p/exe
        echo caught
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
done 2> /tmp/attempts
"""


class Attacks(OciTest):
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

    def test_nothing_of_the_caller_is_open_inside(self):
        # A descriptor of the host's root directory, as a careless caller leaves it open.
        listing = config("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '")
        words = ["bash", "-c", "exec 7< / 9< /; exec \"$@\"", "caller"]
        self.running("b")
        for command in (self.command("run", "-b", self.bundle(listing), "a"),
                        self.command("exec", "b", *listing["process"]["args"])):
            done = subprocess.run([*words, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            # The last one is ls's own.
            self.assertEqual((done.returncode, done.stdout), (0, "0 1 2 3 "), done)

    def test_working_directories_by_descriptor_are_refused(self):
        for number in range(3, 20):
            document = config("sh", "-c", "pwd; ls")
            document["process"]["cwd"] = f"/proc/self/fd/{number}"
            self.oci_fails("run", "-b", self.bundle(document), "a", says="working directory")

    def test_the_hosts_environment_stays_outside(self):
        environment = {**ENVIRONMENT, "SECRET": "x", "_OCI_SYNCPIPE": "3"}
        self.assertNotIn("SECRET", self.oci_ok("run", "-b", self.bundle(config("env")), "a", env=environment))
        self.running("b")
        out = self.oci_ok("exec", "b", "env", env=environment)
        self.assertNotIn("SECRET", out)
        self.assertNotIn("_OCI", out)


if __name__ == "__main__":
    unittest.main()
