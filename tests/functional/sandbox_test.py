"""--network container:NAME: joining another container's sandbox."""
from base import IMAGE, FunctionalTest

_ADDRESS = "ip -4 -o addr show eth0 | awk '{print $4}'"


class Joined(FunctionalTest):
    def test_it_shares_addresses_names_and_files(self):
        owner = self.running("--name", "owner", "-h", "pod")
        wanted = self.w.ok("exec", owner, "sh", "-c", _ADDRESS + "; hostname; cat /etc/hosts /etc/resolv.conf")
        self.assertEqual(self.output("sh", "-c", _ADDRESS + "; hostname; cat /etc/hosts /etc/resolv.conf",
                                     options=("--network", "container:owner")), wanted)
        joined = self.running("--network", "container:owner")
        self.assertEqual(self.w.ok("exec", joined, "readlink", "/proc/self/ns/net"),
                         self.w.ok("exec", owner, "readlink", "/proc/self/ns/net"))
        self.w.ok("exec", joined, "sh", "-c", "echo '10.1.2.3 friend' >> /etc/hosts")
        self.assertIn("10.1.2.3 friend", self.w.ok("exec", owner, "cat", "/etc/hosts"))

    def test_they_talk_over_loopback(self):
        self.running("--name", "server", command=("sh", "-c", "while :; do echo hello | nc -l -p 80; done"))
        self.assertEqual(self.output("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 80 && exit; sleep 0.1; done",
                                     options=("--network", "container:server")), "hello\n")

    def test_inspect_tells_the_sandbox(self):
        owner, other = self.running(), self.running()
        joined = self.running("--network", f"container:{owner[:12]}")
        record = self.w.inspect(joined)
        self.assertEqual(record["HostConfig"]["NetworkMode"], f"container:{owner}")
        self.assertEqual(record["NetworkSettings"]["Networks"], {})
        settings = [self.w.inspect(name)["NetworkSettings"] for name in (owner, joined, other)]
        self.assertRegex(settings[0]["SandboxID"], "^[0-9a-f]{64}$")
        self.assertEqual(settings[1]["SandboxID"], settings[0]["SandboxID"])
        self.assertNotEqual(settings[2]["SandboxID"], settings[0]["SandboxID"])
        self.assertEqual(settings[0]["SandboxKey"], f"/proc/{self.w.inspect(owner)['State']['Pid']}/ns/net")

    def test_what_belongs_to_the_sandbox_cannot_be_set_by_one_that_joins(self):
        self.running("--name", "owner")
        for options, words in ((("-p", "80"), "port publishing and the container type network mode"),
                               (("-h", "x"), "hostname and the network mode"),
                               (("--expose", "80"), "port exposing and the container type network mode")):
            self.assert_fails(self.run_image("true", options=("--network", "container:owner", *options)), 125,
                              "conflicting options: " + words)
        self.assert_fails(self.run_image("true", options=("--network", "container:")), 125,
                          "invalid container format container:<name|id>")

    def test_the_other_must_be_there_and_run(self):
        self.assert_fails(self.run_image("true", options=("--network", "container:gone")), 125,
                          "no such container: gone")
        owner = self.w.detached(IMAGE, "true")
        self.w.ok("wait", owner)
        self.assert_fails(self.run_image("true", options=("--network", f"container:{owner}")), 125,
                          f"cannot join network of a non running container: {owner}")

    def test_the_end_of_the_owner_gives_the_address_back_and_leaves_the_joined_one_running(self):
        owner = self.running()
        joined = self.running("--network", f"container:{owner}")
        third = self.running("--network", f"container:{joined}")
        self.assertIn("eth0", self.w.ok("exec", third, "ip", "-o", "link"))
        self.w.ok("kill", owner)
        for name in (joined, third):
            self.assertNotIn("eth0", self.w.ok("exec", name, "ip", "-o", "link"))
            self.assertIn("localhost", self.w.ok("exec", name, "cat", "/etc/hosts"))
        self.w.ok("stop", "-t", "0", joined)
        self.assert_fails(self.w.try_run("start", joined), 1, "non running container", owner)
        self.w.ok("start", owner)
        self.w.ok("start", joined)
        self.assertIn("eth0", self.w.ok("exec", joined, "ip", "-o", "link"))
