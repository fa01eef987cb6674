import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_shirt import photo

from recsys.errors import ArtifactError, DataError, ImageError
from style.catalogue import restyle
from style.guard import DOUBTFUL
from style.images import decode, encode_jpeg
from style.journal import NAME
from style.look import builtin_looks, look_from_mapping

LOOKS = [builtin_looks()[name] for name in ("retro", "minimalist")]
COLOURS = [(170, 40, 60), (20, 20, 22), (60, 90, 150), (200, 170, 120), (90, 130, 60)]
STORE = {f"i{i}": encode_jpeg(photo(COLOURS[i % 5], size=(58, 88), seed=i)[0]) for i in range(7)}
STORE["large"] = encode_jpeg(photo(size=(117, 176))[0])
STORE["white"] = encode_jpeg(np.full((88, 58, 3), 244, np.uint8))
IDS = list(STORE)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.jpg"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], pd.DataFrame]:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    made = restyle(IDS, STORE.__getitem__, LOOKS, folder, workers=1)
    return _files(folder), made.frame


def test_every_item_has_its_row_and_picture(whole: tuple[dict[str, bytes], pd.DataFrame]) -> None:
    files, frame = whole
    assert frame["item_id"].tolist() == IDS * 2
    assert frame["look"].tolist() == ["retro"] * len(IDS) + ["minimalist"] * len(IDS)
    drawn = frame[frame["item_id"] != "white"]
    assert drawn["accepted"].all()
    assert set(drawn["image"]) == set(files)
    assert decode(files["images/retro/large.jpg"]).pixels.shape == (176, 117, 3)
    doubtful = frame[frame["item_id"] == "white"]
    assert not doubtful["accepted"].any()
    assert (doubtful["reason"] == DOUBTFUL).all()
    assert (doubtful["image"] == "").all()
    assert drawn[["score_ssim", "score_edge", "score_product_delta_e", "score_mask"]].notna().all(axis=None)


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (2, 3), (3, 50)])
def test_batches_and_workers_change_nothing(
    whole: tuple[dict[str, bytes], pd.DataFrame], tmp_path: Path, workers: int, batch: int
) -> None:
    made = restyle(IDS, STORE.__getitem__, LOOKS, tmp_path, workers=workers, batch=batch)
    assert _files(tmp_path) == whole[0]
    pd.testing.assert_frame_equal(made.frame, whole[1])
    other = restyle(IDS[::-1], STORE.__getitem__, LOOKS[::-1], tmp_path / "back", workers=workers, batch=batch)
    assert _files(tmp_path / "back") == whole[0]
    both = [f.sort_values(["look", "item_id"], ignore_index=True) for f in (other.frame, whole[1])]
    pd.testing.assert_frame_equal(*both)


def test_a_second_run_makes_nothing_and_mends_what_is_damaged(
    whole: tuple[dict[str, bytes], pd.DataFrame], tmp_path: Path
) -> None:
    restyle(IDS, STORE.__getitem__, LOOKS, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.jpg")}
    missing, damaged = tmp_path / "images/retro/i0.jpg", tmp_path / "images/minimalist/i1.jpg"
    missing.unlink()
    damaged.write_bytes(bytes(damaged.stat().st_size))
    made = restyle(IDS, STORE.__getitem__, LOOKS, tmp_path)
    pd.testing.assert_frame_equal(made.frame, whole[1])
    assert _files(tmp_path) == whole[0]
    changed = {p for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed == {missing, damaged}


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    restyle(IDS, STORE.__getitem__, LOOKS, tmp_path)
    before = _files(tmp_path)
    other = look_from_mapping("retro", {"grade": {"grain": 0.0}}, Path())
    exchanged = STORE | {"i2": STORE["i3"]}
    restyle(IDS, exchanged.__getitem__, [other, LOOKS[1]], tmp_path)
    after = _files(tmp_path)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {n for n in before if "retro" in n} | {"images/minimalist/i2.jpg"}


def test_a_stricter_guard_judges_without_drawing(tmp_path: Path) -> None:
    restyle(IDS, STORE.__getitem__, LOOKS[:1], tmp_path)
    times = [p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*.jpg"))]
    strict = look_from_mapping("retro", {"guard": {"max_product_delta_e": 0.0}}, Path())
    made = restyle(IDS, STORE.__getitem__, [strict], tmp_path).frame
    assert not made["accepted"].any()
    assert set(made["reason"]) == {"product colour changed", DOUBTFUL}
    assert times == [p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*.jpg"))]


def test_photos_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    def load(item: str) -> bytes:
        if item == "absent":
            raise ImageError("absent.jpg is not in the store")
        return {"text": b"hello", "cut": STORE["i0"][:200]}.get(item, STORE["i0"])

    frame = restyle(["absent", "text", "cut", "good"], load, LOOKS[:1], tmp_path).frame
    assert frame["accepted"].tolist() == [False, False, False, True]
    assert frame["reason"][0] == "absent.jpg is not in the store"
    assert (frame["reason"][:3] != "").all()
    with pytest.raises(DataError, match="not one of 2 photos"):
        restyle(["absent", "text"], load, LOOKS[:1], tmp_path / "none")


def test_hostile_ids_stay_inside(tmp_path: Path) -> None:
    ids = [
        "../../x",
        "/etc/x",
        "a\x00b",
        "..",
        "",
        "A",
        "a",
        "C:\\x",
        "😀",
        "x" * 400,
        "\ud800",
        "journal.jsonl",
        "con",
    ]
    out = tmp_path / "deep" / "out"
    frame = restyle(ids, lambda item: STORE["i0"], LOOKS[:1], out).frame
    found = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(found) == len(ids) + 1  # and the journal
    assert all(p.parent == out / "images" / "retro" for p in found)
    assert frame["image"].is_unique
    assert all((out / path).is_file() for path in frame["image"])
    again = restyle(ids, lambda item: STORE["i0"], LOOKS[:1], out).frame
    pd.testing.assert_frame_equal(frame, again)


def test_nothing_to_do(tmp_path: Path) -> None:
    assert restyle([], STORE.__getitem__, LOOKS, tmp_path).frame.empty
    assert restyle(IDS, STORE.__getitem__, [], tmp_path).frame.empty


def test_twice_is_once_too_often(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'i0' more than once"):
        restyle(["i0", "i1", "i0"], STORE.__getitem__, LOOKS, tmp_path)
    with pytest.raises(DataError, match="'retro' more than once"):
        restyle(["i0"], STORE.__getitem__, [LOOKS[0], LOOKS[0]], tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file stands where the folder should be")
    with pytest.raises(ArtifactError, match=r"cannot write to .*images"):
        restyle(IDS, STORE.__getitem__, LOOKS, tmp_path)


def test_a_disk_that_fills_up_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import style.restyler as restyler

    real, count = restyler.write_picture, iter(range(100))

    def filling(path: Path, data: bytes) -> None:
        if next(count) >= 9:
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(restyler, "write_picture", filling)
    with pytest.raises(ArtifactError, match="No space left"):
        restyle(IDS, STORE.__getitem__, LOOKS, tmp_path, workers=1, batch=2)
    lines = (tmp_path / "images" / "retro" / NAME).read_text().splitlines()
    assert len(lines) - 1 == 4  # two whole batches of two


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_catalogue import IDS, LOOKS, STORE
from style.catalogue import restyle
print("go", flush=True)
restyle(IDS, STORE.__getitem__, LOOKS, Path(sys.argv[1]), workers=2, batch=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_been(
    whole: tuple[dict[str, bytes], pd.DataFrame], tmp_path: Path
) -> None:
    rng = random.Random(0)
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    seen = set()
    for _ in range(3):
        command = [sys.executable, "-c", script, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
            time.sleep(rng.uniform(0.02, 0.15))
            process.kill()
        seen.add(len(_files(tmp_path)))
    assert min(seen) < len(whole[0])  # it was interrupted before the end
    made = restyle(IDS, STORE.__getitem__, LOOKS, tmp_path, workers=2)
    assert _files(tmp_path) == whole[0]
    pd.testing.assert_frame_equal(made.frame, whole[1])
    assert not list(tmp_path.rglob(".tmp-*"))
