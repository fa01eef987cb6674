import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ArtifactError
from style.journal import NAME, Journal, Made, Print, write_picture, writing

HEAD = {"recipe": "r", "seed": 0}
PRINTS = st.none() | st.builds(Print, st.integers(0, 10**9), st.integers(0, 2**32 - 1))
SCORES = st.dictionaries(st.text(), st.floats(allow_infinity=False), max_size=4)


@given(st.text(), PRINTS, PRINTS, SCORES)
def test_a_line_says_all(item: str, photo: Print | None, file: Print | None, scores: dict[str, float]) -> None:
    made = Made(item, photo, file, scores)
    line = made.line()
    assert "\n" not in line
    again = Made.parse(line)
    assert (again.item, again.photo, again.file) == (item, photo, file)
    assert all(again.scores[k] == v or (math.isnan(v) and math.isnan(again.scores[k])) for k, v in scores.items())


def _write(folder: Path, *items: str, head: dict[str, object] = HEAD) -> None:
    with Journal.open(folder, head) as journal:
        journal.append([Made(i, Print(1, 2), None, {"mask": 0.25}, fresh=True) for i in items])


def test_what_was_appended_is_known_again(tmp_path: Path) -> None:
    _write(tmp_path, "a", "b")
    _write(tmp_path, "c")
    with Journal.open(tmp_path, HEAD) as journal:
        assert list(journal.known) == ["a", "b", "c"]
        assert journal.known["b"].scores == {"mask": 0.25}


def test_another_recipe_begins_anew(tmp_path: Path) -> None:
    _write(tmp_path, "a")
    with Journal.open(tmp_path, {"recipe": "other"}) as journal:
        assert not journal.known
    with Journal.open(tmp_path, HEAD) as journal:
        assert not journal.known


@pytest.mark.parametrize(
    "tail", [b'["c", [1, ', b'["c", [1, 2], null, {}]', b"\x00\x00\x00\n", b"\xff\xfe\n", b"[]\n", b"3\n"]
)
def test_a_torn_or_spoilt_end_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    _write(tmp_path, "a", "b")
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + tail)
    with Journal.open(tmp_path, HEAD) as journal:
        assert list(journal.known) == ["a", "b"]
    assert (tmp_path / NAME).read_bytes() == whole


@given(st.integers(0, 200))
def test_cut_anywhere_it_opens_and_goes_on(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    _write(folder, "a", "b", "c")
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole[:length])
    _write(folder, "d")
    with Journal.open(folder, HEAD) as journal:
        kept = list(journal.known)
    assert kept == [*["a", "b", "c"][: len(kept) - 1], "d"]


def test_leftovers_of_a_kill_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-x.jpg").write_bytes(b"half")
    (tmp_path / "keep.jpg").write_bytes(b"whole")
    _write(tmp_path, "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([NAME, "keep.jpg"])


def test_holds_finds_every_kind_of_damage(tmp_path: Path) -> None:
    path, data, photo = tmp_path / "a.jpg", b"0123456789", Print.of(b"photo")
    write_picture(path, data)
    made = Made("a", photo, Print.of(data))
    assert made.holds(photo, path)
    assert not made.holds(Print.of(b"other"), path)  # the photo was exchanged
    path.write_bytes(bytes(10))  # power loss: length there, blocks not
    assert not made.holds(photo, path)
    path.write_bytes(data[:5])
    assert not made.holds(photo, path)
    path.unlink()
    assert not made.holds(photo, path)


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with (
        pytest.raises(ArtifactError, match=r"No space left on device; free .* finished pictures are kept"),
        writing(tmp_path),
    ):
        write_picture(tmp_path / "a.jpg", b"x")
    assert not list(tmp_path.iterdir())
