"""What the tests of `wherry build` share: contexts written from texts, and reading the plain progress."""
import os
import pathlib
import re
import socket
import subprocess
import threading

from base import IMAGE, FunctionalTest

FROM = f"FROM {IMAGE}\n"


class Built:
    """A finished build, read from its plain progress."""

    def __init__(self, done: subprocess.CompletedProcess):
        text = lambda data: data.decode() if isinstance(data, bytes) else data  # noqa: E731
        self.code, self.out, self.err = done.returncode, text(done.stdout), text(done.stderr)
        titles, self.status, self.lines = {}, {}, {}
        for line in self.err.splitlines():
            found = re.match(r"#(\d+) (.*)", line)
            if not found:
                continue
            number, text = found.groups()
            if number not in titles:
                titles[number] = text
                self.lines[text] = []
            elif re.match(r"(CACHED|DONE|CANCELED|ERROR)\b", text):
                self.status[titles[number]] = text.split()[0].rstrip(":")
            else:
                self.lines[titles[number]].append(re.sub(r"^\d+\.\d+ ", "", text))

    def of(self, instruction: str) -> str:
        """CACHED, DONE or ERROR of the one step whose title has this text."""
        found = [status for title, status in self.status.items() if instruction in title]
        assert len(found) == 1, (instruction, self.err)
        return found[0]

    def output(self, instruction: str) -> list[str]:
        return next(lines for title, lines in self.lines.items() if instruction in title)

    @property
    def steps(self) -> list[str]:
        """CACHED or DONE of each step that makes a layer, in order."""
        return [status for title, status in self.status.items()
                if re.match(r"\[\S* ?\d+/\d+\] (RUN|COPY|ADD|WORKDIR)", title)]


class FileServer:
    """One file over HTTP, as it should be or not. `asked` is set when a request has been answered."""

    def __init__(self, test, body: bytes = b"content", status: str = "200 OK", cut: int | None = None,
                 stall: int | None = None):
        """cut: closes after that many bytes of the body; stall: says nothing more after them."""
        self.body, self.status, self.cut, self.stall = body, status, cut, stall
        self.asked = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        test.addCleanup(self.close)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/dir/name.txt"

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            try:
                self._answer(connection)
            except OSError:
                pass  # the client has gone
            self.asked.set()

    def _answer(self, connection):
        connection.recv(4096)
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        limit = self.cut if self.cut is not None else self.stall
        connection.sendall(head.encode() + self.body[:limit])
        if self.stall is None:
            connection.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        for connection in [self._socket, *self._open]:
            connection.close()
        self._thread.join()


class BuildTest(FunctionalTest):
    """self.context is a fresh directory with the files of each test."""

    def setUp(self):
        super().setUp()
        self.context = self.scratch("context")

    def _watched(self) -> list[pathlib.Path]:
        return [self.w.run_root, self.w.root / "incoming", self.w.root / "containers"]

    def write(self, files: dict) -> None:
        for name, content in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def try_build(self, dockerfile: str | None, *flags, files: dict | None = None, tag: str | None = "built",
                  context=None, **options) -> Built:
        self.write(files or {})
        if dockerfile is not None:
            (self.context / "Dockerfile").write_text(dockerfile)
        tags = ["-t", tag] if tag else []
        return Built(self.w.try_run("build", "--progress", "plain", *tags, *flags,
                                    str(context or self.context), **options))

    def build(self, dockerfile: str | None, *flags, **options) -> Built:
        built = self.try_build(dockerfile, *flags, **options)
        self.assertEqual(built.code, 0, built.err)
        return built

    def inside(self, command: str, image: str = "built") -> str:
        return self.w.ok("run", "--rm", image, "/bin/sh", "-c", command)

    def config(self, image: str = "built") -> dict:
        return self.w.inspect(image)["Config"]

    def assert_build_fails(self, built: Built, *words: str) -> None:
        self.assertEqual(built.code, 1, built.err)
        for word in words:
            self.assertIn(word, built.err)

    def layer_paths(self, image: str = "built") -> list[pathlib.Path]:
        """The layers of an image as directories, lowest first."""
        return self.w.layer_paths(image)

    def age(self, path, seconds: float = 1000) -> None:
        os.utime(path, (seconds, seconds))
