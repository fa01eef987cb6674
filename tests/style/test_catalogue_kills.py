"""`stylerec style transfer` that is killed, finds no room, no right to write, or photos that went away."""

import importlib.util
import io
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recsys.errors import ArtifactError
from study.pictures import transfer_folder

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"
SPEC = importlib.util.spec_from_file_location("kills", SOURCE)
assert SPEC is not None
assert SPEC.loader is not None
kills = importlib.util.module_from_spec(SPEC)
sys.modules["kills"] = kills  # its dataclass looks its own module up
SPEC.loader.exec_module(kills)


def _pictures(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.rglob("*.jpg")}


def test_killed_three_times_it_ends_as_undisturbed(tmp_path: Path) -> None:
    kills.draw(tmp_path, 60, 1)
    found = kills.kill_often(tmp_path, 3, 1)
    assert found.kills == 3
    assert found.same
    assert (found.torn, found.lost, found.redone_known) == (0, 0, 0)
    assert found.redone <= (kills.WORKERS + 2) * kills.BATCH  # the batches in flight


def test_a_limit_on_file_size_is_told_and_the_next_call_ends_as_undisturbed(tmp_path: Path) -> None:
    kills.draw(tmp_path, 8, 2)
    noise = np.random.default_rng(0).integers(0, 255, (192, 128, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "photos" / "p0005.jpg")  # noise: the one picture above 20 kB

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    line = kills.command(tmp_path, "out")
    stopped = subprocess.run(line, capture_output=True, text=True, preexec_fn=narrow)
    assert stopped.returncode == 2
    assert "cannot write to" in stopped.stderr
    assert "File too large" in stopped.stderr
    assert "finished pictures are kept" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    kept = _pictures(tmp_path / "out")
    assert not list(tmp_path.rglob(".tmp-*"))
    how = {"seed": 0, "workers": kills.WORKERS, "batch": kills.BATCH}
    for out in ("out", "whole"):
        transfer_folder(tmp_path / "photos", (), tmp_path / "looks.toml", tmp_path / out, **how)
    whole = _pictures(tmp_path / "whole")
    assert len(whole) == 8
    assert kept.items() <= whole.items()
    assert _pictures(tmp_path / "out") == whole


def test_verdicts_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    kills.draw(tmp_path, 2, 3)
    (tmp_path / "out" / "presentations.parquet").mkdir(parents=True)  # as root, too, a folder is not overwritten
    with pytest.raises(ArtifactError, match=r"cannot write to .*finished pictures are kept"):
        transfer_folder(tmp_path / "photos", (), tmp_path / "looks.toml", tmp_path / "out", seed=0)
    assert len(_pictures(tmp_path / "out")) == 2


def test_unreadable_and_vanished_photos_are_counted_and_made_when_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import study.pictures as pictures

    kills.draw(tmp_path, 4, 4)
    gone, spoilt = (tmp_path / "photos" / f"p000{i}.jpg" for i in (1, 2))
    whole, good = gone.read_bytes(), spoilt.read_bytes()
    spoilt.write_bytes(good[:300])
    real = pictures.picture_names

    def listed(store: pictures.ImageStore) -> list[str]:
        names = real(store)
        gone.unlink()  # after it was listed
        return names

    monkeypatch.setattr(pictures, "picture_names", listed)
    given = (tmp_path / "photos", (), tmp_path / "looks.toml", tmp_path / "out")
    row = transfer_folder(*given, seed=0)[0]
    assert (row["pictures"], row["unreadable"]) == (4, 2)
    frame = pd.read_parquet(tmp_path / "out" / "presentations.parquet").set_index("item_id")
    assert "no picture 'p0001.jpg'" in frame["reason"]["p0001"]
    assert "damaged or truncated" in frame["reason"]["p0002"]
    assert set(_pictures(tmp_path / "out")) == {"p0000.jpg", "p0003.jpg"}
    monkeypatch.setattr(pictures, "picture_names", real)
    gone.write_bytes(whole)
    spoilt.write_bytes(good)
    assert transfer_folder(*given, seed=0)[0]["unreadable"] == 0
    assert len(_pictures(tmp_path / "out")) == 4


def test_a_turned_photo_with_a_place_gives_an_upright_picture_without_metadata(tmp_path: Path) -> None:
    kills.draw(tmp_path, 1, 5)
    path = tmp_path / "photos" / "p0000.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter: 128 x 192 becomes 192 x 128
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "camera"
    with Image.open(path) as photo:
        photo.save(path, exif=exif)
    assert b"camera" in path.read_bytes()
    transfer_folder(tmp_path / "photos", (), tmp_path / "looks.toml", tmp_path / "out", seed=0)
    (data,) = _pictures(tmp_path / "out").values()
    with Image.open(io.BytesIO(data)) as made:
        assert made.size == (192, 128)
        assert not made.getexif()
        assert {"exif", "icc_profile", "xmp", "comment"} & made.info.keys() == set()
