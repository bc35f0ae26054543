"""A server on this machine that gives one file, and fails in the ways that servers and connections do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served and how; ``asked``: the Range of every request so far.

    ``ranges``: whether it goes on where asked to. ``cut``: after how many bytes each next answer ends early, 0 for
    none. ``status``: what each next answer says instead.
    """

    content: bytes
    ranges: bool = True
    length: bool = True
    off_by: int = 0
    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Until left; ``served`` may be changed in between."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            if served.status:
                self.send_response(served.status.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and served.ranges else 0
            if start and start >= len(served.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                start += served.off_by
                size = len(served.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            body = served.content[start:]
            if served.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut = served.cut.pop(0) if served.cut else 0
            self.wfile.write(body[:cut] if cut else body)  # the connection is closed behind it

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        served.url = f"http://127.0.0.1:{server.server_port}/some/weights.pth"
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
