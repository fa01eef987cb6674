"""Requests that cost money: what goes over the wire, what comes back, and what each failure means."""

from __future__ import annotations

import io
import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from recsys.errors import DataError, ImageError

MAX_BYTES = 64 * 2**20
"""A longer answer is not read to its end."""
MAX_REDIRECTS = 3


class FailedAttempt(Exception):
    """One attempt that failed.

    Attributes:
        kind: What is raised when no further attempt follows.
        again: Whether another attempt may do better.
        wait: Seconds the provider asks to wait first.
        free: Whether certainly no picture was made.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: type[DataError | ImageError] = DataError,
        again: bool = True,
        wait: float = 0.0,
        free: bool = False,
    ) -> None:
        super().__init__(what)
        self.kind, self.again, self.wait, self.free = kind, again, wait, free


class _NoRedirects(HTTPRedirectHandler):
    """Redirects come back as errors: `Remote` decides, where urllib would carry the key to any host."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> None:
        """Follow none."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Until(io.RawIOBase):
    """Reads a socket until a moment: its own timeout begins anew with every byte, and a server may drip for ever."""

    def __init__(self, source: socket.socket, seconds: float) -> None:
        self._source, self._raw = source, cast(io.RawIOBase, source.makefile("rb", buffering=0))
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._source.settimeout(left)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that must have come whole, head and body, within the connection's timeout."""

    def __init__(self, sock: socket.socket, *how: Any, **more: Any) -> None:
        super().__init__(sock, *how, **more)
        self.fp.close()
        self.fp = io.BufferedReader(_Until(sock, sock.gettimeout() or 0.0))


class _Plain(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_connection(HTTPConnection), req)


class _Secure(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_connection(HTTPSConnection), req)


def _connection(kind: Callable[..., HTTPConnection]) -> Any:
    def made(*where: Any, **how: Any) -> HTTPConnection:
        connection = kind(*where, **how)
        connection.response_class = _Answer
        return connection

    return made


class Wire:
    """Sends requests and reads answers.

    Args:
        timeout: Seconds until an answer has come whole, redirects included.
        key_variable: What messages call the key's place.
    """

    def __init__(self, timeout: float, key_variable: str) -> None:
        self.timeout, self.key_variable = timeout, key_variable
        self._opener = build_opener(_NoRedirects, _Plain, _Secure)

    def open(self, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        """The body of the answer to a POST of ``body``, or to a GET without one.

        Raises:
            FailedAttempt: Whatever went wrong.
        """
        deadline = time.monotonic() + self.timeout
        for _ in range(MAX_REDIRECTS + 1):
            try:
                left = max(deadline - time.monotonic(), 1e-3)
                with self._opener.open(Request(url, body, headers), timeout=left) as response:
                    return _read(response)
            except HTTPError as error:
                with error:
                    url = self._onward(error, url, body is not None)
            except URLError as error:
                raise FailedAttempt(f"no connection to {origin(url)[1]} ({error.reason})", free=True) from None
            except TimeoutError:
                raise FailedAttempt(f"no answer within {self.timeout:g} s") from None
            except (OSError, HTTPException, ValueError) as error:
                raise FailedAttempt(f"the connection broke or the answer is cut off ({type(error).__name__})") from None
        raise FailedAttempt("too many redirects", again=False, free=True)

    def _onward(self, error: HTTPError, url: str, sends: bool) -> str:
        """Where a redirect leads; every other status raises."""
        location = error.headers.get("Location")
        if location and error.code in ((307, 308) if sends else (301, 302, 303, 307, 308)):
            with suppress(ValueError):
                if origin(onward := urljoin(url, location)) == origin(url):
                    return onward
            cure = "name the final address as endpoint if you trust it"
            raise FailedAttempt(f"a redirect to another host is refused; {cure}", again=False, free=True)
        raise self._status(error)

    def _status(self, error: HTTPError) -> FailedAttempt:
        said = b""
        with suppress(FailedAttempt, OSError, HTTPException):
            said = _read(cast(HTTPResponse, error.fp))
        if error.code in (401, 403):  # providers quote parts of the key here
            about = f"; check the key in {self.key_variable}" if self.key_variable else "; set key_variable"
        else:
            about = complaint(parsed(said))
        return FailedAttempt(
            f"HTTP {error.code}{about}",
            again=(error.code in (408, 425, 429) or error.code >= 500) and b"insufficient_quota" not in said,
            wait=retry_after(error.headers.get("Retry-After"), time.time()),
            free=error.code != 504,  # behind a gateway that lost patience the picture may have been made
        )


def form(fields: Mapping[str, str], pictures: Sequence[bytes], picture_field: str) -> tuple[bytes, str]:
    """A multipart/form-data body (RFC 7578) of text fields and PNG files, and its content type.

    Example:
        >>> body, content_type = form({"n": "1"}, [b"png"], "image[]")
        >>> content_type.startswith("multipart/form-data; boundary="), body.count(b"Content-Disposition")
        (True, 2)
    """
    boundary = secrets.token_hex(16)  # too long to occur in a picture by chance
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    kind = "\r\nContent-Type: image/png"
    parts += [(f'name="{picture_field}"; filename="{i}.png"{kind}', data) for i, data in enumerate(pictures)]
    lines = [f"--{boundary}\r\nContent-Disposition: form-data; {h}\r\n\r\n".encode() + d + b"\r\n" for h, d in parts]
    return b"".join(lines) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def retry_after(header: str | None, now: float) -> float:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: a number or a date); 0 for none or nonsense.

    Example:
        >>> retry_after("7", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 50.0), retry_after("soon", 0.0)
        (7.0, 10.0, 0.0)
    """
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return seconds if seconds > 0 else 0.0  # also where it is not a number


def _read(response: HTTPResponse) -> bytes:
    """All of a body, in pieces, so that one without end is noticed."""
    declared, parts, size = response.length, [], 0
    while declared is None or size < declared:
        part = response.read1(2**16)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise FailedAttempt(f"the answer has more than {MAX_BYTES:,} bytes", kind=ImageError)
    if declared is not None and size < declared:
        raise FailedAttempt(f"the answer is cut off after {size:,} of {declared:,} bytes", kind=ImageError)
    return b"".join(parts)


def parsed(body: bytes) -> Any:
    """JSON, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def complaint(content: Any) -> str:
    """What an OpenAI-style error says, to be put after a status; "" for none."""
    error = content.get("error") if isinstance(content, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return f' ("{said}")' if isinstance(said, str) and said else ""


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; empty for what is no http(s) address."""
    with suppress(ValueError):
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        if plain and parts.hostname and parts.scheme in ("http", "https"):
            return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    return "", "", 0
