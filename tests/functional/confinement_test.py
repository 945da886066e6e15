"""What a program in a container can and cannot do, seen from inside."""
import os
import pathlib
import re
import shutil

from base import IMAGE, FunctionalTest
from harness import images
from harness.attacks import defended, weakened_by
from harness.paths import bin_dir, sanitized

# Makes the system calls named by its arguments NUMBER[:ARGUMENT...], each with a line "NUMBER ERRNO".
_PROBE = """
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    long words[7] = {0};
    int count = 0;
    for (char* word = strtok(argv[i], ":"); word && count < 7; word = strtok(0, ":"))
      words[count++] = strtol(word, 0, 0);
    errno = 0;
    long got = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
    printf("%ld %d\\n", words[0], got < 0 ? errno : 0);
  }
}
"""
_EPERM, _ENOSYS = 1, 38
# Calls that the kernel itself would not refuse to these arguments, but the default filter does.
_DENIED = {"keyctl": "250:0:-3", "add_key": "248", "request_key": "249", "perf_event_open": "298",
           "io_uring_setup": "425", "unshare a user namespace": "272:0x10000000",
           "get_mempolicy": "239", "socket AF_VSOCK": "41:40:1", "personality": "135:0x0400000",
           "clone a user namespace": "56:0x10000011:0", "userfaultfd": "323:1"}


class SystemCalls(FunctionalTest):
    def setUp(self):
        super().setUp()
        self.folder = self.scratch("probe")
        (self.folder / "probe").write_bytes(images.static_program(_PROBE))
        (self.folder / "probe").chmod(0o755)

    def probe(self, *calls: str, options=()) -> list[int]:
        out = self.output("/p/probe", *calls, options=["--network", "none", "-v", f"{self.folder}:/p:ro", *options])
        return [int(line.split()[1]) for line in out.splitlines()]

    def test_calls_outside_docker_s_profile_are_refused_and_privileged_ones_not(self):
        found = dict(zip(_DENIED, self.probe(*_DENIED.values())))
        self.assertEqual(found, dict.fromkeys(_DENIED, _EPERM))
        # The same calls fail for other reasons, or not at all, where no filter is.
        names = [name for name in _DENIED if "clone" not in name]
        free = dict(zip(names, self.probe(*(_DENIED[name] for name in names), options=["--privileged"])))
        self.assertNotIn(_EPERM, free.values(), free)

    def test_clone3_is_unknown_so_that_libraries_fall_back(self):
        self.assertEqual(self.probe("435"), [_ENOSYS])

    def test_ordinary_calls_pass(self):
        # getpid, sched_yield, personality(query), socket(AF_UNIX), memfd_create("")
        self.assertNotIn(_EPERM, self.probe("39", "24", "135:0xffffffff", "41:1:1", "319"))

    def test_a_capability_opens_its_calls_in_the_filter(self):
        unshare_mounts = "272:0x20000"
        self.assertEqual(self.probe(unshare_mounts), [_EPERM])
        self.assertEqual(self.probe(unshare_mounts, options=["--cap-add", "SYS_ADMIN"]), [0])

    def test_mounting_is_refused_even_with_a_shell(self):
        for words in (("mount", "-t", "tmpfs", "x", "/tmp"), ("umount", "/proc/sys"), ("chroot", "/nowhere"),
                      ("mknod", "/tmp/mem", "c", "1", "1"), ("hostname", "other"),
                      ("ip", "link", "set", "lo", "down")):
            with self.subTest(words[0]):
                refused = self.run_image(*words)
                if words[0] == "mknod":  # allowed, but the device is not to be opened
                    refused = self.run_image("sh", "-c", " ".join(words) + " && head -c 1 /tmp/mem")
                self.assertNotEqual(refused.returncode, 0, refused)


class Capabilities(FunctionalTest):
    _DEFAULT = 0xa80425fb
    _BITS = {"CHOWN": 0, "KILL": 5, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_TIME": 25}

    def mask(self, *options, kind="CapEff") -> int:
        return int(self.output("grep", kind, "/proc/self/status",
                               options=["--network", "none", *options]).split()[1], 16)

    def test_adding_and_dropping_take_every_spelling(self):
        for add, drop, expected in (
                (["NET_ADMIN"], [], self._DEFAULT | 1 << 12), (["CAP_NET_ADMIN"], [], self._DEFAULT | 1 << 12),
                (["net_admin"], [], self._DEFAULT | 1 << 12), ([], ["CHOWN"], self._DEFAULT & ~1),
                ([], ["ALL"], 0), (["KILL"], ["ALL"], 1 << 5),
                (["SYS_TIME", "NET_ADMIN"], ["NET_RAW"], (self._DEFAULT | 1 << 25 | 1 << 12) & ~(1 << 13))):
            options = [f"--cap-add={name}" for name in add] + [f"--cap-drop={name}" for name in drop]
            with self.subTest(" ".join(options)):
                self.assertEqual(self.mask(*options), expected)

    def test_all_of_them_are_what_the_engine_itself_has(self):
        with open("/proc/self/status") as file:
            ours = int(re.search(r"CapBnd:\t(\w+)", file.read())[1], 16)
        self.assertEqual(self.mask("--cap-add", "ALL"), ours)
        self.assertEqual(self.mask("--cap-add", "ALL", "--cap-drop", "CHOWN"), ours & ~1)

    def test_another_user_has_the_bounding_set_and_nothing_effective(self):
        self.assertEqual(self.mask("-u", "web"), 0)
        self.assertEqual(self.mask("-u", "web", kind="CapBnd"), self._DEFAULT)
        self.assertEqual(self.mask("-u", "web", "--cap-add", "NET_ADMIN", kind="CapPrm"), 0)

    def test_their_effect_is_felt(self):
        self.assertEqual(self.run_image("chown", "web", "/tmp").returncode, 0)
        self.assertNotEqual(self.run_image("chown", "web", "/tmp", options=["--cap-drop", "CHOWN"]).returncode, 0)
        self.assertEqual(self.run_image("ip", "link", "set", "lo", "down",
                                        options=["--cap-add", "NET_ADMIN"]).returncode, 0)


class FileSystems(FunctionalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        out = cls.w.ok("run", "--rm", IMAGE, "cat", "/proc/self/mountinfo")
        cls.mounts = {}
        for line in out.splitlines():
            left, _, right = line.partition(" - ")
            cls.mounts[left.split()[4]] = (right.split()[0], set(left.split()[5].split(",")), right.split()[2])

    def test_the_mounts_are_docker_s_with_its_flags(self):
        for path, kind, flags in (("/", "overlay", {"rw"}), ("/proc", "proc", {"rw", "nosuid", "nodev", "noexec"}),
                                  ("/dev", "tmpfs", {"rw", "nosuid"}),
                                  ("/dev/pts", "devpts", {"rw", "nosuid", "noexec"}),
                                  ("/sys", "sysfs", {"ro", "nosuid", "nodev", "noexec"}),
                                  ("/dev/mqueue", "mqueue", {"rw", "nosuid", "nodev", "noexec"}),
                                  ("/dev/shm", "tmpfs", {"rw", "nosuid", "nodev", "noexec"})):
            with self.subTest(path):
                self.assertEqual(self.mounts[path][0], kind)
                self.assertEqual(flags - self.mounts[path][1], set())
        self.assertIn("size=65536k", self.mounts["/dev"][2])
        self.assertIn("size=65536k", self.mounts["/dev/shm"][2])
        for option in ("gid=5", "mode=620"):
            self.assertIn(option, self.mounts["/dev/pts"][2])

    def test_cgroups_are_read_only(self):
        found = {path: flags for path, (kind, flags, _) in self.mounts.items() if kind.startswith("cgroup")}
        self.assertGreater(len(found), 0)
        for path, flags in found.items():
            self.assertIn("ro", flags, path)

    def test_kernel_settings_are_read_only_and_secrets_masked(self):
        for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"):
            if os.path.exists(path):
                with self.subTest(path):
                    self.assertIn("ro", self.mounts[path][1])
        for path in ("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                     "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                     "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"):
            if os.path.exists(path):
                with self.subTest(path):
                    script = f"if test -d {path}; then ls -A {path}; else cat {path}; fi"
                    self.assertEqual(self.output("sh", "-c", script), "")

    def test_privileged_unmasks_and_makes_settings_writable(self):
        out = self.output("cat", "/proc/self/mountinfo", options=["--privileged"])
        paths = {line.split()[4]: line.split()[5].split(",") for line in out.splitlines()}
        for path in ("/proc/sys", "/proc/keys", "/sys/firmware", "/proc/bus"):
            self.assertNotIn(path, paths)
        self.assertIn("rw", paths["/sys"])

    def test_privileged_has_the_host_s_devices(self):
        ours = {name for name in os.listdir("/dev") if name != "console" and
                pathlib.Path("/dev", name).is_char_device() or pathlib.Path("/dev", name).is_block_device()}
        self.assertGreater(len(ours), 8)
        out = self.output("sh", "-c", "ls /dev; head -c 0 /dev/kmsg", options=["--privileged"])
        self.assertEqual(ours - set(out.split()), set())

    def test_every_usual_device_works(self):
        script = "echo x > /dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 9 /dev/urandom | wc -c; " \
                 "head -c 9 /dev/random | wc -c; echo x > /dev/full"
        done = self.run_image("sh", "-c", script)
        self.assertEqual(done.stdout.split(), ["00", "00", "00", "00", "9", "9"])
        self.assertIn("No space left", done.stderr)

    def test_dev_shm_takes_the_size_asked_for(self):
        self.assertIn("2.0M", self.output("df", "-h", "/dev/shm", options=["--shm-size", "2m"]))

    def test_a_read_only_root_leaves_volumes_and_shared_memory_writable(self):
        done = self.run_image("sh", "-c", "touch /x; touch /etc/hosts; touch /dev/shm/x && touch /v/x && echo ok",
                              options=["--read-only", "-v", "/v"])
        self.assertIn("/x: Read-only file system", done.stderr)
        self.assertIn("/etc/hosts: Read-only file system", done.stderr)
        self.assertEqual(done.stdout, "ok\n")


class Files(FunctionalTest):
    def test_hosts_hostname_and_resolver_are_the_container_s_own(self):
        out = self.output("sh", "-c", "cat /etc/hostname; hostname; cat /etc/hosts", options=["-h", "box.example"])
        lines = out.splitlines()
        self.assertEqual(lines[:2], ["box.example", "box.example"])
        self.assertIn("127.0.0.1\tlocalhost", lines)
        self.assertRegex(lines[-1], r"^\d+\.\d+\.\d+\.\d+\tbox\.example box$")
        self.assertNotIn("nameserver 127.", self.output("cat", "/etc/resolv.conf"))

    def test_they_can_be_written_and_are_per_container(self):
        self.output("sh", "-c", "echo '10.9.9.9 friend' >> /etc/hosts; grep friend /etc/hosts")
        self.assertNotIn("friend", self.output("cat", "/etc/hosts"))

    def test_a_written_root_is_the_container_s_own_and_stays_until_rm(self):
        self.w.ok("run", "--name", "writer", IMAGE, "sh", "-c", "cat /etc/motd; ls /etc/group; "
                  "echo mine > /etc/motd; rm -f /etc/group")
        self.assertNotEqual(self.run_image("cat", "/etc/motd").returncode, 0)
        self.output("cat", "/etc/group")
        self.assertEqual(self.w.ok("start", "-a", "writer"), "mine\n")
        self.w.ok("rm", "writer")

    def test_namespaces_are_new_but_for_user_and_cgroup(self):
        out = self.output("sh", "-c", "for n in mnt net pid ipc uts user; do readlink /proc/self/ns/$n; done")
        inside = dict(re.findall(r"(\w+):\[(\d+)\]", out))
        outside = {name: re.search(r"\d+", os.readlink(f"/proc/self/ns/{name}"))[0] for name in inside}
        self.assertEqual({name for name in inside if inside[name] == outside[name]}, {"user"})

    def test_low_ports_and_pings_need_no_privilege(self):
        settings = "net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range"
        out = self.output("sh", "-c", f"cd /proc/sys; cat {settings}", options=["-u", "web"])
        self.assertEqual(out.split(), ["0", "0", "2147483647"])


class TheMonitorsProgram(FunctionalTest):
    @weakened_by("seal")
    def test_a_container_sees_it_on_a_read_only_mount_only(self):
        """CVE-2019-5736: "/proc/self/exe" as a program runs the monitor's own file."""
        helpers = self.scratch("helpers")  # what is attacked is a copy
        for name in ("wherry-monitor", "wherry-unpack"):
            shutil.copy(bin_dir() / name, helpers)
        monitor = helpers / "wherry-monitor"
        before = (monitor.read_bytes(), monitor.stat().st_mode)
        env = {"WHERRY_LIBEXEC": str(helpers)}
        self.w.ok("run", "-d", "--name", "victim", IMAGE, "sleep", "1000", env=env)
        if sanitized():  # its loader is not in the image
            self.assert_fails(self.w.try_run("exec", "victim", "/proc/self/exe", "x", "", "", "", env=env), 127, "no such file")
            return
        self.w.ok("exec", "victim", "busybox", "mkfifo", "/fifo", env=env)
        # Opening the list waits for a reader of the fifo.
        self.w.ok("exec", "-d", "-e", "WHERRY_FAILPOINT_LIST=/fifo", "victim", "/proc/self/exe", "x", "", "", "", env=env)
        out = self.w.ok("exec", "victim", "sh", "-c", """
            for p in /proc/[0-9]*; do
              case $(busybox readlink $p/exe) in */wherry-monitor) ;; *) continue ;; esac
              busybox chmod 4755 $p/exe
              (echo attack >>$p/exe)
            done 2>&1; true""")
        with defended():
            self.assertEqual((monitor.read_bytes(), monitor.stat().st_mode), before)
        self.assertIn("Read-only file system", out)
        self.assertIn("can't create /proc/", out)


class Limits(FunctionalTest):
    def test_memory_is_limited_and_swap_to_twice_of_it(self):
        out = self.output("sh", "-c", "cd /sys/fs/cgroup/memory; cat memory.limit_in_bytes "
                          "memory.memsw.limit_in_bytes 2>/dev/null", options=["-m", "32m"])
        self.assertEqual(out.split()[0], str(32 << 20))
        self.assertIn(out.split()[1:], ([str(64 << 20)], []))  # none where the kernel does not count swap

    def test_memory_units(self):
        for text, expected in (("16777216", 16 << 20), ("16384k", 16 << 20), ("16m", 16 << 20), ("0.5g", 512 << 20),
                               ("64MB", 64 << 20)):
            with self.subTest(text):
                name = self.w.ok("create", "-m", text, IMAGE, "true").strip()
                self.assertEqual(self.w.inspect(name)["HostConfig"]["Memory"], expected)

    def test_an_oom_kill_is_137_and_told(self):
        self.w.ok("run", "-d", "--name", "hungry", "-m", "16m", IMAGE, "tail", "/dev/zero")
        self.assertEqual(self.w.ok("wait", "hungry"), "137\n")
        state = self.w.inspect("hungry")["State"]
        self.assertEqual((state["OOMKilled"], state["ExitCode"]), (True, 137))
        self.w.ok("run", "--name", "modest", "-m", "16m", IMAGE, "true")
        self.assertFalse(self.w.inspect("modest")["State"]["OOMKilled"])

    def test_cpus_become_a_quota_that_is_felt(self):
        out = self.output("sh", "-c", "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us",
                          options=["--cpus", "1.5"])
        self.assertEqual(out.split(), ["150000", "100000"])
        script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu/cpu.stat"
        throttled = re.search(r"nr_throttled (\d+)", self.output("sh", "-c", script, options=["--cpus", "0.2"]))
        self.assertGreater(int(throttled[1]), 0)

    def test_a_fork_bomb_is_contained_and_removed(self):
        name = self.running("--pids-limit", "20", command=("sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 1000"))
        peak = pathlib.Path("/sys/fs/cgroup/pids")
        files = [path for path in peak.glob(f"**/{name}/pids.current")]
        self.assertEqual(len(files), 1)
        events = files[0].with_name("pids.events")
        self.w.wait_for(lambda: not re.search(r"max 0$", events.read_text()))
        self.assertLessEqual(int(files[0].read_text()), 20)
        self.w.ok("rm", "-f", name)
        self.assertFalse(files[0].exists())

    def test_no_pids_limit_is_no_limit(self):
        for options in ([], ["--pids-limit", "-1"], ["--pids-limit", "0"]):
            self.assertEqual(self.output("cat", "/sys/fs/cgroup/pids/pids.max", options=options), "max\n")

    def test_an_exec_is_under_the_container_s_limits(self):
        name = self.running("--pids-limit", "10")
        done = self.w.try_run("exec", name, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done")
        self.assertIn("fork", done.stderr)
        cgroups = self.w.ok("exec", name, "cat", "/proc/1/cgroup", "/proc/self/cgroup").splitlines()
        self.assertEqual(cgroups[:len(cgroups) // 2], cgroups[len(cgroups) // 2:])
