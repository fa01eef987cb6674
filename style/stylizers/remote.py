"""A provider's image model over the network: any endpoint that speaks OpenAI's ``images/edits``.

Nothing is sent unless an endpoint is named. Every picture costs money, so that each is kept in a cache, what was spent
is counted before it is spent, and the key is read from the environment at each request and kept nowhere.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np
from PIL import Image, ImageOps

from recsys.config import from_mapping
from recsys.errors import ConfigError, DataError, ImageError
from recsys.files import stable_hash, write_bytes
from style.base import Images, StyleCode, StylizerSpec
from style.images import decode

STYLE_SIDE = 512
"""Height and width of a style image as it is kept and sent."""
MAX_BYTES = 64 * 2**20
"""A longer answer is not read to its end."""
MAX_PIXELS = 2**24
"""An answer with more is refused before its pixels are decoded (4096 x 4096)."""
MAX_MENDING = 4.0
"""An answer this many times smaller than the photo, or narrower or wider for its height, is not mended but refused."""
MAX_REDIRECTS = 3
OWN_FIELDS = ("model", "prompt", "n", "size")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_JITTER = random.SystemRandom()  # has no seed: waiting must disturb nobody's random numbers


@dataclass(frozen=True)
class RemoteConfig:
    """Options of `Remote`; ``endpoint``, ``model`` and ``prompt`` are needed before a style can be encoded.

    Attributes:
        endpoint: The full address, e.g. ``https://api.openai.com/v1/images/edits``.
        model: The provider's name of its model.
        prompt: What is asked for each photo.
        size: ``auto`` or ``<width>x<height>``, as the provider knows sizes.
        key_variable: The environment variable that holds the key; "" sends none.
        fields: More form fields, e.g. ``{quality = "low"}``.
        image_field: The form field of pictures; DALL·E 2 calls it ``image``.
        send_style: Send the style image after the photo; a model that takes one picture needs false.
        allow_urls: Fetch a picture that the answer only links to.
        concurrency: Most requests at once.
        timeout: Seconds without an answer, and seconds an answer may take to arrive.
        retries: Further attempts after a failed one.
        backoff: Seconds before the second attempt at most; doubled at each further one.
        max_wait: Longest seconds between attempts; a provider that asks for more is given up.
        max_cost: Most that may be spent by one `Remote`; None = no cap. Needs ``cost_per_image``.
        cost_per_image: What one picture costs, in the currency of ``max_cost``.
        cache: Folder of pictures already made; "" keeps none.
    """

    endpoint: str = ""
    model: str = ""
    prompt: str = ""
    size: str = "auto"
    key_variable: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    image_field: str = "image[]"
    send_style: bool = True
    allow_urls: bool = False
    concurrency: int = 4
    timeout: float = 180.0
    retries: int = 4
    backoff: float = 1.0
    max_wait: float = 60.0
    max_cost: float | None = None
    cost_per_image: float = 0.0
    cache: str | Path = ""

    def __post_init__(self) -> None:
        self._check_endpoint()
        for name, least in (("concurrency", 1), ("retries", 0), ("backoff", 0), ("max_wait", 0), ("cost_per_image", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")
        if not 0 < self.timeout < math.inf:
            raise ConfigError(f"timeout must be a positive number of seconds, got {self.timeout:g}")
        if self.max_cost is not None and not (0 <= self.max_cost < math.inf and self.cost_per_image > 0):
            got = f"got max_cost = {self.max_cost:g}, cost_per_image = {self.cost_per_image:g}"
            raise ConfigError(f"max_cost must be >= 0 and needs a positive cost_per_image to count with, {got}")
        if not re.fullmatch(r"auto|[1-9]\d{1,3}x[1-9]\d{1,3}", self.size):
            raise ConfigError(f"size must be 'auto' or like '1024x1536' (width x height), got {self.size!r}")
        for name in (*self.fields, self.image_field):
            if name in OWN_FIELDS or not re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,64}", name):
                known = ", ".join(OWN_FIELDS)
                raise ConfigError(f"a form field's name has letters, digits and _ and is not {known}; got {name!r}")

    def _check_endpoint(self) -> None:
        """Messages never quote the address: some carry a secret."""
        if not self.endpoint:
            return
        scheme, host, _ = _origin(self.endpoint)
        if not host or "@" in urlsplit(self.endpoint).netloc:
            example = "https://api.openai.com/v1/images/edits"
            raise ConfigError(f"endpoint must be a full http(s) address without user or password, such as {example}")
        if scheme == "http" and self.key_variable and host not in LOOPBACK:
            raise ConfigError(f"the key would go to {host} unencrypted; use https, or leave key_variable out")


class Remote:
    """Asks a provider's image model to edit each photo, several at once.

    Args:
        **options: The attributes of `RemoteConfig`.

    Example:
        >>> Remote().encode(np.zeros((1, 8, 8, 3), np.uint8))
        Traceback (most recent call last):
        recsys.errors.ConfigError: remote needs endpoint, model, prompt; nothing is sent before they are given
    """

    spec = StylizerSpec(
        name="remote",
        kind="remote",
        needs=("prompt",),
        offline=False,
        deterministic=False,
        weights_licence="LicenseRef-provider",
        commercial=False,
        about="any change that words describe, by a paid provider; whether commercial use is allowed is in its terms",
    )

    def __init__(self, **options: Any) -> None:
        self.config = from_mapping(RemoteConfig, options, where="remote")
        self.spending = Spending(self.config.cost_per_image, self.config.max_cost)
        # one pool for all callers, so that threads which restyle side by side keep to the bound together
        self._pool = ThreadPoolExecutor(self.config.concurrency, thread_name_prefix="remote")
        self._opener = build_opener(_NoRedirects)

    def encode(self, style: Images) -> StyleCode:
        """The centre square of a style image, (STYLE_SIDE, STYLE_SIDE, 3) float32 0..255; of several, their mean.

        Without ``send_style``, or of no image, the code is empty and the prompt alone decides.

        Raises:
            ConfigError: Endpoint, model or prompt are missing.
        """
        self._check_ready()
        if not self.config.send_style or not len(style):
            return StyleCode(self.spec.name, {})
        squares = [_fitted(image, STYLE_SIDE, STYLE_SIDE) for image in style]
        return StyleCode(self.spec.name, {"picture": np.mean(squares, axis=0, dtype=np.float32)})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; providers know no seed, so that ``seed`` changes nothing.

        Equal photos are asked for once. At the first photo that fails no further one is begun; those under way are
        finished into the cache, since they are paid for.

        Raises:
            ImageError: No attempt brought a usable picture of a photo, named by its index.
            DataError: The provider refused or could not be reached.
            ConfigError: Endpoint, model, prompt or key are missing, or ``max_cost`` would be exceeded.
        """
        if not len(images):
            return images
        self._check_ready()
        style = [_png(_as_picture(code.arrays["picture"]))] if "picture" in code.arrays else []
        keys = [self._key(image, style) for image in images]
        made = {key: self._kept(key, images.shape[1:]) for key in dict.fromkeys(keys)}
        absent = [key for key, picture in made.items() if picture is None]
        if absent:
            self.spending.check(len(absent))
            _secret(self.config.key_variable)  # a missing key is told once, before any thread starts
            made |= self._ask_all({key: keys.index(key) for key in absent}, images, style)
        return np.stack([cast(Images, made[key]) for key in keys])

    def _check_ready(self) -> None:
        missing = [name for name in ("endpoint", "model", "prompt") if not getattr(self.config, name).strip()]
        if missing:
            raise ConfigError(f"remote needs {', '.join(missing)}; nothing is sent before they are given")
        try:
            Path(self.config.cache).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cache {self.config.cache} cannot be made a folder ({error.strerror})") from error

    def _key(self, image: Images, style: Sequence[bytes]) -> str:
        """Names a picture by all that decides it; pixels, because PNG bytes differ between versions of the codec."""
        c = self.config
        pixels = [image.shape, sha256(image.tobytes()).hexdigest()]
        asked = [c.endpoint, c.model, c.prompt, c.size, dict(c.fields)]
        return stable_hash([asked, pixels, [sha256(s).hexdigest() for s in style]])

    def _path(self, key: str) -> Path:
        return Path(self.config.cache) / key[:2] / f"{key}.png"

    def _kept(self, key: str, shape: tuple[int, ...]) -> Images | None:
        """From the cache; a damaged file is as good as none."""
        if not self.config.cache:
            return None
        with suppress(OSError, ImageError):
            picture = decode(self._path(key).read_bytes()).pixels
            return picture if picture.shape == shape else None
        return None

    def _keep(self, key: str, picture: Images) -> None:
        if not self.config.cache:
            return
        try:
            write_bytes(self._path(key), _png(picture))
        except OSError as error:
            raise DataError(f"cache {self.config.cache} cannot be written ({error.strerror}); free it first") from error

    def _ask_all(self, rows: Mapping[str, int], images: Images, style: Sequence[bytes]) -> dict[str, Images]:
        stop = threading.Event()
        asked = {key: self._pool.submit(self._ask, key, row, images[row], style, stop) for key, row in rows.items()}
        try:
            done, _ = wait(asked.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            for future in asked.values():
                future.cancel()
        wait(asked.values())
        for future in asked.values():
            if future in done and (error := future.exception()):
                raise error
        return {key: future.result() for key, future in asked.items()}

    def _ask(self, key: str, row: int, image: Images, style: Sequence[bytes], stop: threading.Event) -> Images:
        """Attempt until it works, attempts run out or ``stop`` is set."""
        c = self.config
        own = {"model": c.model, "prompt": c.prompt, "n": "1", "size": c.size}
        body, content_type = form({**own, **c.fields}, [_png(image), *style], c.image_field)
        attempt = 0
        while True:
            attempt += 1
            try:
                picture = self._attempt(body, content_type, image.shape)
            except _FailedAttempt as caught:
                failure = caught
            else:
                self._keep(key, picture)
                return picture
            pause = failure.wait + _JITTER.uniform(0, min(c.max_wait, c.backoff * 2.0 ** (attempt - 1)))
            end = self._end(failure, attempt)
            if end or stop.wait(pause):
                # raised outside the handler: no error is chained whose frames hold the request and its key
                raise failure.kind(self._clean(f"photo {row}: {failure}; {end or 'stopped'}"))

    def _end(self, failure: _FailedAttempt, attempt: int) -> str:
        """Why there is no further attempt; "" when there is."""
        c = self.config
        if not failure.again:
            return "trying again would not help"
        if attempt > c.retries:
            return f"given up after {attempt} attempts; try later or raise retries"
        if failure.wait > c.max_wait:
            return f"the provider asks to wait {failure.wait:g} s, more than max_wait {c.max_wait:g} s; try later"
        if not self.spending.affords(1):
            return f"max_cost {c.max_cost:g} allows no further attempt"
        return ""

    def _attempt(self, body: bytes, content_type: str, shape: tuple[int, ...]) -> Images:
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": "stylerec"}
        if secret := _secret(self.config.key_variable):
            headers["Authorization"] = f"Bearer {secret}"
        self.spending.take()
        try:
            answer = self._open(self.config.endpoint, body, headers)
        except _FailedAttempt as failure:
            if failure.free:
                self.spending.give_back()
            raise
        try:
            return mended(decode(self._picture(answer), max_pixels=MAX_PIXELS).pixels, shape[0], shape[1])
        except ImageError as error:
            raise _FailedAttempt(f"the answer is no usable picture: {error}", kind=ImageError) from None

    def _picture(self, answer: bytes) -> bytes:
        """The picture's bytes in a JSON answer."""
        content = _parsed(answer)
        if content is None:
            raise ImageError(f"not JSON ({len(answer)} bytes)")
        try:
            first = content["data"][0]
            coded, url = first.get("b64_json"), first.get("url")
        except (AttributeError, KeyError, IndexError, TypeError):
            raise ImageError(f"no picture in it{_complaint(content)}") from None
        if isinstance(coded, str):
            try:
                return base64.b64decode(coded, validate=True)
            except ValueError:
                raise ImageError("its b64_json is not base64, or cut off") from None
        if not isinstance(url, str):
            raise ImageError("neither b64_json nor url in it")
        return self._fetch(url)

    def _fetch(self, url: str) -> bytes:
        """A linked picture: never with the key, and only where the link cannot point into the caller's own network."""
        if not self.config.allow_urls:
            cure = "set allow_urls = true, or ask for b64_json by fields = {response_format = 'b64_json'}"
            raise _FailedAttempt(f"the answer only links to its picture; {cure}", kind=ImageError, again=False)
        if _origin(url)[0] != "https" and _origin(url) != _origin(self.config.endpoint):
            raise _FailedAttempt("the answer links to another host without https", kind=ImageError, again=False)
        return self._open(url, None, {"User-Agent": "stylerec"})

    def _open(self, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        """The body of the answer to a POST of ``body``, or to a GET without one."""
        deadline = time.monotonic() + self.config.timeout
        for _ in range(MAX_REDIRECTS + 1):
            try:
                with self._opener.open(Request(url, body, headers), timeout=self.config.timeout) as response:
                    return _read(response, deadline)
            except HTTPError as error:
                with error:
                    url = self._onward(error, url, body is not None, deadline)
            except URLError as error:
                raise _FailedAttempt(f"no connection to {_origin(url)[1]} ({error.reason})", free=True) from None
            except TimeoutError:
                raise _FailedAttempt(f"no answer within {self.config.timeout:g} s") from None
            except (OSError, HTTPException, ValueError) as error:
                raise _FailedAttempt(
                    f"the connection broke or the answer is cut off ({type(error).__name__})"
                ) from None
        raise _FailedAttempt("too many redirects", again=False, free=True)

    def _onward(self, error: HTTPError, url: str, sends: bool, deadline: float) -> str:
        """Where a redirect leads; every other status raises."""
        location = error.headers.get("Location")
        if location and error.code in ((307, 308) if sends else (301, 302, 303, 307, 308)):
            with suppress(ValueError):
                if _origin(onward := urljoin(url, location)) == _origin(url):
                    return onward
            cure = "name the final address as endpoint if you trust it"
            raise _FailedAttempt(f"a redirect to another host is refused; {cure}", again=False, free=True)
        raise self._status(error, deadline)

    def _status(self, error: HTTPError, deadline: float) -> _FailedAttempt:
        said = b""
        with suppress(_FailedAttempt, OSError, HTTPException):
            said = _read(cast(HTTPResponse, error.fp), deadline)
        if error.code in (401, 403):  # providers quote parts of the key here
            about = (
                f"; check the key in {self.config.key_variable}" if self.config.key_variable else "; set key_variable"
            )
        else:
            about = _complaint(_parsed(said))
        return _FailedAttempt(
            f"HTTP {error.code}{about}",
            again=(error.code in (408, 425, 429) or error.code >= 500) and b"insufficient_quota" not in said,
            wait=retry_after(error.headers.get("Retry-After"), time.time()),
            free=error.code != 504,  # behind a gateway that lost patience the picture may have been made
        )

    def _clean(self, text: str) -> str:
        """A message for people: printable, short, and without the key whoever quoted it."""
        with suppress(ConfigError):
            if secret := _secret(self.config.key_variable):
                text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text)[:600]


class Spending:
    """Counts pictures from several threads, so that their cost never passes a cap.

    Example:
        >>> spending = Spending(0.1, cap=0.3)
        >>> spending.take(), spending.affords(2), spending.affords(3)
        (None, True, False)
    """

    def __init__(self, cost: float, cap: float | None) -> None:
        self._cost, self._cap = cost, cap
        self._most = math.inf if cap is None else math.floor(cap / cost + 1e-9)  # 0.3 / 0.1 is a little less than 3
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """What was spent: pictures asked for, less those certainly not made."""
        return self._taken * self._cost

    def affords(self, n: int) -> bool:
        """Whether ``n`` more pictures stay within the cap."""
        return self._taken + n <= self._most

    def check(self, n: int) -> None:
        """Refuse ``n`` more pictures that the cap does not allow.

        Raises:
            ConfigError: They would cost more than is left.
        """
        if not self.affords(n):
            more = f"{n} more at {self._cost:g} each after {self.spent:g} spent"
            raise ConfigError(f"max_cost {self._cap:g} would be exceeded by {more}; raise it or restyle fewer photos")

    def take(self) -> None:
        """Count one picture before it is asked for; refused like by `check`."""
        with self._lock:
            self.check(1)
            self._taken += 1

    def give_back(self) -> None:
        """One picture that was counted was not made."""
        with self._lock:
            self._taken -= 1


class _FailedAttempt(Exception):
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

    def http_error_302(self, *args: Any) -> None:
        """Follow none."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


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


def mended(picture: Images, height: int, width: int) -> Images:
    """(h, w, 3) → (height, width, 3): resized to cover that size, and what stands out on two sides cut off.

    Raises:
        ImageError: It is so small or of such a shape that next to nothing of it would be left.

    Example:
        >>> mended(np.zeros((64, 48, 3), np.uint8), 10, 10).shape
        (10, 10, 3)
    """
    h, w = picture.shape[:2]
    bent = (w * height) / (h * width)
    if max(bent, 1 / bent, height / h, width / w) > MAX_MENDING:
        raise ImageError(f"{w} x {h} pixels are too few or of a shape too unlike the photo's {width} x {height}")
    return _fitted(picture, height, width)


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


def _read(response: HTTPResponse, deadline: float) -> bytes:
    """All of a body, in pieces: a server that drips would never run into the socket's own timeout."""
    declared, parts, size = response.length, [], 0
    while declared is None or size < declared:
        part = response.read1(2**16)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise _FailedAttempt(f"the answer has more than {MAX_BYTES:,} bytes", kind=ImageError)
        if time.monotonic() > deadline:
            raise TimeoutError
    if declared is not None and size < declared:
        raise _FailedAttempt(f"the answer is cut off after {size:,} of {declared:,} bytes", kind=ImageError)
    return b"".join(parts)


def _parsed(body: bytes) -> Any:
    """JSON, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _complaint(content: Any) -> str:
    """What an OpenAI-style error says, to be put after a status; "" for none."""
    error = content.get("error") if isinstance(content, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return f' ("{said}")' if isinstance(said, str) and said else ""


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; empty for what is no http(s) address."""
    with suppress(ValueError):
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        if plain and parts.hostname and parts.scheme in ("http", "https"):
            return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    return "", "", 0


def _secret(variable: str) -> str:
    """The key as it is in the environment now; "" when none is to be sent. No message quotes it."""
    if not variable:
        return ""
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise ConfigError(f"environment variable {variable} is not set; put the provider's key there")
    if not (secret.isascii() and secret.isprintable()):
        raise ConfigError(f"environment variable {variable} holds no key: it has line breaks or other odd characters")
    return secret


def _as_picture(array: Any) -> Images:
    if not np.isfinite(array).all():
        raise DataError("the style code has values that are not finite; encode the style again")
    return np.asarray(np.clip(array + 0.5, 0, 255).astype(np.uint8))


def _fitted(picture: Images, height: int, width: int) -> Images:
    made = ImageOps.fit(Image.fromarray(np.ascontiguousarray(picture)), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(made)


def _png(picture: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()
