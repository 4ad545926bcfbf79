"""The dbt docs over HTTP, for this host alone: the page and the two files it reads, and nothing else of dbt's folder."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

FILES = {
    "index.html": "text/html; charset=utf-8",
    "manifest.json": "application/json",
    "catalog.json": "application/json",
}
HOSTS = ("127.0.0.1", "localhost")


@contextmanager
def docs_server(folder: Path, port: int) -> Iterator[int]:
    """Serve the docs from this process while the block runs; yields the port."""

    class Handler(_DocsHandler):
        directory = folder

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _DocsHandler(http.server.BaseHTTPRequestHandler):
    directory: Path

    def do_GET(self) -> None:
        """Send one of the files to who asked this host by its own name: another site's page must not read them."""
        if self.headers.get("Host", "").partition(":")[0] not in HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN, "for this host alone")
            return
        name = self.path.partition("?")[0].lstrip("/") or "index.html"
        try:
            content = (self.directory / name).read_bytes() if name in FILES else None
        except OSError:
            content = None
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", FILES[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each page."""
