"""Arguments and environment are bytes: what is no UTF-8 reaches the process as it was given."""
import os
import subprocess

from base import IMAGE, FunctionalTest

# Latin-1, every byte that is no ASCII, and a character that stands for such bytes inside records.
STRANGE = (b"caf\xe9", bytes(range(0x80, 0x100)), "\U0010ffe9".encode(), "caf\u00e9".encode())


class Bytes(FunctionalTest):
    def run_bytes(self, *words: bytes | str) -> subprocess.CompletedProcess:
        command = [os.fsencode(word) for word in self.w.command()] + [os.fsencode(word) for word in words]
        return subprocess.run(command, env=self.w.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)

    def assert_writes(self, done: subprocess.CompletedProcess, expected: bytes):
        self.assertEqual((done.returncode, done.stderr, done.stdout), (0, b"", expected))

    def test_run_and_exec_hand_them_on(self):
        up = self.running()
        for strange in STRANGE:
            with self.subTest(strange=strange):
                self.assert_writes(self.run_bytes("run", "--rm", IMAGE, "printf", "%s", strange), strange)
                self.assert_writes(self.run_bytes("run", "--rm", "-e", b"A=" + strange, IMAGE, "sh", "-c", 'printf %s "$A"'),
                                   strange)
                self.assert_writes(self.run_bytes("exec", "-e", b"A=" + strange, up, "sh", "-c",
                                                  'printf %s "$A"'), strange)
                self.assert_writes(self.run_bytes("exec", up, "printf", "%s", strange), strange)

    def test_they_are_still_the_same_after_create_start_and_restart(self):
        for strange in STRANGE:
            with self.subTest(strange=strange):
                made = self.run_bytes("create", "-e", b"A=" + strange, "-l", b"label=" + strange, IMAGE, "sh", "-c",
                                      'printf %s "$A" "$1"', "sh", strange)
                name = made.stdout.decode().strip()
                for _ in range(2):
                    self.assert_writes(self.run_bytes("start", "-a", name), strange * 2)
                listed = self.run_bytes("ps", "-aq", "--no-trunc", "--filter", b"label=label=" + strange)
                self.assertEqual(listed.stdout.decode().split(), [name])

    def test_a_bind_of_a_path_that_is_no_utf_8(self):
        folder = os.fsencode(self.scratch("folder")) + b"/caf\xe9"
        os.mkdir(folder)
        with open(folder + b"/file", "w", encoding="ascii") as file:
            file.write("inside")
        made = self.run_bytes("create", "-v", folder + b":/at", IMAGE, "cat", "/at/file")
        self.assertEqual(made.returncode, 0, made)
        self.assert_writes(self.run_bytes("start", "-a", made.stdout.decode().strip()), b"inside")
