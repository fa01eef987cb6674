"""What is paid for is kept, and never more than the cap is spent."""

import threading
from pathlib import Path

import numpy as np
import pytest
from misbehaving_server import (
    EMPTY,
    KEY,
    VARIABLE,
    Server,
    body,
    cut_off,
    decoded,
    ok,
    photos,
    png,
    refused,
    remote,
    status,
)

from recsys.errors import ConfigError, DataError, ImageError
from style.stylizers.spending import Spending


def test_what_is_kept_needs_no_request_and_no_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos(3)
    made = remote(server, cache=str(tmp_path)).apply(images, EMPTY)
    assert len(server.forms) == 3
    monkeypatch.delenv(VARIABLE)
    again = remote(server, cache=tmp_path, max_cost=0.0, cost_per_image=1.0)
    np.testing.assert_array_equal(again.apply(images[::-1], EMPTY), made[::-1])
    assert len(server.forms) == 3
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".png"] * 3
    assert not any(KEY.encode() in path.read_bytes() or KEY in path.name for path in files)


def test_what_decides_the_picture_is_in_its_name(server: Server, tmp_path: Path) -> None:
    style = remote(server).encode(photos(1))
    for options in ({}, {"prompt": "b"}, {"model": "b"}, {"size": "64x64"}, {"fields": {"quality": "low"}}):
        remote(server, cache=tmp_path, **options).apply(photos(), EMPTY)
    remote(server, cache=tmp_path).apply(photos(), style)
    remote(server, cache=tmp_path).apply(photos().reshape(1, 16, 24, 3), EMPTY)
    assert len(server.forms) == len(list(tmp_path.rglob("*.png"))) == 7


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.zeros((2, 2, 3), np.uint8)), png(photos()[0])[:-99]])
def test_damage_in_the_cache_is_made_again(server: Server, tmp_path: Path, content: bytes) -> None:
    remote(server, cache=tmp_path).apply(photos(), EMPTY)
    [path] = tmp_path.rglob("*.png")
    path.write_bytes(content)
    np.testing.assert_array_equal(remote(server, cache=tmp_path).apply(photos(), EMPTY), 255 - photos())
    np.testing.assert_array_equal(decoded(path.read_bytes()), 255 - photos()[0])
    assert len(server.forms) == 2


def test_a_failure_loses_nothing_that_was_paid_for(server: Server, tmp_path: Path) -> None:
    images = photos(2)
    server.script = [lambda h: (status(400) if (h.photo == images[0]).all() else ok)(h)] * 2
    server.pause = 0.1  # both are under way
    refused(DataError, remote(server, cache=tmp_path), images, "photo 0")
    remote(server, cache=tmp_path).apply(images[1:], EMPTY)
    assert len(server.forms) == 2


def test_several_may_fill_one_cache_at_once(server: Server, tmp_path: Path) -> None:
    images, made = photos(6), [remote(server, cache=tmp_path) for _ in range(3)]  # as processes would: nothing shared
    threads = [threading.Thread(target=one.apply, args=(images, EMPTY)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = len(server.forms)
    np.testing.assert_array_equal(remote(server, cache=tmp_path).apply(images, EMPTY), 255 - images)
    assert len(server.forms) == asked
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 6  # no half-written file is left


def test_a_cache_that_is_no_folder_is_told_before_money_is_spent(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    refused(ConfigError, remote(server, cache=tmp_path / "file"), photos(), "cannot be made a folder")
    assert not server.forms


def test_the_cap_refuses_a_batch_before_its_first_request(server: Server) -> None:
    made = remote(server, max_cost=0.3, cost_per_image=0.1)  # 3 pictures, though 0.3 / 0.1 < 3 in floats
    refused(ConfigError, made, photos(4), "max_cost 0.3 would be exceeded by 4 more at 0.1 each after 0 spent")
    assert not server.forms
    made.apply(photos(3), EMPTY)
    assert made.spending.spent == pytest.approx(0.3)
    refused(ConfigError, made, photos(1, 8, 8), "after 0.3 spent")
    assert len(server.forms) == 3


def test_only_what_may_have_been_made_counts_as_spent(server: Server) -> None:
    server.script = [status(500), status(429), cut_off]
    made = remote(server, retries=9, max_cost=2.0, cost_per_image=1.0)
    made.apply(photos(), EMPTY)  # refusals are free, what was cut off may be charged
    assert made.spending.spent == 2.0


def test_the_cap_ends_attempts(server: Server) -> None:
    server.script = [body(b"?")] * 9
    made = remote(server, retries=9, max_cost=2.0, cost_per_image=1.0)
    refused(ImageError, made, photos(), "photo 0: .*not JSON.*; max_cost 2 allows no further attempt")
    assert len(server.forms) == 2


def test_nobody_spends_beyond_the_cap_at_once() -> None:
    spending, refused = Spending(1.0, 50.0), []

    def buy() -> None:
        for _ in range(20):
            try:
                spending.take()
            except ConfigError as error:
                refused.append(error)

    threads = [threading.Thread(target=buy) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (spending.spent, len(refused)) == (50.0, 50)
