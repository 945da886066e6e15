"""wherry-oci update, events, features, spec, NOTIFY_SOCKET, hooks: what engines ask for beside the life cycle."""
import json
import os
import pathlib
import resource
import socket
import subprocess
import unittest

from oci_base import ENVIRONMENT, OciTest, config
from oci_engines_test import limit_of


class Limits(OciTest):
    def limit(self, name: str, controller: str, file: str) -> str:
        return limit_of(str(self.state(name)["pid"]), controller, file)

    def test_update_by_flags(self):
        self.running("a")
        self.oci_ok("update", "--memory", "64m", "--memory-swap", "128m", "--cpu-share", "512", "--cpu-period", "50000",
                    "--cpu-quota", "25000", "--pids-limit", "77", "a")
        self.assertEqual(self.limit("a", "memory", "memory.limit_in_bytes"), str(64 << 20))
        self.assertEqual(self.limit("a", "memory", "memory.memsw.limit_in_bytes"), str(128 << 20))
        self.assertEqual(self.limit("a", "cpu", "cpu.shares"), "512")
        self.assertEqual(self.limit("a", "cpu", "cpu.cfs_quota_us"), "25000")
        self.assertEqual(self.limit("a", "pids", "pids.max"), "77")
        # Both at once, whatever the order the kernel wants.
        self.oci_ok("update", "--memory", "256m", "--memory-swap", "256m", "a")
        self.oci_ok("update", "--memory", "32m", "--memory-swap", "32m", "a")
        self.assertEqual(self.limit("a", "memory", "memory.limit_in_bytes"), str(32 << 20))

    def with_resources(self, **resources) -> dict:
        configuration = config("sleep", "1000")
        configuration["linux"]["resources"].update(resources)
        return configuration

    def test_block_devices_are_weighed_and_throttled(self):
        numbers = os.stat(self.disk).st_dev
        device = {"major": os.major(numbers), "minor": os.minor(numbers)}
        throttles = {f"throttle{kind}Device": [{**device, "rate": rate}] for kind, rate in
                     (("ReadBps", 1 << 20), ("WriteBps", 2 << 20), ("ReadIOPS", 300), ("WriteIOPS", 400))}
        self.create("a", self.with_resources(blockIO={"weight": 300, **throttles}))
        number = f"{device['major']}:{device['minor']}"
        for file, rate in (("read_bps", 1 << 20), ("write_bps", 2 << 20), ("read_iops", 300), ("write_iops", 400)):
            self.assertEqual(self.limit("a", "blkio", f"blkio.throttle.{file}_device"), f"{number} {rate}")
        self.assertEqual(self.limit("a", "blkio", "blkio.bfq.weight"), "300")

    def test_limits_that_this_host_has_no_controller_for_are_refused_by_name(self):
        for resources, words in (
                ({"network": {"classID": 1048577}}, "'net_cls' controller"),
                ({"network": {"priorities": [{"name": "lo", "priority": 5}]}}, "'net_prio' controller"),
                ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "'rdma' controller"),
                # Here nobody hands it down to the machine's groups; the guest has it.
                ({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}, "'hugetlb' controller")):
            done = self.oci_fails("create", "--bundle", self.bundle(self.with_resources(**resources)), "a", says=words)
            self.assertIn("run without", done.stderr)

    def test_limits_that_the_kernel_no_longer_has_are_warned_of(self):
        bundle = self.create("a", self.with_resources(memory={"kernel": 100 << 20}, blockIO={"leafWeight": 300}))
        words = (bundle / "err").read_text()
        self.assertIn("the limit of kernel memory is not applied", words)
        self.assertIn("'blkio.leaf_weight' is not applied", words)

    def test_a_limit_of_memory_that_kills_the_first_process_is_named(self):
        self.oci_fails("create", "--bundle", self.bundle(self.with_resources(memory={"limit": 4096})), "a",
                       says="the limit of memory may be too low")

    def test_a_limit_that_may_not_be_raised_is_clamped_with_a_warning(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = {"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}
        bundle = self.create("a", config("sleep", "1000", rlimits=[limit]))
        self.assertIn(f"cannot raise RLIMIT_NOFILE to {hard + 1}; using {hard}", (bundle / "err").read_text())
        self.assertEqual(resource.prlimit(self.state("a")["pid"], resource.RLIMIT_NOFILE), (hard, hard))

    def test_update_from_a_document(self):
        self.running("a")
        self.oci_ok("update", "--resources", "-", "a", input='{"pids": {"limit": 55}}')
        self.assertEqual(self.limit("a", "pids", "pids.max"), "55")
        file = self.disk / "resources"
        file.write_text('{"cpu": {"shares": 256}}')
        self.addCleanup(file.unlink)
        self.oci_ok("update", f"--resources={file}", "a")
        self.assertEqual(self.limit("a", "cpu", "cpu.shares"), "256")

    def test_update_says_what_it_cannot_do(self):
        self.running("a")
        self.oci_fails("update", "--resources", "-", "a", input="{", says="not JSON")
        self.oci_fails("update", "--memory", "much", "a", says="invalid size: 'much'")
        self.oci_fails("update", "--l3-cache-schema", "x", "a", says="'--l3-cache-schema' is not supported yet")
        self.oci_ok("kill", "a", "KILL")
        self.wait_status("a", "stopped")
        self.oci_fails("update", "--pids-limit", "5", "a", says="container not running")

    def test_statistics_have_runcs_shape(self):
        self.running("a")
        event = json.loads(self.oci_ok("events", "--stats", "a"))
        self.assertEqual((event["type"], event["id"]), ("stats", "a"))
        data = event["data"]
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertEqual(data["pids"]["current"], 1)
        self.assertIn("rss", data["memory"]["raw"])

    def test_events_go_on_until_the_end_and_tell_of_lack_of_memory(self):
        self.running("a", "sh", "-c", "trap 'tail /dev/zero' USR1; while :; do sleep 0.01; done")
        self.oci_ok("update", "--memory", "16m", "--memory-swap", "16m", "a")
        with subprocess.Popen(self.command("events", "--interval", "50ms", "a"), stdout=subprocess.PIPE, text=True,
                              env=ENVIRONMENT) as process:
            self.assertEqual(json.loads(process.stdout.readline())["type"], "stats")
            self.oci_ok("kill", "a", "USR1")
            while json.loads(process.stdout.readline())["type"] != "oom":
                pass
            self.oci_ok("kill", "a", "KILL")
            process.stdout.read()
            self.assertEqual(process.wait(20), 0)
        self.oci_fails("events", "--interval", "0s", "a", says="must be greater than 0")


class WithoutCgroups(OciTest):
    def test_a_container_works_and_what_needs_a_cgroup_says_so(self):
        bundle = self.bundle(config("sleep", "1000"))
        subprocess.run(self.command("--cgroup-manager", "disabled", "run", "-d", "-b", bundle, "a"), check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        self.assertEqual(self.oci_ok("exec", "a", "echo", "in"), "in\n")
        for words in (["pause", "a"], ["ps", "a"], ["events", "--stats", "a"], ["update", "--pids-limit", "5", "a"]):
            self.oci_fails(*words, says="the container 'a' has no cgroup")
        self.oci_ok("kill", "--all", "a", "KILL")
        self.wait_status("a", "stopped")


class Documents(OciTest):
    def test_features_tell_what_the_specification_asks(self):
        document = json.loads(self.oci_ok("features"))
        self.assertEqual(document["ociVersionMin"], "1.0.0")
        self.assertEqual(len(document["hooks"]), 6)
        self.assertIn("time", document["linux"]["namespaces"])
        self.assertIn("CAP_SYS_ADMIN", document["linux"]["capabilities"])
        self.assertTrue(document["linux"]["seccomp"]["enabled"])
        self.assertEqual(document["mountOptions"], sorted(document["mountOptions"]))

    def test_every_mount_option_that_features_names_is_accepted(self):
        refused = []
        for option in json.loads(self.oci_ok("features"))["mountOptions"]:
            if option in ("idmap", "ridmap", "bind", "rbind", "remount", "tmpcopyup", "mand", "iversion"):
                continue  # not for a new tmpfs, or not on this kernel
            document = config("true")
            document["mounts"] = document["mounts"] + [
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [option]}]
            done = self.oci("run", "-b", self.bundle(document), "a")
            if done.returncode != 0:
                refused.append((option, done.stderr))
        self.assertEqual(refused, [])

    def test_spec_makes_a_bundle_that_runs(self):
        folder = self.disk / "spec"
        folder.mkdir()
        self.addCleanup(subprocess.run, ["rm", "-rf", str(folder)], check=True)
        self.oci_ok("spec", "--bundle", folder)
        self.oci_fails("spec", "-b", folder, says="config.json exists")
        document = json.loads((folder / "config.json").read_text())
        document["process"].update(terminal=False, args=["sh", "-c", "echo $TERM; hostname; touch /x; test $? = 1"])
        document["root"]["path"] = str(self.rootfs)
        (folder / "config.json").write_text(json.dumps(document))
        done = self.oci("run", "-b", folder, "a")
        self.assertEqual((done.returncode, done.stdout), (0, "xterm\nwherry\n"), done)

    def test_spec_for_users_without_privileges_maps_them(self):
        folder = self.disk / "rootless"
        folder.mkdir()
        self.addCleanup(subprocess.run, ["rm", "-rf", str(folder)], check=True)
        self.oci_ok("spec", "--rootless", cwd=folder)
        document = json.loads((folder / "config.json").read_text())
        self.assertEqual(document["linux"]["uidMappings"], [{"containerID": 0, "hostID": 0, "size": 1}])
        self.assertNotIn("network", [space["type"] for space in document["linux"]["namespaces"]])


class Ready(OciTest):
    def test_readiness_is_passed_on_to_the_hosts_socket(self):
        path = self.disk / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
            host.bind(str(path))
            host.settimeout(20)
            self.addCleanup(path.unlink)
            environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(path)}
            # busybox speaks no unix datagrams: a static program of ours does.
            (self.rootfs / "bin/notify").write_bytes(_notifier())
            (self.rootfs / "bin/notify").chmod(0o755)
            self.create("a", config("sh", "-c", "notify $NOTIFY_SOCKET; exec sleep 1000"), env=environment)
            self.oci_ok("start", "a", env=environment)
            self.assertEqual(host.recv(4096).decode().split(), ["READY=1", f"MAINPID={self.state('a')['pid']}"])

    def test_start_ends_when_the_container_does_without_being_ready(self):
        path = self.disk / "notify2"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
            host.bind(str(path))
            self.addCleanup(path.unlink)
            environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(path)}
            self.create("a", config("true"), env=environment)
            self.oci_ok("start", "a", env=environment)


def _notifier() -> bytes:
    from harness.images import static_program
    return static_program("""
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char** argv) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path, argv[1], sizeof to.sun_path - 1);
  int s = socket(AF_UNIX, SOCK_DGRAM, 0);
  const char* text = "STATUS=x\\nREADY=1\\n";
  return sendto(s, text, strlen(text), 0, (struct sockaddr*)&to, sizeof to) < 0;
}
""")


class Hooks(OciTest):
    def test_all_hooks_run_in_order_with_the_state_on_stdin(self):
        log = self.disk / "hooks"
        self.addCleanup(log.unlink)
        document = config("sh", "-c", "echo program")
        kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        # createContainer and startContainer see the container's tree; their output is a file of a mount.
        document["mounts"] = document["mounts"] + [
            {"destination": "/hooklog", "type": "bind", "source": str(self.disk), "options": ["rbind", "rw"]}]
        document["hooks"] = {}
        for kind in kinds:
            target = "/hooklog/hooks" if kind == "startContainer" else str(log)
            document["hooks"][kind] = [{"path": "/bin/sh", "args": [
                "sh", "-c", f"printf '{kind} ' >> {target}; tr -d ' \\n' < /dev/stdin | "
                            f"grep -o '\"status\":\"[a-z]*\"' >> {target} 2>/dev/null || "
                            f"cat > /dev/null"], "env": ["PATH=/bin:/usr/bin"]}]
        self.running("a", "true", hooks=document["hooks"], mounts=document["mounts"])
        self.wait_status("a", "stopped")
        self.oci_ok("delete", "a")
        self.assertEqual([line.split() for line in log.read_text().splitlines()], [
            ["prestart", '"status":"creating"'], ["createRuntime", '"status":"creating"'],
            ["createContainer", '"status":"creating"'], ["startContainer", '"status":"created"'],
            ["poststart", '"status":"running"'], ["poststop", '"status":"stopped"']])

    def test_a_hook_that_fails_before_the_start_ends_it_all(self):
        document = config("true")
        document["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 1"]}]}
        done = self.oci_fails("create", "-b", self.bundle(document), "a", says="createRuntime")
        self.assertIn("why", done.stderr)
        self.assertEqual(self.oci_ok("list", "-q"), "")


if __name__ == "__main__":
    unittest.main()
