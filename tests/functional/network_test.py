"""The default bridge, none and host; published ports from everywhere."""
import re
import socket
import subprocess
import sys
import unittest

from base import IMAGE, FunctionalTest
from harness import images, sandbox
from harness.wherry import Wherry

_SERVER = "while :; do echo 'hello from inside' | nc -l -p 80; done"
_UDP_SERVER = "udp-echo 80"


def ask(address: str, port: int, udp: bool = False) -> str:
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as connection:
        connection.settimeout(5)
        connection.connect((address, port))
        if udp:
            connection.sendall(b"echo\n")
        return connection.recv(1000).decode()


def ask_from_outside(address: str, port: int) -> str:
    code = f"import socket; print(socket.create_connection(('{address}', {port}), 5).recv(99).decode(), end='')"
    return subprocess.run(sandbox.outside_command([sys.executable, "-c", code]), check=True,
                          capture_output=True, text=True).stdout


class Bridge(FunctionalTest):
    def test_a_container_has_an_address_a_route_and_a_resolver(self):
        out = self.output("sh", "-c", "ip -4 -o addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts")
        address = re.search(r"inet (\d+\.\d+\.\d+\.\d+)/16", out)
        self.assertIsNotNone(address, out)
        self.assertIn("default via", out)
        self.assertIn("127.0.0.1\tlocalhost", out)
        self.assertIn(address[1] + "\t", out)

    def test_containers_reach_each_other_by_address(self):
        name = self.running(command=("sh", "-c", _SERVER))
        address = self.w.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        self.assertEqual(self.output("sh", "-c", f"for i in 1 2 3 4 5; do nc {address} 80 && exit; sleep 0.1; done"),
                         "hello from inside\n")

    def test_the_world_outside_is_reached_through_the_host_s_address(self):
        code = "import socket; s=socket.create_server(('0.0.0.0', 7000)); print('ready', flush=True); " \
               "c, a = s.accept(); print(a[0]); c.sendall(b'welcome')"
        server = subprocess.Popen(sandbox.outside_command([sys.executable, "-c", code]),
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), "ready\n")
        self.assertEqual(self.output("nc", sandbox.OUTSIDE, "7000"), "welcome")
        self.assertEqual(server.stdout.readline(), sandbox.INSIDE + "\n")

    def test_addresses_are_never_shared(self):
        names = [self.running() for _ in range(5)]
        found = [self.w.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for name in names]
        self.assertEqual(len(set(found)), 5)


class Roots(unittest.TestCase):
    def test_that_start_at_the_same_time_get_subnets_of_their_own(self):
        roots = [Wherry() for _ in range(4)]
        for one in roots:
            self.addCleanup(one.close)
            one.ok("import", images.busybox_tar(), IMAGE)
        runs = [one.start("run", "--rm", IMAGE, "ip", "-4", "-o", "addr", "show", "eth0") for one in roots]
        outputs = [run.communicate(timeout=60) for run in runs]
        self.assertEqual([run.returncode for run in runs], [0] * len(roots), outputs)
        subnets = {re.search(r"inet (\d+\.\d+)\.", out.decode())[1] for out, _ in outputs}
        self.assertEqual(len(subnets), len(roots), outputs)
        links = subprocess.run(["ip", "-4", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        for one in roots:
            one.ok("system", "prune", "-f")
        after = subprocess.run(["ip", "-4", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        self.assertEqual(len(links.splitlines()) - len(after.splitlines()), len(roots), after)


class Ports(FunctionalTest):
    def test_a_published_port_answers_from_outside_from_the_host_and_from_loopback(self):
        name = self.running("-p", "18082:80", command=("sh", "-c", _SERVER))
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", "netstat -ltn | grep -q :80").returncode == 0)
        for place, asked in (("outside", lambda: ask_from_outside(sandbox.INSIDE, 18082)),
                             ("own address", lambda: ask(sandbox.INSIDE, 18082)),
                             ("loopback", lambda: ask("127.0.0.1", 18082)),
                             ("loopback v6", lambda: ask("::1", 18082))):
            with self.subTest(place):
                self.assertEqual(self.answer(asked), "hello from inside\n")

    def answer(self, asked) -> str:
        """The server is between two connections for a moment: one that is refused is tried again."""
        def attempt():
            try:
                return asked()
            except (OSError, subprocess.CalledProcessError):
                return ""
        return self.w.wait_for(attempt)

    def test_udp_is_published(self):
        name = self.running("-p", "127.0.0.1:18083:80/udp", command=("sh", "-c", _UDP_SERVER))
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", "netstat -lun | grep -q :80").returncode == 0)
        self.assertEqual(ask("127.0.0.1", 18083, udp=True), "echo\n")

    def test_a_free_port_is_chosen_when_none_is_given(self):
        name = self.running("-p", "127.0.0.1::80", command=("sh", "-c", _SERVER))
        port = self.w.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
        self.assertEqual(self.answer(lambda: ask("127.0.0.1", int(port))), "hello from inside\n")

    def test_a_taken_port_names_its_owner(self):
        self.running("--name", "the-owner", "-p", "18084:80")
        done = self.w.try_run("run", "-d", "-p", "18084:80", IMAGE, "true")
        self.assert_fails(done, 125, "port is already allocated", "18084", "the-owner")

    def test_a_port_of_another_program_is_refused(self):
        with socket.create_server(("127.0.0.1", 18085)):
            done = self.w.try_run("run", "-d", "-p", "127.0.0.1:18085:80", IMAGE, "sleep", "5")
            self.assert_fails(done, 125, "127.0.0.1:18085", "port is already allocated")

    def test_the_port_is_free_again_after_the_end(self):
        for _ in range(3):
            name = self.running("-p", "18086:80")
            self.w.ok("rm", "-f", name)

    def test_bad_ports_are_refused_by_name(self):
        for text in ("99999:80", "x:80", "80:80/icmp", "1.2.3:80:80"):
            with self.subTest(text):
                self.assert_fails(self.run_image("true", options=["-p", text]), 125, text.split("/")[-1][:5])


class Others(FunctionalTest):
    def test_none_has_only_a_loopback(self):
        self.assertEqual(self.output("ls", "/sys/class/net", options=["--network", "none"]), "lo\n")

    def test_host_shares_the_host_s_links(self):
        self.assertIn("uplink", self.output("ip", "-o", "link", options=["--network", "host"]))

    def test_an_unknown_network_is_named(self):
        self.assert_fails(self.run_image("true", options=["--network", "nonesuch"]), 125, "nonesuch")

    def test_a_low_port_is_bound_without_privilege(self):
        self.assertEqual(self.output("sh", "-c", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0\n")
