"""Against a server on this machine that misbehaves in every way a provider does."""

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving_server import (
    EMPTY,
    KEY,
    VARIABLE,
    Act,
    Handler,
    Server,
    body,
    bomb,
    cut_off,
    decoded,
    dripping,
    dripping_head,
    hangs_up,
    never_continuing,
    ok,
    photos,
    picture,
    png,
    refused,
    remote,
    slow,
    status,
)

from recsys.errors import ConfigError, DataError, ImageError, StylerecError
from style.base import StyleCode, Stylizer
from style.stylizers.remote import STYLE_SIDE, Remote, RemoteConfig, mended
from style.stylizers.remote_http import form, retry_after


def test_sends_what_the_api_asks_for(server: Server) -> None:
    made = remote(server, size="1024x1536", fields={"quality": "low"}, prompt='größer — "rot"\r\n--x')
    assert isinstance(made, Stylizer)
    style = photos(1, 40, 60)
    code = made.encode(style)
    assert code.arrays["picture"].shape == (STYLE_SIDE, STYLE_SIDE, 3)
    assert code.arrays["picture"].dtype == np.float32
    images = photos()
    np.testing.assert_array_equal(made.apply(images, code), 255 - images)
    [sent] = server.forms
    text = {name: data.decode() for name, file, data in sent if file is None}
    assert text == {
        "model": "gpt-image-x",
        "prompt": 'größer — "rot"\r\n--x',
        "n": "1",
        "size": "1024x1536",
        "quality": "low",
    }
    files = [(name, decoded(data)) for name, file, data in sent if file is not None]
    assert [name for name, _ in files] == ["image[]", "image[]"]
    np.testing.assert_array_equal(files[0][1], images[0])
    np.testing.assert_array_equal(files[1][1], code.arrays["picture"].astype(np.uint8))
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_a_style_that_is_not_sent_is_no_part_of_the_code(server: Server) -> None:
    one = remote(server, send_style=False, image_field="image")
    assert one.encode(photos(1)) == one.encode(photos(2)) == EMPTY == remote(server).encode(photos(0))
    one.apply(photos(), EMPTY)
    assert [name for name, file, _ in server.forms[0] if file] == ["image"]


def test_codes_mix(server: Server) -> None:
    made = remote(server)
    black, white = (made.encode(np.full((1, h, 9, 3), v, np.uint8)) for h, v in ((9, 0), (30, 255)))
    mean = StyleCode.mix({black: 0.5, white: 0.5}).arrays["picture"]
    np.testing.assert_allclose(mean, 127.5)
    both = np.stack([np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)])
    np.testing.assert_allclose(made.encode(both).arrays["picture"], 127.5)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (24, 90)])
def test_grey_photos_of_any_size(server: Server, size: tuple[int, int]) -> None:
    images = np.full((1, *size, 3), 128, np.uint8)
    np.testing.assert_array_equal(remote(server).apply(images, EMPTY), 127)


def test_no_photos_no_request() -> None:
    assert Remote().apply(photos(0), EMPTY).shape == (0, 24, 16, 3)  # not even an endpoint is needed


def test_order_is_kept_and_the_bound_holds_over_all_callers(server: Server) -> None:
    server.pause = 0.05
    made, images = remote(server, concurrency=3), photos(12, 8, 8)
    server.script = [lambda h, i=i: (time.sleep(0.02 * (i % 3)), ok(h)) for i in range(12)]
    parts: list[np.ndarray | None] = [None, None]

    def half(i: int) -> None:
        parts[i] = made.apply(images[6 * i : 6 * i + 6], EMPTY)

    threads = [threading.Thread(target=half, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate(parts), 255 - images)
    assert len(server.forms) == 12
    assert server.most == 3  # reached, and never passed


def test_equal_photos_are_asked_for_once(server: Server) -> None:
    images = photos(2)[[0, 1, 0, 0]]
    np.testing.assert_array_equal(remote(server).apply(images, EMPTY), 255 - images)
    assert len(server.forms) == 2


@pytest.mark.parametrize(
    "first",
    [
        status(500),
        status(503),
        status(429),
        status(408),
        hangs_up,
        cut_off,
        body(b"{"),
        body(b"[" * 100_000),
        body(b"[]"),
        body(b'{"data": []}'),
        body(b'{"data": [{}]}'),
        body(b'{"data": ["x"]}'),
        body(b'{"data": [{"b64_json": "A"}]}'),
        body(b'{"data": [{"b64_json": 7}]}'),
        picture(b"<html>no picture</html>"),
        picture(b""),
        picture(png(photos()[0])[:-40]),
    ],
)
def test_what_goes_wrong_once_is_asked_again(server: Server, first: Act) -> None:
    server.script = [first]
    images = photos()
    np.testing.assert_array_equal(remote(server).apply(images, EMPTY), 255 - images)
    assert len(server.forms) == 2


@pytest.mark.parametrize("act", [slow, dripping, dripping_head, never_continuing])
def test_timeouts_are_asked_again_and_end(server: Server, act: Act) -> None:
    server.script, began = [act], time.monotonic()
    np.testing.assert_array_equal(remote(server, timeout=0.25).apply(photos(), EMPTY), 255 - photos())
    assert time.monotonic() - began < 2  # the acts go on for 4 s
    server.script = [act, act]
    refused(DataError, remote(server, timeout=0.25, retries=1), photos(), "photo 0: no answer within 0.25 s; given up")


@pytest.mark.parametrize(
    ("act", "kind", "match"),
    [
        (status(500, "out of order"), DataError, 'HTTP 500 \\("out of order"\\); given up after 2 attempts'),
        (hangs_up, DataError, "connection broke"),
        (cut_off, ImageError, "cut off after"),
        (body(b"<html>"), ImageError, "not JSON"),
        (body(b'{"error": {"message": "no pictures today"}}'), ImageError, "no pictures today"),
        (picture(b"GIF89a"), ImageError, "no usable picture"),
        (picture(bomb(30_000)), ImageError, "too many pixels"),
        (picture(bomb(5_000)), ImageError, "too many pixels, at most 16,777,216"),
        (picture(png(np.zeros((2, 400, 3), np.uint8))), ImageError, "400 x 2"),
        (picture(png(np.zeros((5, 3, 3), np.uint8))), ImageError, "3 x 5"),
    ],
)
def test_what_stays_wrong_names_its_photo(server: Server, act: Act, kind: type[StylerecError], match: str) -> None:
    images = photos(2)

    def second(handler: Handler) -> None:
        (act if (handler.photo == images[1]).all() else ok)(handler)

    server.script = [second] * 3
    message = refused(kind, remote(server, retries=1), images, match)
    assert message.startswith("photo 1: ")
    assert len(server.forms) == 3  # one for the good photo, two for the bad one


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_refusals_are_not_repeated_and_stop_the_rest(server: Server, code: int) -> None:
    server.script = [status(code, f"bad key {KEY}\x1b[31m or prompt")] * 9
    message = refused(DataError, remote(server, concurrency=1), photos(5), f"photo 0: HTTP {code}")
    assert len(server.forms) <= 2  # the second may have begun before the first's refusal was seen
    assert (VARIABLE in message) if code in (401, 403) else ("bad key ***" in message)
    assert message.isprintable()


def test_an_empty_account_is_not_asked_again(server: Server) -> None:
    server.script = [lambda h: h.reply(429, b'{"error": {"message": "pay", "code": "insufficient_quota"}}')]
    refused(DataError, remote(server), photos(), "pay")
    assert len(server.forms) == 1


def test_retry_after_is_honoured(server: Server) -> None:
    server.script = [status(429, Retry_After="0.2")]
    remote(server).apply(photos(), EMPTY)
    assert server.times[1] - server.times[0] >= 0.2
    server.script = [status(503, Retry_After="3600")]
    refused(DataError, remote(server), photos(), "asks to wait 3600 s, more than max_wait 60 s")
    assert len(server.forms) == 3


@given(st.text() | st.floats().map(str))
def test_any_retry_after_is_some_wait(header: str) -> None:
    assert retry_after(header, 0.0) >= 0


def test_back_off_doubles_with_full_jitter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []
    monkeypatch.setattr("style.stylizers.remote._JITTER.uniform", lambda low, high: bounds.append(high) or low)
    server.script = [status(500)] * 4
    remote(server, retries=4, backoff=1.0, max_wait=5.0).apply(photos(), EMPTY)
    assert bounds == [1.0, 2.0, 4.0, 5.0]


def test_other_shapes_are_resized_and_cropped(server: Server) -> None:
    wide = np.zeros((48, 96, 3), np.uint8)
    wide[:, 32:64] = 200  # of 96 columns, a photo of 24 x 16 keeps the middle 32
    server.script = [picture(png(wide))]
    np.testing.assert_array_equal(remote(server).apply(photos(), EMPTY)[0, :, 3:-3], 200)  # Lanczos reaches 3 pixels
    np.testing.assert_array_equal(mended(wide, 48, 96), wide)


def test_a_grey_answer_is_a_picture(server: Server) -> None:
    server.script = [picture(png(np.full((24, 16), 77, np.uint8)))]
    np.testing.assert_array_equal(remote(server).apply(photos(), EMPTY), 77)


def test_no_server_is_a_clear_error(server: Server) -> None:
    with Server() as gone:
        gone.shutdown()
    made = remote(gone, max_cost=1.0, cost_per_image=1.0)
    refused(DataError, made, photos(), "photo 0: no connection to 127.0.0.1 .*; given up after 3 attempts")
    assert made.spending.spent == 0


def test_redirects_on_the_same_host_are_followed(server: Server) -> None:
    server.script = [status(307, Location="/elsewhere")]
    np.testing.assert_array_equal(remote(server).apply(photos(), EMPTY), 255 - photos())
    server.script = [status(308, Location="/round")] * 9
    refused(DataError, remote(server), photos(), "too many redirects")
    assert len(server.forms) == 2 + 4


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "place", ["http://localhost:{port}/x", "http://127.0.0.1:{other}/x", "file:///etc/passwd", "//["]
)
def test_redirects_elsewhere_arerefused(server: Server, code: int, place: str) -> None:
    with Server() as other:
        server.script = [status(code, Location=place.format(port=server.server_port, other=other.server_port))]
        refused(DataError, remote(server), photos(), "photo 0: (a redirect to another host is refused|HTTP 30)")
        other.shutdown()
    assert len(server.forms) == 1
    assert not other.headers


def test_links_are_fetched_only_where_allowed_and_without_the_key(server: Server) -> None:
    linked = body(json.dumps({"data": [{"url": server.url + ".png"}]}).encode())
    server.script = [linked]
    refused(ImageError, remote(server), photos(), "allow_urls")
    server.script = [linked]
    np.testing.assert_array_equal(remote(server, allow_urls=True).apply(photos(), EMPTY), 9)
    assert ["Authorization" in sent for sent in server.headers] == [True, True, False]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://169.254.169.254/x", "http://localhost:1/x", "ftp://h/x", "x"]
)
def test_links_into_other_places_arerefused(server: Server, url: str) -> None:
    server.script = [body(json.dumps({"data": [{"url": url}]}).encode())]
    refused(ImageError, remote(server, allow_urls=True), photos(), "another host without https")
    assert len(server.forms) == 1


@pytest.mark.parametrize("secret", [None, "", "  ", "sk-a\nX-Evil: 1", "sk-ä"])
def test_a_key_that_is_none_is_told_without_quoting_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.delenv(VARIABLE)
    if secret is not None:
        monkeypatch.setenv(VARIABLE, secret)
    message = refused(ConfigError, remote(server), photos(), VARIABLE)
    assert "sk-" not in message
    assert not server.forms


def test_without_a_key_variable_none_is_sent(server: Server) -> None:
    remote(server, key_variable="").apply(photos(), EMPTY)
    assert "Authorization" not in server.headers[0]
    server.script = [status(401)]
    refused(DataError, remote(server, key_variable=""), photos(), "HTTP 401; set key_variable")


def test_the_key_is_kept_nowhere(server: Server) -> None:
    made = remote(server)
    code = made.encode(photos())
    made.apply(photos(), code)
    assert KEY not in repr([vars(made), made.config, code.arrays, code.key])


def test_nothing_is_asked_without_endpoint_model_and_prompt(server: Server) -> None:
    for name in ("endpoint", "model", "prompt"):
        refused(ConfigError, remote(server, **{name: ""}), photos(), f"remote needs {name}")
        with pytest.raises(ConfigError, match=f"remote needs {name}"):
            remote(server, **{name: ""}).encode(photos())
    assert not server.forms


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///x",
        "ftp://host/x",
        "host/x",
        "https://",
        "https://u:secret@host/x",
        "https://h:x/",
        "https://a b/",
        "//h/x",
    ],
)
def test_endpoints_that_are_no_web_address(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint must be a full http") as caught:
        RemoteConfig(endpoint=endpoint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"endpoint": "http://example.org/x", "key_variable": "K"}, "unencrypted"),
        ({"concurrency": 0}, "concurrency must be >= 1"),
        ({"retries": -1}, "retries must be >= 0"),
        ({"timeout": 0.0}, "timeout must be a positive"),
        ({"backoff": float("nan")}, "backoff must be"),
        ({"max_cost": 1.0}, "needs a positive cost_per_image"),
        ({"max_cost": float("inf"), "cost_per_image": 1.0}, "max_cost must be"),
        ({"size": "big"}, "size must be"),
        ({"fields": {"prompt": "x"}}, "form field"),
        ({"image_field": 'a"\r\n'}, "form field"),
        ({"concurrency": "4"}, "must be int"),
        ({"endpont": "x"}, "did you mean 'endpoint'"),
        ({"api_key": KEY}, "unknown key"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        Remote(**options)
    assert KEY not in str(caught.value)


def test_a_code_with_holes_is_refused_at_the_door(server: Server) -> None:
    code = StyleCode("remote", {"picture": np.full((4, 4, 3), np.nan, np.float32)})
    with pytest.raises(DataError, match="not finite"):
        remote(server).apply(photos(), code)
    assert not server.forms


@given(st.dictionaries(st.sampled_from(["a", "b", "c[]"]), st.text()), st.lists(st.binary(), max_size=3))
def test_any_form_is_read_back(fields: dict[str, str], files: list[bytes]) -> None:
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}
    made, content_type = form(clean, files, "image[]")
    boundary = content_type.partition("boundary=")[2].encode()
    parts = (b"\r\n" + made).split(b"\r\n--" + boundary)[1:-1]  # RFC 2046, 5.1.1
    contents = [part.partition(b"\r\n\r\n")[2] for part in parts]
    assert contents == [*(value.encode() for value in clean.values()), *files]
