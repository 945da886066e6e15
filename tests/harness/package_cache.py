"""A caching HTTP proxy for packages, so that tests and benchmarks fetch each one once.

It listens in a sandbox's outside namespace and asks the world from the machine's own. Packages stay in
build/cache/packages from run to run: their names change with their content. Everything else (indexes, release
files) is kept for the proxy's life only, so that one run sees one state of the mirror.
"""
import ctypes
import hashlib
import http.client
import http.server
import os
import pathlib
import shutil
import signal
import threading
import urllib.parse

_CLONE_NEWNET = 0x40000000
_PASSED_ON = ("Content-Type", "Last-Modified", "ETag")
_libc = ctypes.CDLL(None, use_errno=True)


def _enter_network(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class _Cache:
    """URL to (status, headers, file). One fetch at a time for each URL."""

    def __init__(self, lasting: pathlib.Path, passing: pathlib.Path):
        self._lasting, self._passing = lasting, passing
        self._known: dict[str, tuple[int, dict, pathlib.Path]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, url: str) -> tuple[int, dict, pathlib.Path]:
        with self._guard:
            lock = self._locks.setdefault(url, threading.Lock())
        with lock:
            if url not in self._known:
                name = hashlib.sha256(url.encode()).hexdigest()
                kept = self._lasting / name
                if url.endswith(".deb") and kept.exists():
                    self._known[url] = (200, {}, kept)
                else:
                    self._known[url] = self._fetch(url, name)
            return self._known[url]

    def _fetch(self, url: str, name: str) -> tuple[int, dict, pathlib.Path]:
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=60)
        try:
            path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request("GET", path, headers={"Host": parts.netloc, "User-Agent": "package-cache"})
            answer = connection.getresponse()
            partial = self._passing / f"{name}.{threading.get_ident()}"
            with open(partial, "wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
            length = answer.getheader("Content-Length")
            if length is not None and int(length) != partial.stat().st_size:
                raise OSError(f"'{url}' was cut off")
            lasts = answer.status == 200 and url.endswith(".deb")
            target = (self._lasting if lasts else self._passing) / name
            partial.rename(target)
            headers = {key: answer.getheader(key) for key in _PASSED_ON if answer.getheader(key)}
            return answer.status, headers, target
        finally:
            connection.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cache: _Cache

    def do_GET(self):
        if not self.path.startswith("http://"):
            return self.send_error(400, "only absolute http URLs")
        try:
            status, headers, path = self.cache.get(self.path)
        except (OSError, http.client.HTTPException) as error:
            return self.send_error(502, str(error))
        since = self.headers.get("If-Modified-Since")
        if status == 200 and since and since == headers.get("Last-Modified"):
            status = 304
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(0 if status == 304 else path.stat().st_size))
        self.end_headers()
        if status != 304 and self.command == "GET":
            with open(path, "rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

    do_HEAD = do_GET

    def log_message(self, *words):
        pass


def start(address: str, outside: int, world: int, lasting: pathlib.Path, passing: pathlib.Path) -> str:
    """Forks the proxy, listening on `address` in the namespace `outside`: its URL.

    `world`: the namespace it fetches from; `passing`: a folder that the caller removes, on the same file system
    as `lasting`. It ends with its parent.
    """
    for folder in (lasting, passing):
        folder.mkdir(parents=True, exist_ok=True)
    listening, ready = os.pipe()
    if os.fork() == 0:
        try:
            _libc.prctl(1, signal.SIGKILL, 0, 0, 0)
            os.close(listening)
            _enter_network(outside)
            server = http.server.ThreadingHTTPServer((address, 0), _Handler)
            _enter_network(world)
            _Handler.cache = _Cache(lasting, passing)
            os.write(ready, str(server.server_address[1]).encode())
            os.close(ready)
            server.serve_forever()
        finally:
            os._exit(1)
    os.close(ready)
    port = os.read(listening, 16).decode()
    os.close(listening)
    if not port:
        raise OSError("the package cache did not start")
    return f"http://{address}:{port}"
