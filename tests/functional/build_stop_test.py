"""Ctrl-C and SIGTERM wherever a build waits: it ends within a second, and nothing of it is left."""
import os
import pathlib
import signal
import time

from builds import FROM, BuildTest, FileServer
from harness.archives import layer_tar
from harness.fake_registry import FakeRegistry, Fault

# What may be on the way between the signal and the end: 0.7 s of grace, then the helpers' end.
PROMPTLY = 2.0


class Stopped(BuildTest):
    def begin(self, dockerfile: str, *options):
        self.write({"Dockerfile": dockerfile})
        build = self.w.start("build", "--progress", "plain", *options, str(self.context))
        self.addCleanup(build.communicate)
        self.addCleanup(build.kill)
        return build

    def stop(self, build, number=signal.SIGINT) -> str:
        began = time.monotonic()
        build.send_signal(number)
        _, err = build.communicate(timeout=20)
        self.assertLess(time.monotonic() - began, PROMPTLY)
        self.assertEqual(build.returncode, 128 + number, err)
        self.assertIn(b"canceled", err)
        self.nothing_left()
        return err.decode()

    def nothing_left(self):
        self.assertEqual(os.listdir(self.w.root / "incoming"), [])
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            name = os.path.basename(words[0])
            self.assertNotIn(name, (b"wherry", b"wherry-unpack", b"wherry-transfer", b"wherry-monitor"), words)

    def read_until(self, build, words: bytes):
        for line in build.stderr:
            if words in line:
                return
        self.fail(f"{words} was not said")

    def test_while_the_base_is_pulled(self):
        with FakeRegistry() as registry:
            registry.repository("base").add_image("1", [layer_tar({"f": b"x" * 100_000})])
            registry.faults["GET .*blobs/"] = Fault(stall=1000)
            build = self.begin(f"FROM {registry.host}/base:1\n")
            self.w.wait_for(lambda: registry.asked("base/blobs"))
            self.stop(build)

    def test_while_a_url_is_fetched(self):
        server = FileServer(self, b"x" * 1_000_000, stall=1000)
        build = self.begin(FROM + f"ADD {server.url} /\n")
        server.asked.wait(20)
        self.stop(build, signal.SIGTERM)

    def test_while_a_large_file_is_read(self):
        with open(self.context / "huge", "wb") as file:
            file.truncate(1 << 40)
        build = self.begin(FROM + "COPY huge /\n")
        self.read_until(build, b"COPY huge")
        self.stop(build)

    def test_while_a_cache_is_waited_for(self):
        locked = "RUN --mount=type=cache,target=/c,sharing=locked echo begun; sleep 1000\n"
        first = self.begin(FROM + locked)
        for line in first.stderr:
            if line.strip().endswith(b"begun") and b"RUN" not in line:
                break
        second = self.begin(FROM + "RUN --mount=type=cache,target=/c,sharing=locked true\n")
        self.read_until(second, b"RUN")
        began = time.monotonic()
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=20)
        self.assertLess(time.monotonic() - began, PROMPTLY)
        self.assertEqual(second.returncode, 130)
        self.assertIsNone(first.poll(), "the other build goes on")
        self.stop(first)

    def test_while_standard_input_says_nothing(self):
        build = self.w.start("build", "-")
        self.addCleanup(build.communicate)
        self.addCleanup(build.kill)
        build.stdin.write(FROM.encode())
        build.stdin.flush()
        self.read_until(build, b"load build definition")
        began = time.monotonic()
        build.send_signal(signal.SIGHUP)
        self.assertEqual(build.wait(20), 129)
        self.assertLess(time.monotonic() - began, PROMPTLY)
        self.nothing_left()

    def test_a_second_signal_does_not_wait(self):
        server = FileServer(self, b"x" * 1_000_000, stall=1000)
        build = self.begin(FROM + f"ADD {server.url} /\n")
        server.asked.wait(20)
        build.send_signal(signal.SIGINT)
        build.send_signal(signal.SIGTERM)
        began = time.monotonic()
        build.communicate(timeout=20)
        self.assertLess(time.monotonic() - began, PROMPTLY)
        self.assertIn(build.returncode, (130, 143))
        self.nothing_left()
