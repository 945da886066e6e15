#!/usr/bin/env python3
"""A registry that does as it is told: an honest one in memory, with rules that make it lie, stall and break.

As a program it prints "PORT" and serves until its stdin ends; as a library:

    with FakeRegistry(auth="token", rules=[{"match": "GET .*/blobs/", "do": "cut", "after": 1000, "times": 1}]) as fake:
        fake.put_blob(b"...")          # the digest
        ... fake.url, fake.log ...

A rule holds for requests whose "METHOD path?query" its regular expression `match` finds, for the first `times` of
them (0: all). What it may `do`:
    status       answer `code` with `headers` and `body`
    cut          the honest answer, but the connection ends after `after` bytes of the body
    stall        as cut, but the connection stays open and silent
    drip         the honest answer, one byte a second
    corrupt      one byte of the body is another; the length stays
    replace      the honest headers with another `body`
    swallow      read `after` bytes of the request's body, then close
    huge         200 with `size` zero bytes
    header       the honest answer with `headers` on top (null removes one)
"""
import argparse
import base64
import hashlib
import http.server
import json
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse

USER, PASSWORD, IDENTITY = "user", "secret", "identity-token-of-user"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Break(Exception):
    """The connection ends here."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (Break, ConnectionError, ssl.SSLError):
            self.close_connection = True

    # --- one request

    def _serve(self):
        self.fake: FakeRegistry = self.server.fake
        self._sent = False
        parts = urllib.parse.urlsplit(self.path)
        self.where, self.query = parts.path, urllib.parse.parse_qs(parts.query)
        with self.fake.lock:
            rule = next((r for r in self.fake.rules if r.applies(f"{self.command} {self.path}")), None)
            entry = {"method": self.command, "path": self.path,
                     "headers": {key.lower(): value for key, value in self.headers.items()}}
            self.fake.log.append(entry)
            if self.fake.log_file:
                print(json.dumps(entry), file=self.fake.log_file, flush=True)
        self.rule = rule.what if rule else {}
        if self.rule.get("do") == "swallow":
            self._read(min(self.rule["after"], int(self.headers.get("Content-Length", 0))))
            # What came keeps its place in the session, as a registry that writes while it reads has it.
            self._keep_partial()
            raise Break
        self.body = self._read_body()
        if self.rule.get("do") == "status":
            return self._send(self.rule["code"], self.rule.get("headers", {}),
                              self.rule.get("body", "").encode(), plain=True)
        if self.rule.get("do") == "huge":
            return self._send_huge(self.rule["size"])
        if self.where == "/token":
            return self._token()
        if not self.where.startswith("/v2/"):
            return self._error(404, "NOT_FOUND", "no such page")
        scope = self._scope()
        if not self._authorized(scope):
            return self._challenge(scope)
        return self._route()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    def _read(self, size: int) -> bytes:
        self.partial = self.rfile.read(size) if size else b""
        return self.partial

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self._read(int(self.headers.get("Content-Length", 0)))

    # --- answers

    def _send(self, code: int, headers: dict, body: bytes = b"", plain: bool = False):
        do = "" if plain else self.rule.get("do", "")
        headers = {"Content-Length": str(len(body)), **headers}
        if do == "header":
            headers.update(self.rule["headers"])
        if do == "replace":
            body = self.rule["body"].encode()
            headers["Content-Length"] = str(len(body))
        if do == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(code)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    self.send_header(name, one)
        self.end_headers()
        if self.command == "HEAD":
            return
        if do in ("cut", "stall") and len(body) > self.rule["after"]:
            self.wfile.write(body[:self.rule["after"]])
            if do == "stall":
                self.fake.stopping.wait(60)
            raise Break
        if do == "drip":
            for byte in body:
                self.wfile.write(bytes([byte]))
                if self.fake.stopping.wait(1):
                    raise Break
            return
        self.wfile.write(body)

    def _send_huge(self, size: int):
        self.send_response(200)
        self.send_header("Content-Type", self.rule.get("type", "application/vnd.oci.image.manifest.v1+json"))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(1 << 20)
        while size > 0:
            self.wfile.write(block[:size])
            size -= len(block)

    def _error(self, status: int, code: str, message: str, headers: dict | None = None):
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
        self._send(status, {"Content-Type": "application/json", **(headers or {})}, body)

    # --- who asks

    def _scope(self) -> str:
        found = re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", self.where)
        if not found:
            return ""
        return f"repository:{found[1]}:" + ("pull" if self.command in ("GET", "HEAD") else "pull,push")

    def _authorized(self, scope: str) -> bool:
        kind, _, proof = self.headers.get("Authorization", "").partition(" ")
        if self.fake.auth == "none":
            return True
        if self.fake.auth == "basic":
            return kind == "Basic" and proof == base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        granted = self.fake.tokens.get(proof) if kind == "Bearer" else None
        if granted is None or granted["until"] < time.monotonic():
            return False
        if not scope:
            return True
        _, name, actions = scope.split(":")
        have = {a for s in granted["scopes"] if s.split(":")[1] == name for a in s.split(":")[2].split(",")}
        return set(actions.split(",")) <= have

    def _challenge(self, scope: str):
        if self.fake.auth == "basic":
            value = 'Basic realm="fake registry"'
        else:
            value = f'Bearer realm="{self.fake.realm or self.fake.url + "/token"}",service="fake"'
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
            proof = self.headers.get("Authorization", "")
            user = proof == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            scopes = self.query.get("scope", [])
            if proof and not user:
                return self._error(401, "UNAUTHORIZED", "incorrect username or password")
        if self.command == "POST" and not user:
            return self._error(401, "UNAUTHORIZED", "the refresh token is not known")
        if not user:
            # Anonymous: may read what is public.
            scopes = [re.sub(r":[^:]*$", ":pull", s) for s in scopes if self.fake.public]
        with self.fake.lock:
            name = f"token-{len(self.fake.tokens) + 1}"
            self.fake.tokens[name] = {"scopes": scopes, "until": time.monotonic() + self.fake.token_seconds}
        answer = {"token": name, "expires_in": 300}
        if user and self.query.get("offline_token") == ["true"]:
            answer["refresh_token"] = IDENTITY
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    # --- the distribution spec

    def _route(self):
        if self.where == "/v2/":
            return self._send(200, {"Content-Type": "application/json"}, b"{}")
        if found := re.fullmatch(r"/v2/(.+)/tags/list", self.where):
            return self._tags(found[1])
        if found := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", self.where):
            return self._manifest(*found.groups())
        if found := re.fullmatch(r"/v2/(.+)/blobs/uploads/", self.where):
            return self._start_upload(found[1])
        if found := re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]+)", self.where):
            return self._upload(*found.groups())
        if found := re.fullmatch(r"/v2/(.+)/blobs/([^/]+)", self.where):
            return self._blob(*found.groups())
        return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")

    def _tags(self, repository: str):
        tags = sorted(t for r, t in self.fake.manifests if r == repository and ":" not in t)
        if not tags:
            return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
        after, count = self.query.get("last", [""])[0], int(self.query.get("n", ["1000"])[0])
        count = min(count, self.fake.page)
        rest = [t for t in tags if t > after]
        headers = {"Content-Type": "application/json"}
        if len(rest) > count:
            headers["Link"] = f'</v2/{repository}/tags/list?n={count}&last={rest[count - 1]}>; rel="next"'
        return self._send(200, headers, json.dumps({"name": repository, "tags": rest[:count]}).encode())

    def _manifest(self, repository: str, reference: str):
        if self.command == "PUT":
            digest = digest_of(self.body)
            if ":" in reference and reference != digest:
                return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            kind = self.headers.get("Content-Type", "")
            for wanted in self._blobs_of(self.body):
                if (repository, wanted) not in self.fake.blobs:
                    return self._error(404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {wanted}")
            self.fake.manifests[repository, digest] = self.fake.manifests[repository, reference] = (kind, self.body)
            return self._send(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/manifests/{digest}"})
        if (repository, reference) not in self.fake.manifests:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, data = self.fake.manifests[repository, reference]
        return self._send(200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(data)}, data)

    @staticmethod
    def _blobs_of(manifest: bytes) -> list[str]:
        try:
            document = json.loads(manifest)
            return [d["digest"] for d in [document["config"], *document["layers"]]]
        except (ValueError, KeyError, TypeError):
            return []

    def _blob(self, repository: str, digest: str):
        data = self.fake.blobs.get((repository, digest))
        if data is None:
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        etag = f'"{digest}"'
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "ETag": etag}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.fake.ranges and self.headers.get("If-Range", etag) == etag:
            begin = int(wanted[1])
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            return self._send(206, headers, data[begin:])
        return self._send(200, headers, data)

    def _location(self, repository: str, session: str) -> str:
        path = f"/v2/{repository}/blobs/uploads/{session}?_state=a%2Bb"
        return path if self.fake.relative else self.fake.url + path

    def _start_upload(self, repository: str):
        mount, source = self.query.get("mount"), self.query.get("from")
        if mount and source and (source[0], mount[0]) in self.fake.blobs and self._authorized(
                f"repository:{source[0]}:pull"):
            self.fake.blobs[repository, mount[0]] = self.fake.blobs[source[0], mount[0]]
            return self._send(201, {"Docker-Content-Digest": mount[0], "Location": f"/v2/{repository}/blobs/{mount[0]}"})
        with self.fake.lock:
            session = f"session-{len(self.fake.sessions) + 1}"
            self.fake.sessions[session] = b""
        headers = {"Location": self._location(repository, session), "Range": "0-0"}
        if self.fake.chunk_min:
            headers["OCI-Chunk-Min-Length"] = str(self.fake.chunk_min)
        return self._send(202, headers)

    def _keep_partial(self):
        session = self.where.rpartition("/")[2]
        if session in self.fake.sessions:
            self.fake.sessions[session] += self.partial

    def _upload(self, repository: str, session: str):
        if session not in self.fake.sessions:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        have = self.fake.sessions[session]
        span = {"Location": self._location(repository, session), "Range": f"0-{max(len(have) - 1, 0)}"}
        if self.command == "GET":
            return self._send(204, span)
        place = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
        if place and int(place[1]) != len(have):
            return self._error(416, "BLOB_UPLOAD_INVALID", "not where the upload is", span)
        have = self.fake.sessions[session] = have + self.body
        if self.command == "PATCH":
            span["Range"] = f"0-{max(len(have) - 1, 0)}"
            return self._send(202, span)
        wanted = self.query.get("digest", [""])[0]
        if digest_of(have) != wanted:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.fake.sessions[session]
        self.fake.blobs[repository, wanted] = have
        return self._send(201, {"Docker-Content-Digest": wanted, "Location": f"/v2/{repository}/blobs/{wanted}"})


class Rule:
    def __init__(self, what: dict):
        self.what = what
        self._pattern = re.compile(what["match"])
        self._left = what.get("times", 0) or None

    def applies(self, request: str) -> bool:
        if self._left == 0 or not self._pattern.search(request):
            return False
        if self._left is not None:
            self._left -= 1
        return True


class FakeRegistry:
    """`auth`: none, basic, token. All state is in memory and may be looked at and set by the test."""

    def __init__(self, auth: str = "none", rules: list[dict] | None = None, *, public: bool = False, realm: str = "",
                 chunk_min: int = 0, ranges: bool = True, relative: bool = True, page: int = 1000,
                 token_seconds: float = 300, certificate: str = "", key: str = "", client_ca: str = "",
                 host: str = "127.0.0.1", port: int = 0, log_file=None):
        self.auth, self.public, self.realm, self.chunk_min, self.ranges = auth, public, realm, chunk_min, ranges
        self.relative, self.page, self.token_seconds, self.log_file = relative, page, token_seconds, log_file
        self.rules = [Rule(what) for what in rules or []]
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.sessions: dict[str, bytes] = {}
        self.tokens: dict[str, dict] = {}
        self.log: list[dict] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = http.server.ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._server.fake = self
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if client_ca:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            # The handshake in the connection's thread: a client that stalls in it stalls nobody else.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
            scheme = "https"
        self.port = self._server.server_address[1]
        self.address = f"{host}:{self.port}"
        self.url = f"{scheme}://{self.address}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put_blob(self, data: bytes, repository: str = "team/app") -> str:
        self.blobs[repository, digest_of(data)] = data
        return digest_of(data)

    def put_manifest(self, data: bytes, tag: str, repository: str = "team/app",
                     media_type: str = "application/vnd.oci.image.manifest.v1+json") -> str:
        self.manifests[repository, tag] = self.manifests[repository, digest_of(data)] = (media_type, data)
        return digest_of(data)

    def requests(self, pattern: str = "") -> list[dict]:
        """The log's entries whose "METHOD path" matches."""
        with self.lock:
            return [e for e in self.log if re.search(pattern, f"{e['method']} {e['path']}")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--options", default="{}", help="JSON: the keyword arguments of FakeRegistry")
    parser.add_argument("--blob", action="append", default=[], help="REPOSITORY=TEXT or REPOSITORY=SIZE@SEED")
    parser.add_argument("--manifest", action="append", default=[], help="REPOSITORY:TAG=TEXT")
    parser.add_argument("--log", default="")
    arguments = parser.parse_args()
    log_file = open(arguments.log, "w") if arguments.log else None
    with FakeRegistry(**json.loads(arguments.options), log_file=log_file) as fake:
        for text in arguments.blob:
            repository, _, content = text.partition("=")
            sized = re.fullmatch(r"(\d+)@(\d+)", content)
            fake.put_blob(pattern(int(sized[1]), int(sized[2])) if sized else content.encode(), repository)
        for text in arguments.manifest:
            name, _, content = text.partition("=")
            repository, _, tag = name.rpartition(":")
            fake.put_manifest(content.encode(), tag, repository)
        sys.stdout.write(f"{fake.port}\n")  # one write, also where Python does not buffer
        sys.stdout.flush()
        sys.stdin.read()


def pattern(size: int, seed: int) -> bytes:
    """`size` bytes that tests in other languages can make too: little-endian words seed, seed + 1, ..."""
    return b"".join((seed + i & 0xffffffff).to_bytes(4, "little") for i in range((size + 3) // 4))[:size]


if __name__ == "__main__":
    main()
