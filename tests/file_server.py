"""A server on this machine that has published files, and the faults of real ones."""

import contextlib
import dataclasses
import http.server
import threading
import time
from collections.abc import Iterator

PIECE = 1 << 12


@dataclasses.dataclass
class Served:
    """A file on the server.

    Attributes:
      content: its bytes.
      breaks: after how many bytes of the answer each of the first requests breaks off.
      ranges: whether the header Range is understood.
      pause: seconds between two pieces.
      statuses: of the first requests, instead of the file.
      headers: added to those of every answer, or in their place.
      stays_silent: seconds before the answer.
      told: what each request had in its header Range.
    """

    content: bytes
    breaks: list[int] = dataclasses.field(default_factory=list)
    ranges: bool = True
    pause: float = 0.0
    statuses: list[int] = dataclasses.field(default_factory=list)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    stays_silent: float = 0.0
    told: list[str | None] = dataclasses.field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        # To a proxy, the path is the whole URL.
        path = "/" + self.path.split("://")[-1].partition("/")[2]
        served = self.server.files.get(path if "://" in self.path else self.path)
        self.close_connection = True
        if served is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        with self.server.lock:
            served.told.append(asked)
            status = served.statuses.pop(0) if served.statuses else 0
        time.sleep(served.stays_silent)
        if status:
            self.send_response(status)
            self._end({"Content-Length": "0"} | served.headers)
            return
        with contextlib.suppress(ConnectionError):
            self._answer(served, asked)

    def _answer(self, served, asked):
        first = 0
        condition = self.headers.get("If-Range")
        is_same = condition in (None, served.headers.get("ETag"))
        if served.ranges and asked and is_same:
            first = int(asked.removeprefix("bytes=").rstrip("-"))
        size = len(served.content)
        if first and first >= size:
            self.send_response(416)
            self._end({"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        self.send_response(206 if first else 200)
        headers = {"Content-Length": str(size - first)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
        self._end(headers | served.headers)
        with self.server.lock:
            end = first + served.breaks.pop(0) if served.breaks else size
        for i in range(first, min(end, size), PIECE):
            self.wfile.write(served.content[i : min(i + PIECE, end)])
            time.sleep(served.pause)

    def _end(self, headers):
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def do_HEAD(self):
        served = self.server.files.get(self.path)
        self.close_connection = True
        self.send_response(200 if served else 404)
        length = len(served.content) if served else 0
        self._end({"Content-Length": str(length)} | (served.headers if served else {}))

    def log_message(self, *arguments):
        pass


class FileServer(http.server.ThreadingHTTPServer):
    """Has `files`: path of a URL -> what is served there."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def file_server() -> Iterator[FileServer]:
    """A server that runs during the block."""
    server = FileServer()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
