#!/usr/bin/env python3
"""A registry in memory that lies on request: what the distribution spec has, and every fault a test wants.

As a library:

    with FakeRegistry() as registry:
        registry.repository("team/app").add_image("1", [layer_tar({"file": "content"})])
        registry.faults["GET .*blobs/"] = Fault(cut=1000, times=1)
        ... registry.host, registry.requests ...

As a program (tests in other languages) it prints "PORT" and serves until its stdin ends.
"""
import argparse
import base64
import http.server
import json
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse

from harness.archives import CONFIG, INDEX, MANIFEST, compressed, config, digest_of

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IDENTITY = "identity-token-of-user"

__all__ = ["CONFIG", "INDEX", "LAYER", "MANIFEST", "FakeRegistry", "Fault", "Repository"]


class Fault:
    """What goes wrong with an answer, `times` times (None: always). One of:

    status: this one instead, with `body`; cut: only that many bytes of the body, then the connection ends; stall: that
    many bytes (-1: not even the head), then nothing until the registry ends; drip: a byte a second; huge: so many zero
    bytes; swallow: that many bytes of the request, which are kept, then the connection ends; change: a function on the
    body; replace: another body; corrupt: another first byte. `headers` are laid over the answer's; a list gives
    several, None takes one away.
    """

    def __init__(self, status=0, body="", cut=None, stall=None, drip=False, huge=0, swallow=None, change=None,
                 replace=None, corrupt=False, headers=None, times=None):
        self.status, self.body = status, body if isinstance(body, bytes) else body.encode()
        self.cut, self.stall, self.drip, self.huge, self.swallow = cut, stall, drip, huge, swallow
        self.change, self.headers, self.times = change, headers or {}, times
        if replace is not None:
            self.change = lambda _: replace.encode()
        if corrupt:
            self.change = lambda body: bytes([body[0] ^ 1]) + body[1:]


class Break(Exception):
    """The connection ends here."""


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

    def add_image(self, tag: str, tars: list[bytes], run: dict | None = None, change=lambda manifest: None,
                  pack=compressed, layer_type: str = LAYER, **platform) -> str:
        """An image of these layers; `run` is the run configuration. The manifest's digest."""
        blobs = [pack(tar) for tar in tars]
        data = config(tars, **{"config": run or {}, **platform})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, "digest": self.add_blob(data), "size": len(data)},
                    "layers": [{"mediaType": layer_type, "digest": self.add_blob(blob), "size": len(blob)}
                               for blob in blobs]}
        change(manifest)
        return self.add_manifest(manifest, tag=tag)


class FakeRegistry:
    """Use as a context manager; `host` is ADDRESS:PORT. Everything may be looked at and changed while it serves.

    auth: "none", "basic" or "token" (a token service of its own at `realm`, default /token); public: tokens without a
    user may pull; chunk_min: OCI-Chunk-Min-Length; ranges: whether it knows them; relative: its Locations; page: how
    many tags at once; certificate, key, client_ca: files, for TLS; log_file: gets each request as a line of JSON.
    """

    def __init__(self, auth: str = "none", users: dict[str, str] | None = None, *, public: bool = False,
                 realm: str = "", token_seconds: float = 300, chunk_min: int = 0, ranges: bool = True,
                 relative: bool = True, page: int = 1000, certificate: str = "", key: str = "", client_ca: str = "",
                 address: str = "127.0.0.1", faults: dict[str, Fault] | None = None, log_file=None):
        self.auth, self.users, self.public = auth, users or {"user": "secret"}, public
        self.token_seconds, self.chunk_min, self.ranges = token_seconds, chunk_min, ranges
        self.relative, self.page, self.log_file = relative, page, log_file
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []  # "METHOD PATH?QUERY"
        self.authorizations: list[str] = []  # of all requests, "" where there was none
        self.received = 0  # bytes of request bodies
        self.faults = faults or {}  # by a regular expression on "METHOD PATH?QUERY"
        self.tokens: dict[str, dict] = {}
        self.uploads: dict[str, bytearray] = {}
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self._server = _Server((address, 0), _Handler)
        self._server.registry = self
        self.host = f"{address}:{self._server.server_port}"
        self.url = f"{'https' if certificate else 'http'}://{self.host}"
        self.realm = realm or self.url + "/token"
        if certificate:
            self._server.socket = _tls(certificate, key, client_ca).wrap_socket(
                # In the connection's thread: a client that stalls in it stalls nobody else.
                self._server.socket, server_side=True, do_handshake_on_connect=False)

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

    def note(self, request: str, headers) -> None:
        with self.lock:
            self.requests.append(request)
            self.authorizations.append(headers.get("Authorization", ""))
            if self.log_file:
                method, _, path = request.partition(" ")
                entry = {"method": method, "path": path,
                         "headers": {name.lower(): value for name, value in headers.items()}}
                print(json.dumps(entry), file=self.log_file, flush=True)

    def fault_for(self, request: str) -> Fault:
        with self.lock:
            for pattern, fault in self.faults.items():
                if fault.times != 0 and re.search(pattern, request):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return Fault()

    def is_user(self, proof: str) -> bool:
        kind, _, value = proof.partition(" ")
        return kind == "Basic" and any(value == base64.b64encode(f"{user}:{password}".encode()).decode()
                                       for user, password in self.users.items())

    def issue(self, scopes: list[str]) -> str:
        with self.lock:
            token = f"token-{len(self.tokens) + 1}"
            self.tokens[token] = {"scopes": scopes, "until": time.monotonic() + self.token_seconds}
            return token

    def expire_tokens(self) -> None:
        self.tokens.clear()


def _tls(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    registry: FakeRegistry

    def handle_error(self, request, client_address):
        # Clients that are killed or give up are what the tests are about.
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def setup(self):
        super().setup()
        self.registry = self.server.registry
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except Break:
            self.close_connection = True

    # --- one request

    def _serve(self):
        request = f"{self.command} {self.path}"
        self.registry.note(request, self.headers)
        self.fault = self.registry.fault_for(request)
        url = urllib.parse.urlsplit(self.path)
        self.where, self.query = url.path, urllib.parse.parse_qs(url.query)
        if self.fault.swallow is not None:
            # A registry that writes while it reads.
            self.registry.uploads.get(self.where.rpartition("/")[2], bytearray()).extend(
                self.rfile.read(self.fault.swallow))
            raise Break
        self.body = self._read_body()
        with self.registry.lock:
            self.registry.received += len(self.body)
        if self.fault.status:
            return self._answer(self.fault.status, self.fault.body)
        if self.fault.huge:
            return self._answer_huge(self.fault.huge)
        if self.where == "/token":
            return self._token()
        scope = self._scope()
        if not self._allowed(scope):
            return self._challenge(scope)
        if self.where in ("/v2", "/v2/"):
            return self._answer(200, b"{}")
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags)/(.+)", self.where)
        if not found:
            return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
        name, kind, rest = found.groups()
        return getattr(self, "_" + kind)(name, rest)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    # --- who asks

    def _scope(self) -> str:
        found = re.match(r"/v2/(.+?)/(?:manifests|blobs|tags)/", self.where)
        if not found:
            return ""
        return f"repository:{found[1]}:" + ("pull" if self.command in ("GET", "HEAD") else "pull,push")

    def _allowed(self, scope: str) -> bool:
        registry, given = self.registry, self.headers.get("Authorization", "")
        if registry.auth == "none":
            return True
        if registry.auth == "basic":
            return registry.is_user(given)
        kind, _, token = given.partition(" ")
        granted = registry.tokens.get(token) if kind == "Bearer" else None
        if granted is None or granted["until"] < time.monotonic():
            return False
        if not scope:
            return True
        _, name, actions = scope.split(":")
        have = {action for one in granted["scopes"] if one.split(":")[1] == name
                for action in one.split(":")[2].split(",")}
        return set(actions.split(",")) <= have

    def _challenge(self, scope: str):
        value = 'Basic realm="fake registry"'
        if self.registry.auth == "token":
            value = f'Bearer realm="{self.registry.realm}",service="fake"'
            value += f',scope="{scope}"' if scope else ""
            if "Authorization" in self.headers:
                value += ',error="insufficient_scope"'
        self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": value})

    def _token(self):
        if self.command == "POST":
            form = urllib.parse.parse_qs(self.body.decode())
            user = form.get("refresh_token") == [IDENTITY] and form.get("grant_type") == ["refresh_token"]
            scopes = form.get("scope", [""])[0].split()
        else:
            user = self.registry.is_user(self.headers.get("Authorization", ""))
            scopes = self.query.get("scope", [])
        if not user and (self.command == "POST" or "Authorization" in self.headers):
            return self._error(401, "UNAUTHORIZED", "incorrect username or password")
        if not user:
            # Anonymous: may read what is public.
            scopes = [re.sub(":[^:]*$", ":pull", scope) for scope in scopes if self.registry.public]
        answer = {"token": self.registry.issue(scopes), "expires_in": 300}
        if user and self.query.get("offline_token") == ["true"]:
            answer["refresh_token"] = IDENTITY
        return self._answer(200, json.dumps(answer).encode())

    # --- the parts of the API

    def _tags(self, name: str, _):
        repository = self.registry.repositories.get(name)
        if not repository:
            return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
        after = self.query.get("last", [""])[0]
        count = min(int(self.query.get("n", ["1000"])[0]), self.registry.page)
        rest = [tag for tag in sorted(repository.tags) if tag > after]
        headers = {"Content-Type": "application/json"}
        if len(rest) > count:
            headers["Link"] = f'</v2/{name}/tags/list?n={count}&last={rest[count - 1]}>; rel="next"'
        return self._answer(200, json.dumps({"name": name, "tags": rest[:count]}).encode(), headers)

    def _manifests(self, name: str, reference: str):
        if self.command == "PUT":
            return self._put_manifest(name, reference)
        repository = self.registry.repositories.get(name, Repository())
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, data = repository.manifests[digest]
        return self._answer(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _put_manifest(self, name: str, reference: str):
        repository = self.registry.repository(name)
        digest = digest_of(self.body)
        if ":" in reference and reference != digest:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        document = json.loads(self.body)
        for part in [document["config"], *document["layers"]] if "config" in document else []:
            if part["digest"] not in repository.blobs:
                return self._error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry: " + part["digest"])
        repository.add_manifest(self.body, self.headers.get("Content-Type"), "" if ":" in reference else reference)
        return self._answer(201, b"", {"Docker-Content-Digest": digest, "Location": f"/v2/{name}/manifests/{digest}"})

    def _blobs(self, name: str, rest: str):
        if rest.startswith("uploads/"):
            return self._upload(name, rest.removeprefix("uploads/"))
        data = self.registry.repositories.get(name, Repository()).blobs.get(rest)
        if data is None:
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        etag = f'"{rest}"'
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": rest, "ETag": etag}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted or not self.registry.ranges or self.headers.get("If-Range", etag) != etag:
            return self._answer(200, data, headers)
        begin = int(wanted[1])
        headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        return self._answer(206, data[begin:], headers)

    def _upload(self, name: str, session: str):
        if not session:
            return self._begin_upload(name)
        if session not in self.registry.uploads:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        upload = self.registry.uploads[session]
        place = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
        if place and int(place[1]) != len(upload):
            return self._error(416, "BLOB_UPLOAD_INVALID", "not where the upload is", self._place(name, session))
        upload += self.body
        if self.command in ("GET", "PATCH"):
            return self._answer(204 if self.command == "GET" else 202, b"", self._place(name, session))
        wanted, data = self.query.get("digest", [""])[0], bytes(upload)
        if digest_of(data) != wanted:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.registry.uploads[session]
        return self._answer_created(name, self.registry.repository(name).add_blob(data))

    def _begin_upload(self, name: str):
        mount, source = self.query.get("mount", [""])[0], self.query.get("from", [""])[0]
        other = self.registry.repositories.get(source, Repository())
        if mount in other.blobs and self._allowed(f"repository:{source}:pull"):
            return self._answer_created(name, self.registry.repository(name).add_blob(other.blobs[mount]))
        with self.registry.lock:
            session = f"session-{len(self.registry.requests)}"
            self.registry.uploads[session] = bytearray()
        headers = self._place(name, session)
        if self.registry.chunk_min:
            headers["OCI-Chunk-Min-Length"] = str(self.registry.chunk_min)
        return self._answer(202, b"", headers)

    def _place(self, name: str, session: str) -> dict[str, str]:
        path = f"/v2/{name}/blobs/uploads/{session}?_state=a%2Bb"
        return {"Location": path if self.registry.relative else self.registry.url + path,
                "Range": f"0-{max(len(self.registry.uploads[session]) - 1, 0)}"}

    # --- answers

    def _answer_created(self, name: str, digest: str):
        self._answer(201, b"", {"Docker-Content-Digest": digest, "Location": f"/v2/{name}/blobs/{digest}"})

    def _error(self, status: int, code: str, message: str, headers=None):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, status: int, body: bytes, headers=None):
        fault = self.fault
        if fault.stall == -1:
            self.registry.ended.wait()
            raise Break
        if fault.change:
            body = fault.change(body)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {}), **fault.headers}.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    self.send_header(key, one)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.drip:
            return self._drip(body)
        end = fault.cut if fault.cut is not None else fault.stall
        self.wfile.write(body[:end])
        if fault.stall is not None:
            self.registry.ended.wait()
        if end is not None:
            raise Break

    def _drip(self, body: bytes):
        for byte in body:
            self.wfile.write(bytes([byte]))
            if self.registry.ended.wait(1):
                raise Break

    def _answer_huge(self, size: int):
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(1 << 20)
        while size > 0:
            self.wfile.write(block[:size])
            size -= len(block)


def pattern(size: int, seed: int) -> bytes:
    """`size` bytes that tests in other languages can make too: little-endian words seed, seed + 1, ..."""
    return b"".join((seed + i & 0xffffffff).to_bytes(4, "little") for i in range((size + 3) // 4))[:size]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--options", default="{}", help="JSON: keyword arguments of FakeRegistry, of `faults` those "
                                                        "of Fault by pattern")
    parser.add_argument("--blob", action="append", default=[], help="REPOSITORY=TEXT or REPOSITORY=SIZE@SEED")
    parser.add_argument("--manifest", action="append", default=[], help="REPOSITORY:TAG=TEXT")
    parser.add_argument("--log", required=True, help="gets each request as a line of JSON")
    arguments = parser.parse_args()
    options = json.loads(arguments.options)
    options["faults"] = {match: Fault(**fault) for match, fault in options.get("faults", {}).items()}
    with open(arguments.log, "w") as log, FakeRegistry(**options, log_file=log) as registry:
        for text in arguments.blob:
            repository, _, content = text.partition("=")
            sized = re.fullmatch(r"(\d+)@(\d+)", content)
            registry.repository(repository).add_blob(
                pattern(int(sized[1]), int(sized[2])) if sized else content.encode())
        for text in arguments.manifest:
            name, _, content = text.partition("=")
            repository, _, tag = name.rpartition(":")
            registry.repository(repository).add_manifest(content.encode(), tag=tag)
        sys.stdout.write(f"{registry.host.rpartition(':')[2]}\n")  # one write, also where Python does not buffer
        sys.stdout.flush()
        for command in sys.stdin:
            if command == "expire\n":
                registry.expire_tokens()
                print("expired", flush=True)


if __name__ == "__main__":
    main()
