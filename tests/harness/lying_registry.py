"""A registry in this process that lies on request: what the distribution spec has, and every fault a test wants.

Contents are plain dictionaries. `requests` lists what was asked; `faults` maps a regular expression on
"METHOD PATH" to what goes wrong there. With `users` it asks for passwords, by basic authentication or, with
`tokens`, by a token service of its own at /token.
"""
import base64
import gzip
import hashlib
import http.server
import io
import json
import re
import secrets
import tarfile
import threading
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes]) -> bytes:
    """The tar of one layer; the same files give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def compressed(tar: bytes) -> bytes:
    return gzip.compress(tar, 1, mtime=0)


class Fault:
    """What goes wrong with an answer, `times` times (None: always). One of:

    status: this one instead, with `body`; `cut`: only that many bytes, then the connection ends; `stall`: that many
    bytes (-1: not even the head), then nothing until the registry ends; `change`: a function on the body; `headers`: laid over the
    answer's.
    """

    def __init__(self, status=0, body=b"", cut=None, stall=None, change=None, headers=None, times=None):
        self.status, self.body, self.cut, self.stall = status, body, cut, stall
        self.change, self.headers, self.times = change, headers or {}, times


class Repository:
    def __init__(self):
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}  # by digest: media type, bytes
        self.tags: dict[str, str] = {}

    def add_blob(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def add_manifest(self, document, media_type: str = MANIFEST, tag: str = "") -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.manifests[digest_of(data)] = (media_type, data)
        if tag:
            self.tags[tag] = digest_of(data)
        return digest_of(data)

    def add_image(self, tag: str, tars: list[bytes], config: dict | None = None, change=lambda manifest: None,
                  **platform) -> str:
        """An image of these layers; `config` is the run configuration. The manifest's digest."""
        blobs = [compressed(tar) for tar in tars]
        document = {"architecture": "amd64", "os": "linux", **platform, "config": config or {},
                    "created": "2026-01-01T00:00:00Z",
                    "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
                    "history": [{"created": "2026-01-01T00:00:00Z"} for _ in tars]}
        data = json.dumps(document).encode()
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, "digest": self.add_blob(data), "size": len(data)},
                    "layers": [{"mediaType": LAYER, "digest": self.add_blob(blob), "size": len(blob)}
                               for blob in blobs]}
        change(manifest)
        return self.add_manifest(manifest, tag=tag)


class FakeRegistry:
    """Use as a context manager; `host` is ADDRESS:PORT."""

    def __init__(self, users: dict[str, str] | None = None, tokens: bool = False, address: str = "127.0.0.1"):
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []  # "METHOD PATH?QUERY"
        self.authorizations: list[str] = []  # of all requests, "" where there was none
        self.received = 0  # bytes of request bodies
        self.faults: dict[str, Fault] = {}
        self.users, self.tokens = users or {}, tokens
        self.issued: set[str] = set()
        self.uploads: dict[str, bytearray] = {}
        self.ended = threading.Event()
        self.lock = threading.Lock()
        registry = self

        class Handler(_Handler):
            pass

        Handler.registry = registry
        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.host = f"{address}:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def asked(self, pattern: str) -> list[str]:
        return [request for request in self.requests if re.search(pattern, request)]

    def fault_for(self, request: str) -> Fault | None:
        with self.lock:
            for pattern, fault in self.faults.items():
                if re.search(pattern, request) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_GET

    def _serve(self):
        request = f"{self.command} {self.path}"
        with self.registry.lock:
            self.registry.requests.append(request)
            self.registry.authorizations.append(self.headers.get("Authorization", ""))
        self.fault = self.registry.fault_for(request)
        self.received = self._read_body()
        with self.registry.lock:
            self.registry.received += len(self.received)
        if self.fault and self.fault.status:
            return self._answer(self.fault.status, self.fault.body)
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/token":
            return self._token()
        if not self._allowed():
            return None
        if url.path in ("/v2", "/v2/"):
            return self._answer(200, b"{}")
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags)/(.+)", url.path)
        if not found:
            return self._error(404, "NAME_UNKNOWN")
        name, kind, rest = found.groups()
        return getattr(self, "_" + kind)(name, rest)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    # --- authentication

    def _user(self, text: str) -> str | None:
        kind, _, value = text.partition(" ")
        if kind.lower() != "basic":
            return None
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user if self.registry.users.get(user) == password else None

    def _token(self):
        if self.command != "GET" or not self._user(self.headers.get("Authorization", "")):
            return self._error(401, "UNAUTHORIZED")
        token = secrets.token_hex(8)
        self.registry.issued.add(token)
        return self._answer(200, json.dumps({"token": token, "expires_in": 60}).encode())

    def _allowed(self) -> bool:
        registry, given = self.registry, self.headers.get("Authorization", "")
        if not registry.users:
            return True
        if registry.tokens:
            if given.startswith("Bearer ") and given[7:] in registry.issued:
                return True
            challenge = f'Bearer realm="http://{registry.host}/token",service="fake"'
        else:
            if self._user(given):
                return True
            challenge = 'Basic realm="fake"'
        self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
        return False

    # --- the parts of the API

    def _manifests(self, name, reference):
        repository = self.registry.repositories.get(name)
        if self.command == "PUT":
            kind, data = self.headers.get("Content-Type"), self.received
            digest = self.registry.repository(name).add_manifest(data, kind,
                                                                 "" if ":" in reference else reference)
            return self._answer(201, b"", {"Docker-Content-Digest": digest, "Location": self.path})
        if not repository:
            return self._error(404, "NAME_UNKNOWN")
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            return self._error(404, "MANIFEST_UNKNOWN")
        kind, data = repository.manifests[digest]
        return self._answer(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _tags(self, name, _):
        if name not in self.registry.repositories:
            return self._error(404, "NAME_UNKNOWN")
        tags = sorted(self.registry.repositories[name].tags)
        return self._answer(200, json.dumps({"name": name, "tags": tags}).encode())

    def _blobs(self, name, rest):
        if rest.startswith("uploads/"):
            return self._upload(name, rest.removeprefix("uploads/"))
        blobs = self.registry.repository(name).blobs
        if rest not in blobs:
            return self._error(404, "BLOB_UNKNOWN")
        data, status, headers = blobs[rest], 200, {"Docker-Content-Digest": rest}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and int(wanted[1]) < len(data):
            begin = int(wanted[1])
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            data, status = data[begin:], 206
        return self._answer(status, data, {"Content-Type": "application/octet-stream", **headers})

    def _upload(self, name, session):
        repository = self.registry.repository(name)
        if self.command == "POST":
            mount, source = self.query.get("mount"), self.query.get("from")
            other = self.registry.repositories.get(source)
            if mount and other and mount in other.blobs:
                repository.blobs[mount] = other.blobs[mount]
                return self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{mount}",
                                               "Docker-Content-Digest": mount})
            session = secrets.token_hex(8)
            self.registry.uploads[session] = bytearray()
            if "digest" not in self.query:
                return self._answer(202, b"", {"Location": f"/v2/{name}/blobs/uploads/{session}", "Range": "0-0"})
        if session not in self.registry.uploads:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN")
        upload = self.registry.uploads[session]
        if self.command == "GET":
            return self._answer(204, b"", {"Location": self.path, "Range": f"0-{max(0, len(upload) - 1)}"})
        upload += self.received
        if self.command == "PATCH":
            return self._answer(202, b"", {"Location": f"/v2/{name}/blobs/uploads/{session}",
                                           "Range": f"0-{max(0, len(upload) - 1)}"})
        digest = self.query.get("digest", "")
        data = bytes(self.registry.uploads.pop(session))
        if digest_of(data) != digest:
            return self._error(400, "DIGEST_INVALID")
        repository.blobs[digest] = data
        return self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    # --- answers

    def _error(self, status: int, code: str, headers=None):
        body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, status: int, body: bytes, headers=None):
        fault = self.fault or Fault()
        if fault.stall == -1:
            self.close_connection = self.registry.ended.wait()
            return
        if fault.change:
            body = fault.change(body)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {}), **fault.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = fault.cut if fault.cut is not None else fault.stall
        self.wfile.write(body[:end])
        self.wfile.flush()
        if fault.stall is not None:
            self.registry.ended.wait()
        if end is not None:
            self.close_connection = True
