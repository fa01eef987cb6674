"""Folders and zips of pictures under hostile names."""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsys.errors import DataError, ImageError
from style import imagestore
from style.imagestore import ImageStore

FILES = {"a.jpg": b"A", "010/b.jpg": b"B", "010/twice.jpg": b"1", "011/twice.jpg": b"2", "🙂.png": b"smile"}


@pytest.fixture(params=["folder", "zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    if request.param == "folder":
        source = tmp_path / "photos"
        for name, content in FILES.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
    else:
        source = tmp_path / "photos.zip"
        with zipfile.ZipFile(source, "w") as file:
            file.mkdir("010")
            for name, content in FILES.items():
                file.writestr(name, content)
    with ImageStore.open(source) as opened:
        yield opened


def test_every_file_is_named_and_read(store: ImageStore) -> None:
    assert {name: store.read(name) for name in store.names()} == FILES
    assert "a.jpg" in store
    assert "z.jpg" not in store
    assert 5 not in store


def test_a_bare_name_is_found_in_one_sub_folder_but_never_guessed_among_two(store: ImageStore) -> None:
    assert store.read("b.jpg") == b"B"
    assert "twice.jpg" not in store
    with pytest.raises(ImageError, match=r"several folders \(010/twice.jpg, 011/twice.jpg\)"):
        store.read("twice.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "../secret.jpg",
        "010/../../secret.jpg",
        "/etc/passwd",
        "..\\secret.jpg",
        "C:\\x.jpg",
        "\\\\host\\x",
        "a\0.jpg",
    ],
)
def test_names_that_leave_the_store_are_refused(store: ImageStore, name: str) -> None:
    assert name not in store
    with pytest.raises(ImageError, match="leaves the image source"):
        store.read(name)


def test_missing_and_overlong_names(store: ImageStore) -> None:
    for name in ("z.jpg", "x" * 5000, "010"):
        with pytest.raises(ImageError, match="no picture"):
            store.read(name)


def test_threads_read_what_one_thread_reads(store: ImageStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(store.read, ["a.jpg", "010/b.jpg"] * 200))
    assert read == [b"A", b"B"] * 200


def test_a_huge_file_is_refused_before_it_is_read(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagestore, "MAX_BYTES", 3)
    assert store.read("a.jpg") == b"A"
    with pytest.raises(ImageError, match="at most"):
        store.read("🙂.png")  # 5 bytes


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ImageError, match="leads out"):
        ImageStore.open(tmp_path / "photos").read("link.jpg")


def test_a_damaged_entry_is_an_image_error(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.jpg", b"sound")
    path.write_bytes(path.read_bytes().replace(b"sound", b"wrong"))  # the checksum no longer fits
    with ImageStore.open(path) as store, pytest.raises(ImageError, match="CRC"):
        store.read("a.jpg")


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not exist"):
        ImageStore.open(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"no zip")
    with pytest.raises(DataError, match="neither a folder nor a readable zip"):
        ImageStore.open(tmp_path / "file")
