"""What the tests of `wherry build` share: contexts written from texts, and reading the plain progress."""
import os
import pathlib
import re
import subprocess

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
        """The trees of an image's layers, lowest first."""
        return [self.w.root / "layers" / layer.split(":")[1] / "fs"
                for layer in self.w.inspect(image)["RootFS"]["Layers"]]

    def age(self, path, seconds: float = 1000) -> None:
        os.utime(path, (seconds, seconds))
