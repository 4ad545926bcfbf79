"""What the daemon answers over HTTP on its port: health, readiness, metrics, status. For this host alone.

Only `GET`; whoever asks for anything else gets a sentence. The bridge hands requests over (`answer`) before it takes one
for a terminal's. No page holds a token or its digest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: HTTPStatus
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages, each made when it is asked for."""

    status: Callable[[], dict[str, Any]]
    complaints: Callable[[], list[str]]
    missing: Callable[[], dict[str, list[str]]]
    """What keeps each account from being traded; an empty list for one that is ready."""
    metrics: Callable[[], bytes]
    hosts: Collection[str] = ()
    """Names beside this host's own under which the pages may be asked for."""

    def answer(self, method: str, path: str, remote: str, *, is_upgrade: bool, host: str = "localhost") -> Page | None:
        """Return the answer to a request; None for a terminal's, which wants a websocket. `host`: as the request names it."""
        path = path.partition("?")[0]
        make = {"/health": self._health, "/ready": self._ready, "/metrics": self._metrics, "/status": self._status}
        if path not in make:
            return None if is_upgrade else _sentence(HTTPStatus.NOT_FOUND, _NOTHING)
        if method != "GET":
            return _sentence(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered here.")
        if not _is_local(remote):
            return _sentence(HTTPStatus.FORBIDDEN, "This page is for the daemon's own host; ask there.")
        if not self._is_ours(host):
            # A name that somebody else's server gives out for this address: a page of theirs would read ours.
            return _sentence(HTTPStatus.MISDIRECTED_REQUEST, _NOT_OURS)
        return make[path]()

    def _is_ours(self, host: str) -> bool:
        """Whether a request's Host names this host, with or without its port."""
        name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name.lower() in _OWN_NAMES or _is_local(name) or name in self.hosts

    def _health(self) -> Page:
        reasons = self.complaints()
        return _object({"is_healthy": not reasons, "reasons": reasons}, is_good=not reasons)

    def _ready(self) -> Page:
        missing = {account: lacks for account, lacks in self.missing().items() if lacks}
        return _object({"is_ready": not missing, "missing": missing}, is_good=not missing)

    def _metrics(self) -> Page:
        return Page(HTTPStatus.OK, CONTENT_TYPE, self.metrics())

    def _status(self) -> Page:
        return _object(self.status(), is_good=True)


_NOTHING = "There is nothing here; the pages are /health, /ready, /metrics and /status, anything else is a terminal's websocket."


_NOT_OURS = (
    "These pages are asked for as localhost or 127.0.0.1; another name goes into `allowed_hosts` of settings.toml."
)
_OWN_NAMES = frozenset({"localhost"})
_PAGES = frozenset({"/health", "/ready", "/metrics", "/status"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def described(method: str, path: str) -> str:
    """Name a request for a record: nothing a client may have put into it, a token for one, is written down."""
    name = path.partition("?")[0]
    shown = name if name in _PAGES else f"a page there is not ({len(path)} characters)"
    return f"{method if method in _METHODS else 'another method'} {shown}"


def _object(content: dict[str, Any], *, is_good: bool) -> Page:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(status, JSON, msgspec.json.encode(content, enc_hook=str))


def _sentence(status: HTTPStatus, text: str) -> Page:
    return Page(status, TEXT, f"{text}\n".encode())


def _is_local(remote: str) -> bool:
    """Whether an address is this host's own; IPv4 also where a socket of IPv6 tells it."""
    try:
        address = ip_address(remote.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
