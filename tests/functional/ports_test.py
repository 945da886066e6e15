"""Published ports: from another host, from the host's own address, from its loopback; which, and whose."""
import contextlib
import socket
import subprocess
import sys
import threading

from base import IMAGE, FunctionalTest
from harness import sandbox

_ASK_TCP = "import socket; print(socket.create_connection(({0!r}, {1}), 2).recv(99).decode(), end='')"
_ASK_UDP = "import socket; s = socket.socket(socket.AF_INET6 if ':' in {0!r} else socket.AF_INET, " \
           "socket.SOCK_DGRAM); s.settimeout(2); s.connect(({0!r}, {1})); s.send(b'echo'); " \
           "print(s.recv(99).decode(), end='')"


class Ports(FunctionalTest):
    def served(self, *options, word="hello", port=80, udp=False) -> str:
        script = f"udp-echo {port}" if udp else f"while :; do echo {word} | nc -l -p {port}; done"
        name = self.running(*options, command=("sh", "-c", script))
        table = "/proc/net/udp" if udp else "/proc/net/tcp"
        files = f"cat {table} {table}6 | grep -q ':{port:04X} '"
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", files).returncode == 0)
        return name

    def ask(self, address: str, port: int, udp=False, outside=False) -> str:
        """The answer; an empty one when nobody answers within some tries."""
        command = [sys.executable, "-c", (_ASK_UDP if udp else _ASK_TCP).format(address, port)]
        command = sandbox.outside_command(command) if outside else command
        for _ in range(10):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return done.stdout
        return ""

    def refused(self, address: str, port: int, outside=False) -> bool:
        command = [sys.executable, "-c", _ASK_TCP.format(address, port)]
        done = subprocess.run(sandbox.outside_command(command) if outside else command, capture_output=True, text=True)
        return "ConnectionRefusedError" in done.stderr

    def bindings(self, name: str, port="80/tcp") -> list[tuple[str, str]]:
        return [(item["HostIp"], item["HostPort"])
                for item in self.w.inspect(name)["NetworkSettings"]["Ports"][port]]

    def assert_answers_everywhere(self, port: int, answer: str, udp=False):
        for address, outside in ((sandbox.INSIDE, True), (sandbox.INSIDE, False), ("127.0.0.1", False),
                                 ("::1", False)):
            with self.subTest(address=address, outside=outside):
                self.assertEqual(self.ask(address, port, udp, outside), answer)

    def test_tcp_answers_everywhere(self):
        name = self.served("-p", "18201:80")
        self.assert_answers_everywhere(18201, "hello\n")
        self.assertEqual(self.bindings(name), [("0.0.0.0", "18201"), ("::", "18201")])
        self.assertIn("0.0.0.0:18201->80/tcp", self.w.ok("ps", "--format", "{{.Ports}}"))

    def test_udp_answers_everywhere_and_beside_the_same_tcp_port(self):
        self.served("-p", "18202:80/udp", udp=True)
        self.served("-p", "18202:80", word="stream")
        self.assert_answers_everywhere(18202, "echo", udp=True)
        self.assertEqual(self.ask("127.0.0.1", 18202), "stream\n")

    def test_an_address_is_the_only_one_that_answers(self):
        self.served("-p", "127.0.0.1:18203:80")
        self.assertEqual(self.ask("127.0.0.1", 18203), "hello\n")
        self.assertTrue(self.refused(sandbox.INSIDE, 18203, outside=True))
        self.assertTrue(self.refused("::1", 18203))
        self.served("-p", f"{sandbox.INSIDE}:18203:80", word="other")
        self.assertEqual(self.ask(sandbox.INSIDE, 18203, outside=True), "other\n")
        self.assertEqual(self.ask("127.0.0.1", 18203), "hello\n")

    def test_loopback_v6_alone(self):
        self.served("-p", "[::1]:18204:80")
        self.assertEqual(self.ask("::1", 18204), "hello\n")
        self.assertTrue(self.refused("127.0.0.1", 18204))

    def test_no_host_port_is_a_free_one_and_each_gets_its_own(self):
        found = {self.bindings(self.served("-p", form))[0][1] for form in ("80", "80/tcp", "127.0.0.1::80", "0:80")}
        self.assertEqual(len(found), 4)
        for port in found:
            self.assertEqual(self.ask("127.0.0.1", int(port)), "hello\n")

    def test_ranges_pair_up(self):
        name = self.served("-p", "18210-18212:80-82", port=81)
        self.assertEqual([self.bindings(name, f"{port}/tcp")[0][1] for port in (80, 81, 82)],
                         ["18210", "18211", "18212"])
        self.assertEqual(self.ask("127.0.0.1", 18211), "hello\n")

    def test_a_host_range_for_one_port_gives_free_ones_until_none_is_left(self):
        names = [self.running("-p", "18220-18221:80") for _ in range(2)]
        ports = [self.w.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] for name in names]
        self.assertEqual(ports, ["18220", "18221"])
        done = self.w.try_run("run", "-d", "-p", "18220-18221:80", IMAGE, "true")
        self.assert_fails(done, 125, "no host port of 18220-18221/tcp is free")
        self.w.ok("rm", "-f", names[0])
        again = self.running("-p", "18220-18221:80")
        self.assertEqual(self.w.inspect(again)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"], "18220")

    def test_a_taken_name_is_said_before_a_taken_port(self):
        self.running("--name", "web", "-p", "18232:80")
        for options in ([], ["--rm"], ["-d"]):
            done = self.w.try_run("run", *options, "--name", "web", "-p", "18232:80", IMAGE, "true")
            self.assert_fails(done, 125, "already in use", "web")

    def test_a_taken_port_names_its_owner_and_is_free_after_stop(self):
        self.running("--name", "owner", "-p", "18230:80")
        for form in ("18230:80", "127.0.0.1:18230:80"):
            with self.subTest(form):
                done = self.w.try_run("run", "-d", "--rm", "-p", form, IMAGE, "true")
                self.assert_fails(done, 125, "18230", "port is already allocated", "owner")
        self.w.ok("stop", "-t", "0", "owner")
        self.running("--name", "heir", "-p", "18230:80")
        self.assert_fails(self.w.try_run("start", "owner"), 1, "18230", "heir")
        self.w.ok("rm", "-f", "heir")
        self.w.ok("start", "owner")

    def test_another_program_s_port_is_refused_and_nothing_stays_behind(self):
        with socket.create_server(("0.0.0.0", 18231)):
            done = self.w.try_run("run", "--rm", "-p", "18230:80", "-p", "18231:81", IMAGE, "true")
            self.assert_fails(done, 125, "18231", "port is already allocated")
        self.assertTrue(self.refused("127.0.0.1", 18230))
        self.output("true", options=["-p", "18230:80", "-p", "18231:81"])

    def test_a_restart_keeps_a_given_port_and_answers_again(self):
        name = self.served("-p", "18232:80")
        self.w.ok("restart", "-t", "0", name)
        self.assertEqual(self.bindings(name)[0][1], "18232")
        self.assertEqual(self.w.wait_for(lambda: self.ask("127.0.0.1", 18232)), "hello\n")

    def test_the_client_s_address_is_kept_from_outside(self):
        name = self.running("-p", "18233:80", command=("sh", "-c", "nc -l -p 80 -e sh -c 'netstat -tn'"))
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", "netstat -ltn | grep -q :80").returncode == 0)
        command = [sys.executable, "-c", "import socket; s = socket.create_connection((%r, 18233), 5); "
                   "print(s.makefile().read())" % sandbox.INSIDE]
        out = subprocess.run(sandbox.outside_command(command), check=True, capture_output=True, text=True).stdout
        self.assertIn(sandbox.OUTSIDE + ":", out)

    def test_megabytes_come_through_loopback_and_half_closing_works(self):
        name = self.running("-p", "127.0.0.1:18234:80", command=("nc", "-l", "-p", "80", "-e", "cat"))
        self.w.wait_for(lambda: self.w.try_run("exec", name, "sh", "-c", "netstat -ltn | grep -q :80").returncode == 0)
        code = "import socket, threading, hashlib, os\n" \
               "s = socket.create_connection(('127.0.0.1', 18234), 20); data = os.urandom(5 << 20)\n" \
               "threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()\n" \
               "got = s.makefile('rb').read(); print(got == data)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                        timeout=40).stdout, "True\n")

    def test_an_ended_container_s_port_is_refused_at_once(self):
        name = self.served("-p", "18235:80")
        self.w.ok("kill", name)
        self.w.ok("wait", name)
        for address in ("127.0.0.1", sandbox.INSIDE):
            self.assertTrue(self.w.wait_for(lambda: self.refused(address, 18235)))


class Modes(FunctionalTest):
    def greet(self, address: str, port: int):
        """Greets the first who connects to a port of the host's."""
        server = socket.create_server((address, port))

        def serve():
            with contextlib.suppress(OSError):  # nobody came
                connection, _ = server.accept()
                connection.sendall(b"greetings\n")
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.close)
        self.addCleanup(server.shutdown, socket.SHUT_RDWR)

    def test_none_has_only_its_loopback_which_is_up(self):
        out = self.output("sh", "-c", "ip -o link; ip route; ping -c 1 -q 127.0.0.1 >/dev/null && echo up",
                          options=["--network", "none"])
        self.assertEqual(len(out.splitlines()), 2, out)
        self.assertTrue(out.endswith("up\n"))

    def test_host_is_the_host_s_own_with_its_names_and_loopback(self):
        self.greet("127.0.0.1", 18240)
        self.assertEqual(self.output("nc", "127.0.0.1", "18240", options=["--network", "host"]), "greetings\n")
        self.assertEqual(self.output("hostname", options=["--network", "host"]), socket.gethostname() + "\n")

    def test_the_bridge_is_the_default_and_isolated_from_the_host_s_loopback(self):
        self.greet("127.0.0.1", 18241)
        self.assertIn("refused", self.run_image("nc", "127.0.0.1", "18241").stderr)
        self.assertIn("eth0", self.output("ls", "/sys/class/net", options=["--network", "bridge"]))

    def test_the_host_is_reached_at_the_gateway(self):
        self.greet("0.0.0.0", 18242)
        out = self.output("sh", "-c", "nc $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p') 18242")
        self.assertEqual(out, "greetings\n")

    def test_a_port_without_a_bridge_is_refused_or_warned_about(self):
        done = self.run_image("true", options=["--network", "none", "-p", "18243:80"])
        self.assertIn("18243" if done.returncode else "", done.stderr)

    def test_bad_ports_are_refused_by_name(self):
        for text in ("0:0", "80:0", "99999", "99999:80", "80:99999", "-1:80", "x", "80:80/icmp", "1.2.3:80:80",
                     "300.1.1.1:80:80", "8000-8002:80-81", "8002-8000:80", "80:80:80:80", "[::1:80:80", ":", ""):
            with self.subTest(text):
                done = self.run_image("true", options=["-p", text])
                self.assert_fails(done, 125, text)
        self.assertEqual(self.w.ids(), [])
