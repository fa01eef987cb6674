"""Embedding many pictures: order, failures, one decode, resumption after a kill, and equal results by any batch."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recsys.errors import ConfigError, DataError, ImageError
from style.base import Images
from style.encoders.gram import Gram
from style.features import Load, embed, encode_all
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


class Interrupted(Exception):
    pass


def fails_from(first: int) -> Load:
    def load(i: int) -> bytes:
        if i >= first:
            raise Interrupted
        return grey(i)

    return load


def test_old_counts_never_speak_for_new_rows(tmp_path: Path) -> None:
    embed(grey, N, [Mean()], tmp_path, key="a")
    with pytest.raises(Interrupted):  # the rows are new and empty, nothing of them is finished
        embed(fails_from(0), N, [Mean()], tmp_path, key="b")
    again = embed(grey, N, [Mean()], tmp_path, key="a").blocks["mean"]
    assert np.allclose(again, 5 * np.arange(N)[:, None], atol=1)


@pytest.mark.parametrize("damage", ["counter", "rows", "absent"])
def test_damaged_work_is_made_again(tmp_path: Path, damage: str) -> None:
    embed(grey, N, [Mean()], tmp_path)
    path = tmp_path / ("done.json" if damage == "counter" else "mean.npy")
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100] if damage == "rows" else b"{")
    assert np.allclose(embed(grey, N, [Mean()], tmp_path).blocks["mean"], 5 * np.arange(N)[:, None], atol=1)


def test_another_encoder_of_the_same_name_starts_anew(tmp_path: Path) -> None:
    class Darker(Mean):
        key = "darker"

        def encode(self, images: Images) -> npt.NDArray[np.float32]:
            return super().encode(images) / 2

    embed(grey, N, [Mean()], tmp_path)
    halved = embed(grey, N, [Darker()], tmp_path).blocks["mean"]
    assert np.allclose(halved, 2.5 * np.arange(N)[:, None], atol=1)


def test_pictures_may_come_as_arrays(tmp_path: Path) -> None:
    done = embed(lambda i: np.full((5, 9, 3), i, np.uint8), 3, [Mean()], tmp_path)
    assert done.blocks["mean"].tolist() == [[i] * 3 for i in range(3)]


def test_an_encoder_that_answers_nonsense_is_refused(tmp_path: Path) -> None:
    class Nan(Mean):
        def encode(self, images: Images) -> npt.NDArray[np.float32]:
            return np.full((len(images), 3), np.nan, np.float32)

    class Short(Mean):
        def encode(self, images: Images) -> npt.NDArray[np.float32]:
            return np.zeros((0, 3), np.float32)

    with pytest.raises(DataError, match="'mean' answered NaN"):
        embed(grey, 1, [Nan()], tmp_path)
    with pytest.raises(DataError, match="expected \\(1, d\\)"):
        embed(grey, 1, [Short()], tmp_path)


def test_a_picture_that_breaks_an_encoder_is_named(tmp_path: Path) -> None:
    class Picky(Mean):
        def encode(self, images: Images) -> npt.NDArray[np.float32]:
            rows = super().encode(images)
            rows[rows[:, 0] > 100] = np.nan  # levels 105 and above: pictures 21 and later
            return rows

    with pytest.raises(DataError, match="'mean' answered NaN or infinite values for item 21; it cannot be used"):
        embed(grey, N, [Picky()], tmp_path, batch=8, called="item {}".format)


def test_pictures_of_a_pixel_are_set_aside(tmp_path: Path) -> None:
    sizes = [(1, 1), (3, 40), (4, 4)]
    done = embed(lambda i: np.full((*sizes[i], 3), 9, np.uint8), 3, [Mean()], tmp_path)
    assert done.failed == {
        0: "1 x 1 pixels are too few to describe, at least 4 x 4 are needed",
        1: "40 x 3 pixels are too few to describe, at least 4 x 4 are needed",
    }
    assert done.blocks["mean"].tolist() == [[0] * 3, [0] * 3, [9] * 3]


def test_names_of_models_on_a_hub_are_files_all_the_same(tmp_path: Path) -> None:
    done = embed(grey, 3, [Mean("hf:../a/b@layer"), Mean("hf:../a/c@layer")], tmp_path / "work")
    assert set(done.blocks) == {"hf:../a/b@layer", "hf:../a/c@layer"}
    assert {path.parent for path in tmp_path.rglob("*.npy")} == {tmp_path / "work"}


def test_memory_does_not_grow_with_the_catalogue(tmp_path: Path) -> None:
    def peak(n: int) -> int:
        tracemalloc.start()
        embed(lambda i: np.zeros((64, 64, 3), np.uint8), n, [Mean(size=64)], tmp_path / str(n), batch=4)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(8)
    few, many = peak(40), peak(800)
    assert many < few + 64 * 64 * 3 * 20  # 760 more pictures would be 38 times as much


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_rows_do_not_depend_on_the_batch(tmp_path: Path, batch: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 60, 40, 3), dtype=np.uint8)
    encoder = Gram(weights="random", device="cpu")
    rows = embed(lambda i: noise[i], 8, [encoder], tmp_path, batch=batch).blocks["gram"]
    whole = embed(lambda i: noise[i], 8, [encoder], tmp_path / "whole", batch=8).blocks["gram"]
    # float32 sums over 112 x 112 places in another order: relative 1e-5 of the largest entry
    assert np.abs(rows - whole).max() <= 1e-5 * np.abs(whole).max()


def test_names_must_be_distinct(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="distinct"):
        embed(grey, 1, [Mean(), Mean()], tmp_path)


def test_batches_have_at_least_one_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch must be >= 1, got 0"):
        embed(grey, 1, [Mean()], tmp_path, batch=0)


def test_nothing_to_encode_gives_empty_blocks(tmp_path: Path) -> None:
    assert embed(grey, 0, [Mean()], tmp_path).blocks["mean"].shape == (0, 3)


def test_a_shared_trunk_gives_what_its_encoders_give_alone() -> None:
    first, second = Gram(weights="random", device="cpu"), Gram(weights="random", device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    alone = first.encode(images)
    for together in encode_all([first, second], {224: images}):
        assert np.array_equal(together, alone)
