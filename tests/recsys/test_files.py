import errno
import hashlib
import json
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ArtifactError
from recsys.files import (
    atomic_write,
    file_hash,
    read_json,
    safe_name,
    stable_hash,
    write_bytes,
    write_json,
    write_together,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # NUL, path separators, half surrogate pairs
HOSTILE = [
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    "\0",
    "CON",
    "nul",
    "a/b",
    "a\\b",
    "C:x",
    "~",
    "x" * 5000,
    "👗",
    "-rf",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(ANY_TEXT | st.sampled_from(HOSTILE), unique=True, max_size=20))
def test_names_are_distinct_short_and_stay_in_their_folder(ids: list[str]) -> None:
    names = [safe_name(i) for i in ids]
    assert len({n.lower() for n in names}) == len(ids)  # also where file systems ignore case
    for name in names:
        assert 0 < len(name.encode()) < 200
        assert name.isascii()
        assert not set(name) & set("/\\:\0 \n.")
        assert not name.startswith(("-", "."))


def test_ids_that_differ_in_case_or_look_like_others_names_stay_apart() -> None:
    ids = ["a", "A", "x", "../../x", safe_name("../../x"), "é", "e\u0301"]
    assert len({safe_name(i).lower() for i in ids}) == len(ids)


@pytest.mark.parametrize("name", ["0108775015", "a", "item-7_b"])
def test_plain_ids_are_their_own_names(name: str) -> None:
    assert safe_name(name) == name


def fail_midway(path: Path, error: type[BaseException]) -> None:
    with atomic_write(path, "w") as file:
        file.write("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, error: type[BaseException], old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error):
        fail_midway(path, error)
    assert [p.name for p in tmp_path.iterdir()] == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.bin", lambda path: write_bytes(path, bytes(2 << 20))),
        ("model", lambda path: write_together(path, {"a": bytes(2 << 20)})),
    ],
)
def test_a_full_disk_is_told_with_the_name_of_the_file(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # the system's own refusal of a write, EFBIG
    try:
        with pytest.raises(OSError, match=name) as refused:
            write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(tmp_path / name))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    write_bytes(path, b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644  # not the 0600 of temporary files


def test_text_is_utf8_with_plain_line_ends(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_a_failed_rename_is_no_silent_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_bytes(tmp_path / "a", b"x")
    assert list(tmp_path.iterdir()) == []


@given(JSON)
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_knows_numpy_and_has_no_nan(tmp_path: Path) -> None:
    value = {"f": np.float32(0.5), "n": np.int64(3), "b": np.True_, "a": np.arange(2), "p": Path("x/y"), 7: (1,)}
    value |= {"nan": float("nan"), "inf": [np.float64("-inf")]}
    write_json(tmp_path / "a.json", value)
    strict = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert strict == {
        "f": 0.5,
        "n": 3,
        "b": True,
        "a": [0, 1],
        "p": "x/y",
        "7": [1],
        "nan": None,
        "inf": [None],
    }


@pytest.mark.parametrize("content", [b"{", b"", b"\xff"])
def test_damaged_json_is_an_artifact_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(ArtifactError, match="does not exist"):
        read_json(path)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged, make it again"):
        read_json(path)


def test_hashes_are_those_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert stable_hash({"b": [1], "a": None}) == hashlib.sha256(b'{"a":null,"b":[1]}').hexdigest()


@given(JSON, JSON)
def test_equal_values_hash_equally_and_others_do_not(first: object, second: object) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (stable_hash(first) == stable_hash(second)) == same


def test_numpy_and_plain_numbers_hash_alike() -> None:
    assert stable_hash({"k": np.arange(3), "x": (np.float64(0.5),)}) == stable_hash({"x": [0.5], "k": [0, 1, 2]})


def test_files_that_belong_together_take_their_names_when_all_are_on_disk(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / ".tmp-of-a-killed-write").write_bytes(b"half")
    write_together(tmp_path, {"a": b"old a", "b": b"old b"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    synced, renamed, full = [], [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(handle) or full(handle))
    monkeypatch.setattr(os, "replace", lambda source, target: renamed.append((target.name, len(synced))))
    write_together(tmp_path, {"a": b"a", "b": b"b"})
    assert renamed == [("a", 2), ("b", 2)]  # in order, and both were synced before the first
    monkeypatch.undo()

    def no_space(handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        write_together(tmp_path, {"a": b"new a", "b": b"new b"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name[0] != "."} == {"a": b"old a", "b": b"old b"}
