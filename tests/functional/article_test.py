"""The article's day, in its order: base image, application, build, cache, mistake, second image, sizes, push,
pull, run, rollback, sixteen containers on one machine. Real packages, through the sandbox's package cache."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from base import IMAGE, FunctionalTest
from harness import images, sandbox
from harness.paths import TOP
from harness.registry import Registry
from harness.wherry import Wherry

BASE = "debian:bookworm"
APPSERVER = "example/appserver"
MEMCACHED = "example/appserver-memcached"
RAILS = "rails"
_LONG = 900


def ask_memcached(port: int, command: str = "version", address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, port), 5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.makefile().readline().strip()


def wait_for_answer(question, seconds: float) -> str:
    """The first answer; the last error when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := question():
                return answer
        except OSError:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise AssertionError("no answer in time")
        time.sleep(0.02)


def megabytes(size: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([kMG]?B)", size.strip()).groups()
    return float(number) * {"B": 1e-6, "kB": 1e-3, "MB": 1, "GB": 1e3}[unit]


def status_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        return str(answer.status)


class Article(FunctionalTest):
    """The rows depend on each other and run in the order of their numbers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy = os.environ["WHERRY_TEST_PACKAGE_PROXY"]
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="article-", dir=os.environ["WHERRY_TEST_DISK"]))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        shutil.copytree(TOP / "examples" / "article", cls.folder / "article")
        cls.registry = Registry(cls.folder / "registry")
        cls.registry.start()
        cls.addClassCleanup(cls.registry.__exit__)
        cls.server = Wherry()
        cls.addClassCleanup(cls.server.close)
        # The bridges are there before the first snapshot.
        cls.server.ok("import", images.busybox_tar(), IMAGE)
        for machine in (cls.w, cls.server):
            machine.ok("run", "--rm", IMAGE, "true")

    def build(self, name: str, tag: str, succeeds: bool = True) -> str:
        """What `build` says; it must end as expected."""
        done = self.w.try_run("build", "--progress", "plain", "--build-arg", f"http_proxy={self.proxy}", "-t", tag,
                              self.folder / "article" / name, timeout=_LONG)
        self.assertEqual(done.returncode == 0, succeeds, done.stderr[-3000:])
        return done.stdout + done.stderr

    def steps(self, said: str) -> list[tuple[str, str]]:
        """(step, how it ended) of each RUN and COPY: CACHED or DONE."""
        names = dict(re.findall(r"^#(\d+) (\[.*?\] (?:RUN|COPY) .*)$", said, re.M))
        ends = dict(re.findall(r"^#(\d+) (CACHED|DONE)\b", said, re.M))
        return [(names[number], ends.get(number, "")) for number in sorted(names, key=int)]

    def remote(self, name: str) -> str:
        return f"{self.registry.address}/{name}"

    def test_01_a_base_image_from_signed_packages(self):
        self.w.ok("bootstrap", BASE, "--variant", "minbase", env={"http_proxy": self.proxy}, timeout=_LONG)
        self.assertRegex(self.w.ok("run", "--rm", BASE, "cat", "/etc/debian_version"), r"^12\.\d+\n$")

    def test_02_a_rails_application_under_a_supervisor(self):
        self.build("rails", RAILS)
        name = self.w.detached("-p", "13000:3000", RAILS)
        self.assertEqual(wait_for_answer(lambda: status_of(13000), 60), "200")
        self.w.wait_for(lambda: "entered RUNNING state" in self.w.ok("logs", name))
        log = self.w.ok("logs", name)
        self.assertRegex(log, r"supervisord started with pid 1\n")
        self.assertRegex(log, r"spawned: 'rails' with pid \d+\n")
        self.assertIn("success: rails entered RUNNING state", log)

    def test_03_a_dockerfile_step_by_step(self):
        steps = self.steps(self.build("appserver", APPSERVER))
        self.assertEqual([re.search(r"(\d)/4\] RUN apt-get (\w+)", step).groups() for step, _ in steps],
                         [("2", "update"), ("3", "install"), ("4", "install")])
        # The first step is the one of the rails image: its result is there already.
        self.assertEqual([end for _, end in steps], ["CACHED", "DONE", "DONE"])
        self.assertIn("ruby 3.1", self.w.ok("run", "--rm", APPSERVER, "ruby", "--version"))

    def test_04_building_again_runs_nothing(self):
        before = self.w.ok("image", "inspect", "-f", "{{.Id}}", APPSERVER)
        self.assertEqual({end for _, end in self.steps(self.build("appserver", APPSERVER))}, {"CACHED"})
        self.assertEqual(self.w.ok("image", "inspect", "-f", "{{.Id}}", APPSERVER), before)

    def test_05_a_mistake_costs_only_its_own_line(self):
        file = self.folder / "article" / "appserver" / "Dockerfile"
        right = file.read_text()
        file.write_text(right + "RUN apt-get install -y -q no-such-package\n")
        said = self.build("appserver", APPSERVER, succeeds=False)
        self.assertIn("Unable to locate package no-such-package", said)
        self.assertIn("exit code: 100", said)
        self.assertRegex(said, r"Dockerfile:5\b")
        self.assertEqual([end for _, end in self.steps(said)][:3], ["CACHED"] * 3)
        file.write_text(right + "RUN apt-get install -y -q file\n")
        self.assertEqual([end for _, end in self.steps(self.build("appserver", "example/other"))],
                         ["CACHED", "CACHED", "CACHED", "DONE"])
        file.write_text(right)
        self.w.ok("rmi", "example/other")

    def test_06_a_second_image_on_top(self):
        steps = self.steps(self.build("appserver-memcached", MEMCACHED))
        self.assertEqual([end for _, end in steps], ["DONE"] * 3)

    def test_07_images_show_own_size_and_all(self):
        own, whole = (megabytes(self.w.ok("images", "--format", f"{{{{.{field}}}}}", MEMCACHED))
                      for field in ("UniqueSize", "VirtualSize"))
        self.assertLess(0, own)
        self.assertLess(3 * own, whole)
        self.assertIn("apt-get install -y -q memcached", self.w.ok("history", "--no-trunc", MEMCACHED))

    def test_08_a_push_sends_only_what_is_new(self):
        for name in (APPSERVER, MEMCACHED):
            self.w.ok("tag", name, self.remote(name))
        first = self.w.ok("push", self.remote(APPSERVER), timeout=_LONG)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Pushed", first, re.M)), 4, first)
        second = self.w.ok("push", self.remote(MEMCACHED), timeout=_LONG)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Pushed", second, re.M)), 3, second)
        self.assertEqual(len(re.findall(rf"^[0-9a-f]{{12}}: Mounted from {APPSERVER}", second, re.M)), 4, second)
        again = self.w.ok("push", self.remote(MEMCACHED), timeout=_LONG)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Layer already exists", again, re.M)), 7, again)

    def test_09_a_pull_fetches_only_what_is_new(self):
        first = self.server.ok("pull", self.remote(APPSERVER), timeout=_LONG)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Pull complete", first, re.M)), 4, first)
        second = self.server.ok("pull", self.remote(MEMCACHED), timeout=_LONG)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Already exists", second, re.M)), 4, second)
        self.assertEqual(len(re.findall(r"^[0-9a-f]{12}: Pull complete", second, re.M)), 3, second)
        for name in (APPSERVER, MEMCACHED):
            self.assertEqual(self.server.ok("image", "inspect", "-f", "{{.Id}}", self.remote(name)),
                             self.w.ok("image", "inspect", "-f", "{{.Id}}", name))

    def test_10_it_runs_there(self):
        self.addCleanup(self.server.remove_containers)
        name = self.server.detached("-p", "21211:11211", self.remote(MEMCACHED))
        self.assertRegex(wait_for_answer(lambda: ask_memcached(21211), 20), r"^VERSION 1\.6")
        self.assertRegex(self.ask_from_outside(21211), r"^VERSION 1\.6")
        self.assertIn("success: memcached entered RUNNING state",
                      wait_for_answer(lambda: self.entered(name), 20))

    def entered(self, name: str) -> str:
        log = self.server.ok("logs", name)
        return log if "RUNNING" in log else ""

    def ask_from_outside(self, port: int) -> str:
        code = "import socket; c = socket.create_connection(('%s', %d), 5); c.sendall(b'version\\r\\n'); " \
               "print(c.makefile().readline())" % (sandbox.INSIDE, port)
        return subprocess.run(sandbox.outside_command([sys.executable, "-c", code]), check=True,
                              capture_output=True, text=True).stdout

    def test_11_back_to_the_old_image_within_a_second(self):
        self.addCleanup(self.server.remove_containers)
        # Without the supervisor, which itself waits a second before it starts anything.
        for version, memory in (("service:1", 64), ("service:2", 7)):
            self.server.ok("build", "-t", version, "-", input=f"FROM {self.remote(MEMCACHED)}\n"
                           f'CMD ["memcached", "-u", "nobody", "-l", "0.0.0.0", "-m", "{memory}"]\n')
        old = self.server.detached("--name", "service-1", "-p", "22211:11211", "service:1")
        wait_for_answer(lambda: ask_memcached(22211), 20)
        self.server.ok("stop", old)
        new = self.server.detached("--name", "service-2", "-p", "22211:11211", "service:2")
        wait_for_answer(lambda: ask_memcached(22211), 20)
        self.assertIn("STAT limit_maxbytes 7340032", self.settings(22211))
        begin = time.monotonic()
        self.server.ok("rm", "-f", new)
        self.server.ok("start", old)
        wait_for_answer(lambda: ask_memcached(22211), 20)
        print(f"  rolled back in {time.monotonic() - begin:.2f} s")
        self.assertIn("STAT limit_maxbytes 67108864", self.settings(22211))

    def settings(self, port: int) -> str:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"stats\r\nquit\r\n")
            return connection.makefile().read()

    def test_12_sixteen_servers_on_one_machine(self):
        ports = {}
        for index in range(16):
            image, inner = (RAILS, 3000) if index < 2 else (MEMCACHED, 11211)
            port = 24000 + index
            ports[self.w.detached("--name", f"server{index}", "-p", f"{port}:{inner}", image)] = (port, inner)
        self.assertEqual(len(self.w.ids(running_only=True)), 16)
        for port, inner in ports.values():
            if inner == 3000:
                self.assertEqual(wait_for_answer(lambda port=port: status_of(port), 60), "200")
            else:
                self.assertRegex(wait_for_answer(lambda port=port: ask_memcached(port), 30), r"^VERSION")
        # One network: each reaches the others by address.
        names = list(ports)
        address = self.w.inspect(names[15])["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        said = self.w.ok("exec", names[2], "perl", "-MIO::Socket::INET", "-e",
                         f"$s = IO::Socket::INET->new('{address}:11211') or die; print $s \"version\\r\\n\"; "
                         "print scalar <$s>")
        self.assertRegex(said, r"^VERSION")
        self.w.ok("rm", "-f", *names, timeout=120)
        self.assertEqual(self.w.ids(), [])
