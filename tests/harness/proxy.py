"""An HTTP proxy as companies have them: absolute URLs and CONNECT, each noted in `requests`."""
import http.client
import http.server
import select
import socket
import threading
import urllib.parse


class Proxy:
    """Use as a context manager; `names` maps "host:port" to where it really is."""

    def __init__(self, names: dict[str, tuple[str, int]] | None = None):
        self.names, self.requests = names or {}, []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def place(self, host_and_port: str) -> tuple[str, int]:
        host, _, port = host_and_port.rpartition(":")
        return self.names.get(host_and_port, (host, int(port)))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        proxy = self.server.proxy
        proxy.requests.append(f"CONNECT {self.path}")
        self.close_connection = True
        with socket.create_connection(proxy.place(self.path), 20) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[end].sendall(data)

    def _forward(self):
        proxy = self.server.proxy
        proxy.requests.append(f"{self.command} {self.path}")
        url = urllib.parse.urlsplit(self.path)
        there = http.client.HTTPConnection(*proxy.place(url.netloc), timeout=20)
        there.request(self.command, url._replace(scheme="", netloc="").geturl(), headers=dict(self.headers),
                      body=self.rfile.read(int(self.headers.get("Content-Length", 0))))
        answer = there.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _forward
