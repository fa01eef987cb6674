"""A provider on this machine that misbehaves in every way providers do, and a stylizer that asks it."""

import base64
import io
import json
import struct
import threading
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recsys.errors import StylerecError
from style.base import StyleCode
from style.stylizers.remote import Remote

KEY = "sk-do-not-tell-anyone-0123456789"
VARIABLE = "STYLEREC_TEST_KEY"
Act = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Plays its script, one act a request; after its end every answer is the photo's negative."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Act] = []
        self.forms: list[list[tuple[str, str | None, bytes]]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()
        self.pause, self.now, self.most = 0.0, 0, 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/images/edits"

    def handle_error(self, *_: object) -> None:
        """A client that has left is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    photo: np.ndarray

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body).get_payload()  # the standard library's parser is the oracle of the form
        fields = [(case(p, "name"), case(p, "filename"), p.get_payload(decode=True)) for p in parts]
        self.photo = decoded(next(data for name, _, data in fields if name.startswith("image")))
        with self.server.lock:
            self.server.forms.append(fields)
            self.server.headers.append(dict(self.headers))
            self.server.times.append(time.monotonic())
            act = self.server.script.pop(0) if self.server.script else ok
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        time.sleep(self.server.pause)
        with self.server.lock:
            self.server.now -= 1
        act(self)

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self.reply(200, png(np.full((32, 32, 3), 9, np.uint8)))

    def reply(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def case(part: Any, name: str) -> Any:
    return part.get_param(name, header="content-disposition")


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def answer_json(data: bytes) -> bytes:
    return json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}]}).encode()


def ok(handler: Handler) -> None:
    handler.reply(200, answer_json(png(255 - handler.photo)))


def status(code: int, message: str = "", **headers: str) -> Act:
    body = json.dumps({"error": {"message": message, "code": "x"}}).encode()
    return lambda handler: handler.reply(code, body, **headers)


def body(data: bytes) -> Act:
    return lambda handler: handler.reply(200, data)


def picture(data: bytes) -> Act:
    return body(answer_json(data))


def slow(handler: Handler) -> None:
    time.sleep(0.6)


def dripping_head(handler: Handler) -> None:
    """Header lines that never end, each well within a socket's own timeout."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for i in range(80):
            handler.wfile.write(b"X-%d: 1\r\n" % i)
            time.sleep(0.05)


def never_continuing(handler: Handler) -> None:
    """Interim answers without end, which http.client skips one by one."""
    with suppress(OSError):
        for _ in range(80):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)


def dripping(handler: Handler) -> None:
    handler.reply(200, b"{", length=100)
    for _ in range(20):
        time.sleep(0.05)
        handler.wfile.write(b" ")
        handler.wfile.flush()


def cut_off(handler: Handler) -> None:
    whole = answer_json(png(handler.photo))
    handler.reply(200, whole[: len(whole) // 2], length=len(whole))


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True


def bomb(side: int) -> bytes:
    """A square PNG of that many pixels by its head, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def remote(server: Server, **options: Any) -> Remote:
    quick = {"timeout": 5.0, "retries": 2, "backoff": 0.001, "key_variable": VARIABLE}
    return Remote(**quick | {"endpoint": server.url, "model": "gpt-image-x", "prompt": "as a poster"} | options)


def photos(n: int = 1, h: int = 24, w: int = 16) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (n, h, w, 3)).astype(np.uint8)


EMPTY = StyleCode("remote", {})


def refused(kind: type[StylerecError], made: Remote, images: np.ndarray, match: str) -> str:
    with pytest.raises(kind, match=match) as caught:
        made.apply(images, EMPTY)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)
