"""A wherry-registry of a test's own, and a client that speaks to it request by request."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import time

from harness.paths import bin_dir

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Answer:
    """One whole answer: status, headers by lower-case name, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self) -> str:
        """The first error's code."""
        return json.loads(self.body)["errors"][0]["code"]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class Registry:
    """Use as a context manager; restart with start() after kill() or stop()."""

    def __init__(self, root: pathlib.Path, *options: str, env: dict[str, str] | None = None,
                 host: str = "127.0.0.1", tls: ssl.SSLContext | None = None):
        self.root, self.host = root, host
        self._options, self._env, self._tls = options, env or {}, tls
        self.process = None
        self.address = None
        self.log = root.with_name(root.name + ".log")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None:
            self.kill()
        self.log.unlink(missing_ok=True)

    def start(self, env: dict[str, str] | None = None) -> "Registry":
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [bin_dir() / "wherry-registry", "serve", "--addr", f"{self.host}:0", "--root",
                 str(self.root), *self._options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **self._env, **(env or {})})
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (\S+)\n", line)
        if not found:
            self.process.wait()
            raise AssertionError(f"no registry: {line!r}\n{self.log.read_text()}")
        self.address = found[1]
        return self

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self._reap()
        return code

    def _reap(self) -> None:
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method: str, target: str, body=None, **headers: str) -> Answer:
        """Header names with '_' for '-'. A list as body is sent in chunks."""
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if isinstance(body, list):
                named["Transfer-Encoding"] = "chunked"
            connection.request(method, target, body=body, headers=named,
                               encode_chunked=isinstance(body, list))
            got = connection.getresponse()
            data = got.read()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, data)
        finally:
            connection.close()

    # --- what most tests begin with

    def begin(self, name: str) -> str:
        """The location of a new upload."""
        return expect(self.ask("POST", f"/v2/{name}/blobs/uploads/"), 202).headers["location"]

    def push_blob(self, name: str, data: bytes) -> str:
        expect(self.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data), 201)
        return digest(data)

    def push_image(self, name: str, tag: str, *layers: bytes, **fields) -> str:
        """An image of these layers; the manifest's digest. `fields` go into the manifest."""
        body = image_manifest([(self.push_blob(name, data), len(data)) for data in layers],
                              (self.push_blob(name, b"{}"), 2), **fields)
        answer = expect(self.ask("PUT", f"/v2/{name}/manifests/{tag}", body, Content_Type=MANIFEST), 201)
        return answer.headers["docker-content-digest"]

    def wait_for(self, condition, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("waited in vain\n" + self.log.read_text()[-2000:])
            time.sleep(0.01)  # the condition is in another process


def image_manifest(parts, config, **fields) -> bytes:
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config[0], "size": config[1]},
        "layers": [{"mediaType": LAYER, "digest": name, "size": size} for name, size in parts],
        **fields}).encode()


def expect(answer: Answer, status: int) -> Answer:
    if answer.status != status:
        raise AssertionError(f"expected {status}: {answer!r}")
    return answer
