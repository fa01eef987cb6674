"""What every request passes: names, token, sizes, time, the number at work, and the headers of the answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop.measures import Measures
from shop.settings import ShopConfig

MOST_HEAD = 16 * 1024
"""Bytes of a request's address and headers."""
OPEN_TO_ALL = ("/healthz", "/readyz")
"""What may be asked without the token."""
CSP = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, config: ShopConfig, measures: Measures) -> None:
        """Put it around ``app``."""
        self.app, self.config, self.measures = app, config, measures
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let pass and watch over it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        started = False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                names = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *HEADERS, *([] if b"cache-control" in names else [NO_STORE])]
            await send(message)

        refusal = self._refusal(scope)
        self.open += 1
        try:
            if refusal is not None:
                await _refuse(answer, *refusal)
                return
            async with asyncio.timeout(self.config.timeout_seconds):
                await self.app(scope, self._counted(receive), answer)
        except TimeoutError:
            if started:
                raise
            await _refuse(answer, 503, f"the request took longer than {self.config.timeout_seconds:g} seconds")
        finally:
            self.open -= 1
            route = getattr(scope.get("route"), "path", "none")
            self.measures.requests.labels(route, str(status)).inc()
            self.measures.seconds.labels(route).observe(time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        if self.open >= self.config.most_open:
            self.measures.shed.inc()
            return 503, f"{self.open} requests are open; try again in a second"
        head = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if head + sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEAD:
            return 431, f"the address and headers together may have {MOST_HEAD} bytes; use POST for long lists"
        if self.config.hosts and _host(headers.get(b"host", b"")) not in self.config.hosts:
            return 421, "this service is not called by that name; start it with --allow-host to add one"
        if self.config.token and scope["path"] not in OPEN_TO_ALL:
            given, wanted = headers.get(b"authorization", b""), f"Bearer {self.config.token}".encode()
            if not hmac.compare_digest(given, wanted):
                return 401, "a bearer token is needed: Authorization: Bearer …"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.config.most_bytes:
            return 413, f"a body may have {self.config.most_bytes} bytes; send several smaller ones"
        return None

    def _counted(self, receive: Receive) -> Receive:
        """Also for bodies that come in pieces, without their length being told."""
        total = 0

        async def counted() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self.config.most_bytes:
                raise HTTPException(413, f"a body may have {self.config.most_bytes} bytes; send several smaller ones")
            return message

        return counted


def _host(header: bytes) -> str:
    """Without the port.

    Example:
        >>> _host(b"localhost:8000"), _host(b"[::1]:8000")
        ('localhost', '[::1]')
    """
    text = header.decode("latin-1").lower()
    return text[: text.index("]") + 1] if text.startswith("[") and "]" in text else text.split(":")[0]


async def _refuse(send: Send, status: int, words: str) -> None:
    body = json.dumps({"detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += {503: [(b"retry-after", b"1")], 401: [(b"www-authenticate", b"Bearer")]}.get(status, [])
    headers += [(b"connection", b"close")] if status in (413, 431) else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
