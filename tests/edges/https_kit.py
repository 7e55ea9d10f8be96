"""A web server with a certificate of its own authority, whose line breaks off where it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.mosquitto import Authority


class Shelf(BaseHTTPRequestHandler):
    """Hands out blobs by their digest, from a byte on, and hangs up in the middle as often as it is told."""

    blobs: dict[str, bytes]
    cuts: list[int]
    ranges: bool

    def do_GET(self) -> None:
        """One blob."""
        content = self.blobs.get(self.path.rpartition("/")[2])
        if content is None:
            self.send_error(404)
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")) if self.ranges else 0
        self.send_response(206 if self.ranges else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = self.cuts.pop() if self.cuts else len(content)
        self.wfile.write(content[start : start + limit])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the class that this extends
        """Nothing."""


@contextmanager
def shelf(folder: Path, blobs: dict[str, bytes], cuts: list[int], *, ranges: bool = True) -> Iterator[tuple[str, Path]]:
    """The server: its address, and the PEM file of its authority."""
    authority = Authority(folder / "https")
    papers = authority.issue("localhost", hosts=("127.0.0.1",))
    kind = type("Filled", (Shelf,), {"blobs": blobs, "cuts": cuts, "ranges": ranges})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.cert, papers.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}/shelf", papers.ca
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
