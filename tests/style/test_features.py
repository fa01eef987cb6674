"""Embedding many pictures: order, failures, one decode, resumption after a kill, and equal results by any batch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recsys.errors import ConfigError, ImageError
from style.base import Images
from style.encoders.gram import Gram
from style.features import embed, encode_all
from style.images import encode_jpeg

N = 40


class Mean:
    """Mean colour: an encoder whose right answer is known."""

    semantic, whiten = False, 0

    def __init__(self, name: str = "mean", size: int = 8) -> None:
        self.name, self.size = name, size

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        return images.mean((1, 2), dtype=np.float32)


def grey(i: int) -> bytes:
    return encode_jpeg(np.full((20, 30, 3), 5 * i, np.uint8), quality=95)


def test_rows_follow_the_pictures(tmp_path: Path) -> None:
    found = embed(grey, N, [Mean()], tmp_path, batch=7).blocks["mean"]
    assert np.allclose(found, 5 * np.arange(N)[:, None], atol=1)  # JPEG rounds by at most one level
    assert found.shape == (N, 3)


def test_one_decode_whatever_the_encoders(tmp_path: Path) -> None:
    calls: list[int] = []

    def load(i: int) -> bytes:
        calls.append(i)
        return grey(i)

    embed(load, N, [Mean("a", 8), Mean("b", 16)], tmp_path)
    assert sorted(calls) == list(range(N))


def test_unreadable_pictures_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    def load(i: int) -> bytes:
        if i == 3:
            raise ImageError("no such picture")
        return b"not a picture" if i == 5 else grey(i + 1)

    done = embed(load, N, [Mean()], tmp_path)
    assert set(done.failed) == {3, 5}
    assert done.failed[3] == "no such picture"
    assert (done.blocks["mean"][[3, 5]] == 0).all()
    assert (np.delete(done.blocks["mean"], [3, 5], axis=0) > 0).all()
    assert set(embed(load, N, [Mean()], tmp_path).failed) == {3, 5}  # remembered


def test_finished_work_is_reused_and_another_key_starts_anew(tmp_path: Path) -> None:
    calls: list[int] = []

    def load(i: int) -> bytes:
        calls.append(i)
        return grey(i)

    embed(load, N, [Mean()], tmp_path, key="a")
    embed(load, N, [Mean()], tmp_path, key="a")
    assert len(calls) == N
    embed(load, N, [Mean()], tmp_path, key="b")
    assert len(calls) == 2 * N


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import style.features
style.features.SAVE_EVERY = 1
from tests.style.test_features import Mean, N, grey
def load(i):
    with open(sys.argv[1] + "/calls", "a") as file:
        file.write(f"{i}\\n")
    time.sleep(0.02)
    return grey(i)
style.features.embed(load, N, [Mean()], Path(sys.argv[1]) / "work", batch=2)
"""


def test_a_killed_run_continues_where_it_was(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", SLOW, str(tmp_path), str(root)]
    with subprocess.Popen(command, cwd=root) as child:
        while not (tmp_path / "calls").exists() or len((tmp_path / "calls").read_text().split()) < N // 2:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    subprocess.run(command, check=True, cwd=root)
    calls = (tmp_path / "calls").read_text().split()
    assert {int(c) for c in calls} == set(range(N))
    assert len(calls) < 1.5 * N  # the finished half was not done again
    rows = np.load(tmp_path / "work" / "mean.npy")
    assert np.allclose(rows, 5 * np.arange(N)[:, None], atol=1)


def test_names_must_be_distinct(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="distinct"):
        embed(grey, 1, [Mean(), Mean()], tmp_path)


def test_nothing_to_encode_gives_empty_blocks(tmp_path: Path) -> None:
    assert embed(grey, 0, [Mean()], tmp_path).blocks["mean"].shape == (0, 3)


def test_a_shared_trunk_gives_what_its_encoders_give_alone() -> None:
    first, second = Gram(weights="random", device="cpu"), Gram(weights="random", device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    alone = first.encode(images)
    for together in encode_all([first, second], {224: images}):
        assert np.array_equal(together, alone)
