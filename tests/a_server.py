"""A server on this machine that gives one file, and fails in the ways that servers and connections do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served and how; ``asked``: the path of every request so far.

    ``length``: whether it is announced. ``cut``: after how many bytes each next answer ends early, 0 for none.
    ``status``: what each next answer says instead.
    """

    content: bytes
    length: bool = True
    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Until left; ``served`` may be changed in between."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            if served.status:
                self.send_response(served.status.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            if served.length:
                self.send_header("Content-Length", str(len(served.content)))
            self.end_headers()
            cut = served.cut.pop(0) if served.cut else 0
            self.wfile.write(served.content[:cut] if cut else served.content)  # the connection is closed behind it

        def log_message(self, *_: object) -> None:
            """Print no log."""

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
