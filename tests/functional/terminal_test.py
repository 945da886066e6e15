"""A real terminal: sizes, keys as bytes, detaching, attaching again, and what is left of the caller's."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from base import IMAGE, FunctionalTest

CTRL_C, CTRL_D, CTRL_P, CTRL_Q, CTRL_X = b"\x03", b"\x04", b"\x10", b"\x11", b"\x18"
# In raw mode a key reaches the program as itself; "ready" comes once it is on.
_READ_TWO_RAW = "stty raw -echo; echo ready; dd bs=1 count=2 2>/dev/null | od -An -tx1; stty sane"


class Terminal:
    """A command on a pseudo-terminal that is its controlling one, as in a window."""

    def __init__(self, test: FunctionalTest, *args, rows=24, columns=80):
        self._main, side = pty.openpty()
        self._set_size(rows, columns)
        self.before = termios.tcgetattr(side)
        self.output = b""
        self._process = test.w.start(*args, stdin=side, stdout=side, stderr=side, start_new_session=True,
                                     preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self._side = side
        test.addCleanup(self._close)

    def _close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._side)
        os.close(self._main)

    def _set_size(self, rows: int, columns: int):
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # The kernel tells the foreground process group by SIGWINCH.
    resize = _set_size

    def type(self, keys: bytes):
        os.write(self._main, keys)

    def read_until(self, words: bytes, timeout: float = 20):
        deadline = time.monotonic() + timeout
        while words not in self.output:
            self._read(deadline, words)

    def _read(self, deadline: float, what):
        if not select.select([self._main], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"waited in vain for {what!r}; came: {self.output!r}")
        self.output += os.read(self._main, 65536)

    def end(self, timeout: float = 20) -> int:
        """The exit code; what came until then is in `output`."""
        code = self._process.wait(timeout)
        while select.select([self._main], [], [], 0)[0]:
            self.output += os.read(self._main, 65536)
        return code

    def modes(self):
        return termios.tcgetattr(self._side)


class Keys(FunctionalTest):
    def test_control_c_is_a_byte_that_the_terminal_inside_turns_into_a_signal(self):
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh", "-c",
                            "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done")
        terminal.read_until(b"ready")
        terminal.type(CTRL_C)
        self.assertEqual(terminal.end(), 9, terminal.output)
        self.assertIn(b"interrupted", terminal.output)

    def test_control_c_reaches_a_program_in_raw_mode_as_itself(self):
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh", "-c", _READ_TWO_RAW)
        terminal.read_until(b"ready")
        terminal.type(CTRL_C + b"a")
        self.assertEqual(terminal.end(), 0)
        self.assertIn(b"03 61", terminal.output)

    def test_control_d_ends_the_input(self):
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh", "-c", "echo ready; cat; exit 4")
        terminal.read_until(b"ready")
        terminal.type(b"line\n" + CTRL_D)
        self.assertEqual(terminal.end(), 4)

    def test_an_interactive_shell_answers_and_ends_with_its_code(self):
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh")
        terminal.read_until(b"# ")
        terminal.type(b"echo $((6*7))\n")
        terminal.read_until(b"42\r\n")
        terminal.type(b"exit 33\n")
        self.assertEqual(terminal.end(), 33)


class Sizes(FunctionalTest):
    _TELL = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"

    def test_a_window_s_change_is_seen_by_run_and_by_exec(self):
        name = self.running("--name", "box")
        for words in (("run", "--rm", "-it", IMAGE), ("exec", "-it", name)):
            with self.subTest(words[0]):
                terminal = Terminal(self, *words, "sh", "-c", self._TELL, rows=33, columns=101)
                terminal.read_until(b"ready")
                terminal.resize(44, 122)
                terminal.read_until(b"44 122")
                terminal.resize(10, 20)
                terminal.read_until(b"10 20")
                terminal.type(CTRL_C)
                self.assertEqual(terminal.end(), 130)

    def test_the_first_size_is_there_when_the_program_starts(self):
        name = self.running()
        for words in (("run", "--rm", "-it", IMAGE), ("exec", "-it", name)):
            with self.subTest(words[0]):
                terminal = Terminal(self, *words, "stty", "size", rows=51, columns=177)
                self.assertEqual(terminal.end(), 0)
                self.assertEqual(terminal.output.strip(), b"51 177")


class Detaching(FunctionalTest):
    def assert_detached(self, terminal: Terminal, name: str):
        self.assertEqual(terminal.end(), 0, terminal.output)
        self.assertEqual(terminal.modes(), terminal.before, "the terminal is as it was")
        self.assertTrue(self.w.inspect(name)["State"]["Running"])

    def shell(self, *options) -> Terminal:
        terminal = Terminal(self, "run", "-it", "--name", "box", *options, IMAGE, "sh")
        terminal.read_until(b"# ")
        return terminal

    def test_control_p_control_q_leaves_the_container_and_attach_comes_back(self):
        terminal = self.shell()
        terminal.type(b"mark=kept\n")
        terminal.type(CTRL_P + CTRL_Q)
        self.assert_detached(terminal, "box")
        again = Terminal(self, "attach", "box")
        again.type(b"echo it was $mark\n")
        again.read_until(b"it was kept\r\n")
        again.type(b"exit 5\n")
        self.assertEqual(again.end(), 5)

    def test_a_control_p_followed_by_something_else_is_delivered(self):
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh", "-c", _READ_TWO_RAW)
        terminal.read_until(b"ready")
        terminal.type(CTRL_P + b"a")
        self.assertEqual(terminal.end(), 0)
        self.assertIn(b"10 61", terminal.output)

    def test_other_keys_detach_when_asked_for(self):
        terminal = self.shell("--detach-keys", "ctrl-x,x")
        terminal.type(CTRL_P + CTRL_Q + b"\recho still $((1+1))\r")
        terminal.read_until(b"still 2\r\n")
        terminal.type(CTRL_X + b"x")
        self.assert_detached(terminal, "box")

    def test_detaching_from_an_exec_leaves_its_command_running(self):
        name = self.running()
        terminal = Terminal(self, "exec", "-it", name, "sh")
        terminal.read_until(b"# ")
        terminal.type(CTRL_P + CTRL_Q)
        self.assert_detached(terminal, name)
        self.assertIn("sh\n", self.w.ok("exec", name, "find", "/proc", "-maxdepth", "2", "-name", "comm", "-exec",
                                        "cat", "{}", "+"))

    def test_bad_keys_are_refused_by_name(self):
        done = self.w.try_run("run", "--rm", "--detach-keys", "ctrl-nonsense", IMAGE, "true")
        self.assert_fails(done, 125, "ctrl-nonsense")


class Modes(FunctionalTest):
    def test_the_caller_s_terminal_is_as_before_after_every_end(self):
        for script, code in (("exit 0", 0), ("stty raw -echo; exit 3", 3), ("kill -9 $$; exit 1", 1)):
            with self.subTest(script):
                terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "sh", "-c", script)
                self.assertEqual(terminal.end(), code)
                self.assertEqual(terminal.modes(), terminal.before)
        terminal = Terminal(self, "run", "--rm", "-it", IMAGE, "no-such-program")
        self.assertEqual(terminal.end(), 127)
        self.assertEqual(terminal.modes(), terminal.before)

    def test_a_terminal_without_i_shows_output_and_takes_no_keys(self):
        terminal = Terminal(self, "run", "--rm", "-t", IMAGE, "sh", "-c", "tty; echo $TERM; test -t 0; echo $?")
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(terminal.output, rb"^/dev/pts/\d+\r+\nxterm\r+\n0\r+\n$")

    def test_start_with_ai_gives_the_container_s_terminal_back(self):
        name = self.w.ok("create", "-it", IMAGE, "sh").strip()
        for _ in range(2):
            terminal = Terminal(self, "start", "-ai", name)
            terminal.read_until(b"# ")
            terminal.type(b"echo $((40+2)); exit 6\n")
            self.assertEqual(terminal.end(), 6)
            self.assertTrue(re.search(rb"\n42\r\n", terminal.output), terminal.output)

    def test_the_log_of_a_terminal_is_one_stream(self):
        name = self.w.detached("-t", IMAGE, "sh", "-c", "echo out; echo err >&2")
        self.w.ok("wait", name)
        done = self.w.try_run("logs", name, text=False)
        self.assertEqual((done.stdout, done.stderr), (b"out\r\nerr\r\n", b""))
