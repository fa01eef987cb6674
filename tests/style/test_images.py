"""Every kind of photo a shop may send, drawn here, so that the right pixels are known."""

import io
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from recsys.errors import ImageError
from style.images import check_images, decode, encode_jpeg, resize
from style.imagestore import ImageStore

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: what Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def red_is_green() -> bytes:
    """A colour profile in which full red is sRGB's green and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def corner(mode: str = "RGB") -> Image.Image:
    """4 wide, 2 high, red in the top left corner, else white."""
    image = Image.new("RGB", (4, 2), WHITE)
    image.putpixel((0, 0), RED)
    return image.convert(mode)


def test_plain_pictures_have_no_notes_and_exact_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    done = decode(saved(Image.fromarray(pixels)))
    assert done.notes == ()
    assert done.pixels.dtype == np.uint8
    assert np.array_equal(done.pixels, pixels)
    done.pixels[0, 0] = 1  # the caller's own, not a view of read-only memory


def test_one_pixel() -> None:
    assert decode(saved(Image.new("RGB", (1, 1), RED))).pixels.tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("mode", ["1", "L", "YCbCr", "P"])
def test_other_modes_without_loss(mode: str) -> None:
    kind = "TIFF" if mode == "YCbCr" else "PNG"
    done = decode(saved(Image.new("RGB", (3, 2), WHITE).convert(mode), kind))
    assert (done.pixels == 255).all()
    assert done.pixels.shape == (2, 3, 3)
    assert done.notes == ()


def test_cmyk() -> None:
    image = Image.new("CMYK", (16, 8), (255, 0, 0, 0))  # cyan ink only: no red light
    done = decode(saved(image, "JPEG", quality=100))
    assert np.abs(done.pixels.astype(int) - [0, 255, 255]).max() <= 2  # JPEG rounding
    assert done.notes == ("CMYK converted to RGB",)


def test_sixteen_bit_grey() -> None:
    levels = np.array([[0, 257 * 128, 65535]], np.uint16)
    done = decode(saved(Image.fromarray(levels)))
    assert done.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert done.notes == ("more than 8 bits a channel: reduced to 8",)


def test_sixteen_bit_colour() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0x1234, 0x5678, 0x9ABC)
    done = decode(png(2, 1, 16, 2, row))
    assert done.pixels.tolist() == [[[255, 0, 0], [0x12, 0x56, 0x9A]]]
    assert done.notes == ("more than 8 bits a channel: reduced to 8",)


def test_floating_point_and_what_has_no_white() -> None:
    done = decode(saved(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF"))
    assert done.pixels[0, :, 1].tolist() == [0, 128, 255]
    for value in (-1.0, 1e9, np.nan):
        with pytest.raises(ImageError, match="no known white"):
            decode(saved(Image.fromarray(np.array([[0, value]], np.float32)), "TIFF"))


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 127))  # half black: 255 * (1 - 127 / 255) = 128
    done = decode(saved(image))
    assert done.pixels.tolist() == [[[255, 0, 0], [255, 255, 255], [128, 128, 128]]]
    assert done.notes == ("transparency laid on white",)


def test_opaque_alpha_needs_no_note() -> None:
    done = decode(saved(corner("RGBA")))
    assert done.notes == ()
    assert np.array_equal(done.pixels, np.asarray(corner()))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_transparency(kind: str) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 0), 1)
    done = decode(saved(image, kind, transparency=1))
    assert done.pixels.tolist() == [[[255, 0, 0], [255, 255, 255]]]
    assert done.notes == ("transparency laid on white",)


def test_palette_with_graded_transparency() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.putpixel((1, 0), 1)
    done = decode(saved(image, transparency=bytes([255, 127])))
    assert done.pixels[0, :, 0].tolist() == [0, 128]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animated_pictures_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    done = decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless))
    assert (done.pixels == RED).all()
    assert done.notes == ("animated: first frame taken",)


# where the stored top left corner is shown: (row, column) of the upright picture
@pytest.mark.parametrize(
    ("orientation", "place"),
    [(2, (0, -1)), (3, (-1, -1)), (4, (-1, 0)), (5, (0, 0)), (6, (0, -1)), (7, (-1, -1)), (8, (-1, 0))],
)
def test_exif_rotation(orientation: int, place: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    done = decode(saved(corner(), exif=exif))
    assert done.pixels.shape == ((4, 2, 3) if orientation >= 5 else (2, 4, 3))
    assert done.pixels[place].tolist() == list(RED)
    assert (done.pixels == WHITE).all(axis=2).sum() == 7
    assert done.notes == ("EXIF rotation applied",)


def test_unreadable_exif_costs_nothing_but_a_note() -> None:
    done = decode(saved(corner(), "PNG", exif=b"Exif\0\0rubbish"))
    assert np.array_equal(done.pixels, np.asarray(corner()))
    assert done.notes in [("EXIF data unreadable: ignored",), ()]  # Pillow versions differ in what they forgive


def test_colour_profile_is_converted() -> None:
    done = decode(saved(corner(), icc_profile=red_is_green()))
    assert np.abs(done.pixels[0, 0].astype(int) - GREEN).max() <= 2  # fixed-point arithmetic of the profile
    assert np.abs(done.pixels[0, 1].astype(int) - WHITE).max() <= 2
    assert done.notes == ("colour profile converted to sRGB",)


def test_colour_profile_and_transparency_together() -> None:
    image = corner("RGBA")
    image.putpixel((1, 0), (0, 0, 0, 0))
    done = decode(saved(image, icc_profile=red_is_green()))
    assert np.abs(done.pixels[0, :2].astype(int) - [GREEN, WHITE]).max() <= 2
    assert done.notes == ("colour profile converted to sRGB", "transparency laid on white")


def test_srgb_profile_is_no_conversion_and_a_broken_one_is_ignored() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(saved(corner(), icc_profile=srgb)).notes == ()
    broken = decode(saved(corner(), icc_profile=b"no profile"))
    assert np.array_equal(broken.pixels, np.asarray(corner()))
    assert len(broken.notes) == 1
    assert broken.notes[0].startswith("colour profile unusable")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_pictures(kind: str) -> None:
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    decode(whole)
    with pytest.raises(ImageError, match=r"damaged|truncated|not a picture"):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # would run Ghostscript
        (b"\xff\xd8\xff\xe0", "not a picture|damaged"),
        (png(60_000, 60_000, 8, 2, b""), "too many pixels"),
        (png(12_000, 10_000, 8, 2, b""), "too many pixels"),  # where Pillow only warns
        (png(8_000, 8_000, 8, 2, b""), "8000 x 8000 is too many pixels"),  # where Pillow says nothing
    ],
)
def test_what_is_no_picture_or_a_bomb(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode(data)


def test_the_limit_is_the_callers() -> None:
    data = saved(Image.new("RGB", (10, 10)))
    assert decode(data, max_pixels=100).pixels.shape == (10, 10, 3)
    with pytest.raises(ImageError, match="10 x 10 is too many pixels, at most 99"):
        decode(data, max_pixels=99)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_gives_pixels_or_an_image_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
    content = bytearray(saved(corner(), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content)).pixels
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def test_jpeg_round_trip_keeps_colour_at_edges() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2], pixels[:, 1::2] = RED, GREEN  # with chroma subsampling these columns would mix to brown
    done = decode(encode_jpeg(pixels, quality=95)).pixels
    assert np.abs(done.astype(int) - pixels).max() < 40


def test_large_jpegs_may_be_decoded_smaller_but_never_below_what_is_asked() -> None:
    data = encode_jpeg(np.full((400, 300, 3), (200, 100, 50), np.uint8))
    small = decode(data, at_least=70).pixels
    assert small.shape == (100, 75, 3)
    assert np.abs(small.astype(int) - [200, 100, 50]).max() <= 2
    assert decode(data, at_least=200).pixels.shape == (400, 300, 3)


def test_resize_against_pillow() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    for size in (16, 64):
        theirs = [Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR) for i in images]
        assert np.abs(resize(images, size).astype(int) - np.stack(theirs)).max() <= 1  # fixed-point rounding
    assert np.array_equal(resize(images[:, :30], 30), images[:, :30])
    assert resize(images[:0], 16).shape == (0, 16, 16, 3)


def test_check_says_of_every_item_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(saved(corner()))
    (tmp_path / "cmyk.jpg").write_bytes(saved(Image.new("CMYK", (8, 8)), "JPEG"))
    (tmp_path / "half.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8))[:-40])
    images = ["good.png", "cmyk.jpg", "half.jpg", "none.jpg", "../../x", "good.png"]
    catalog = SimpleNamespace(frame=pd.DataFrame({"item_id": list("abcdef"), "image": images}))
    found = check_images(catalog, ImageStore.open(tmp_path), workers=2)
    assert found.columns.tolist() == ["item_id", "image", "status", "reason"]
    assert found["item_id"].tolist() == list("abcdef")
    assert found["image"].tolist() == images
    assert found["status"].tolist() == ["ok", "note", "bad", "bad", "bad", "ok"]
    words = ["", "CMYK", "truncated", "no picture", "leaves the image source", ""]
    assert all(word in reason for word, reason in zip(words, found["reason"], strict=True))


def test_check_of_nothing(tmp_path: Path) -> None:
    catalog = SimpleNamespace(frame=pd.DataFrame({"item_id": [], "image": []}))
    found = check_images(catalog, ImageStore.open(tmp_path))
    assert found.columns.tolist() == ["item_id", "image", "status", "reason"]
    assert len(found) == 0


@pytest.mark.realdata
def test_real_photos_are_sound(data_dir: Path) -> None:
    with ImageStore.open(data_dir / "hm_fashion" / "images_h176.zip") as store:
        names = list(store.names())[::100]
        catalog = SimpleNamespace(frame=pd.DataFrame({"item_id": names, "image": names}))
        assert check_images(catalog, store)["status"].value_counts().to_dict() == {"ok": len(names)}
