"""A provider's image model over the network: any endpoint that speaks OpenAI's ``images/edits``.

Nothing is sent unless an endpoint is named. Every picture costs money, so that each is kept in a cache, what was spent
is counted before it is spent, and the key is read from the environment at each request and kept nowhere.
"""

from __future__ import annotations

import base64
import io
import math
import os
import random
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageOps

from recsys.config import from_mapping
from recsys.errors import ConfigError, DataError, ImageError
from recsys.files import stable_hash, write_bytes
from style.base import Images, StyleCode, StylizerSpec
from style.images import decode
from style.stylizers.remote_http import FailedAttempt, Wire, complaint, form, origin, parsed
from style.stylizers.spending import Spending

STYLE_SIDE = 512
"""Height and width of a style image as it is kept and sent."""
MAX_PIXELS = 2**24
"""An answer with more is refused before its pixels are decoded (4096 x 4096)."""
MAX_MENDING = 4.0
"""An answer this many times smaller than the photo, or narrower or wider for its height, is not mended but refused."""
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
        timeout: Seconds until an answer has come whole.
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
        scheme, host, _ = origin(self.endpoint)
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
        self._wire = Wire(self.config.timeout, self.config.key_variable)

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
        style = [_png(_as_picture(array)) for array in code.read(self.spec.name).values()]
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
            except FailedAttempt as caught:
                failure = caught
            else:
                self._keep(key, picture)
                return picture
            pause = failure.wait + _JITTER.uniform(0, min(c.max_wait, c.backoff * 2.0 ** (attempt - 1)))
            end = self._end(failure, attempt)
            if end or stop.wait(pause):
                # raised outside the handler: no error is chained whose frames hold the request and its key
                raise failure.kind(self._clean(f"photo {row}: {failure}; {end or 'stopped'}"))

    def _end(self, failure: FailedAttempt, attempt: int) -> str:
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
            answer = self._wire.open(self.config.endpoint, body, headers)
        except FailedAttempt as failure:
            if failure.free:
                self.spending.give_back()
            raise
        try:
            return mended(decode(self._picture(answer), max_pixels=MAX_PIXELS).pixels, shape[0], shape[1])
        except ImageError as error:
            raise FailedAttempt(f"the answer is no usable picture: {error}", kind=ImageError) from None

    def _picture(self, answer: bytes) -> bytes:
        """The picture's bytes in a JSON answer."""
        content = parsed(answer)
        if content is None:
            raise ImageError(f"not JSON ({len(answer)} bytes)")
        try:
            first = content["data"][0]
            coded, url = first.get("b64_json"), first.get("url")
        except (AttributeError, KeyError, IndexError, TypeError):
            raise ImageError(f"no picture in it{complaint(content)}") from None
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
            raise FailedAttempt(f"the answer only links to its picture; {cure}", kind=ImageError, again=False)
        if origin(url)[0] != "https" and origin(url) != origin(self.config.endpoint):
            raise FailedAttempt("the answer links to another host without https", kind=ImageError, again=False)
        return self._wire.open(url, None, {"User-Agent": "stylerec"})

    def _clean(self, text: str) -> str:
        """A message for people: printable, short, and without the key whoever quoted it."""
        with suppress(ConfigError):
            if secret := _secret(self.config.key_variable):
                text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text)[:600]


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
    return np.asarray(np.clip(array + 0.5, 0, 255).astype(np.uint8))


def _fitted(picture: Images, height: int, width: int) -> Images:
    made = ImageOps.fit(Image.fromarray(np.ascontiguousarray(picture)), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(made)


def _png(picture: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()
