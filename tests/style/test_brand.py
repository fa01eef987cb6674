"""A look is learned back from pictures that were rendered from a known one."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_shirt import photo

from recsys.errors import ConfigError, DataError
from study.brand import learn_look
from style.brand import learn
from style.compose import to_picture
from style.filmed import falloff, grain, untoned
from style.images import encode_jpeg
from style.lab import ciede2000, rgb_to_lab
from style.look import look_from_mapping
from style.mask import Cutout
from style.scene import BACKDROPS, Backdrop, Grade, colours, film_grain, tone, vignette
from style.scenery import votes

COLOURS = [(170, 40, 60), (6, 6, 7), (60, 90, 150), (120, 120, 120), (228, 228, 228), (40, 40, 42), (180, 180, 182)]
DRAWN = [photo(c, size=(176, 234), seed=i, noise=0.3, gradient=0.0) for i, c in enumerate(COLOURS)]
PHOTOS, TRUTH = (np.stack(list(part)) for part in zip(*DRAWN, strict=True))
STUDIO = np.broadcast_to(np.array([240, 239, 237], np.float32)[:, None, None], (len(PHOTOS), 3, 234, 176))
CUT = Cutout(TRUTH, np.ones(len(PHOTOS), np.float32), STUDIO)
PALETTE = ["#8fa58f", "#c9d4c2", "#40604a", "#e3b04b"]
GRADES = [
    {"warmth": 0.5, "fade": 0.3, "grain": 4.0, "vignette": 0.0},
    {"warmth": -0.4, "fade": 0.1, "grain": 0.0, "vignette": 0.0},
    {"warmth": 0.0, "fade": 0.5, "grain": 8.0, "vignette": 0.3},
]


def _references(kind: str, grade: dict[str, float]) -> list[np.ndarray]:
    table = {"backdrop": {"kinds": [kind], "palettes": [PALETTE]}, "grade": grade | {"product": 1.0}}
    look = look_from_mapping("known", table, Path())
    return list(look.make(PHOTOS, [str(i) for i in range(len(PHOTOS))], 1, cutout=CUT))


@pytest.fixture(scope="module")
def learned() -> list[dict[str, Any]]:
    return [learn(_references("stripes", grade)) for grade in GRADES]


def test_the_grade_comes_back(learned: list[dict[str, Any]]) -> None:
    for known, table in zip(GRADES, learned, strict=True):
        found = table["grade"]
        assert found["warmth"] == pytest.approx(known["warmth"], abs=0.12)  # 1.6 % of blue
        assert found["fade"] == pytest.approx(known["fade"], abs=0.1)  # 3 levels of 255
        assert found["grain"] == pytest.approx(known["grain"], abs=max(0.1 * known["grain"], 0.5))
        assert found["vignette"] == pytest.approx(known["vignette"], abs=0.15)


def test_the_palette_comes_back(learned: list[dict[str, Any]]) -> None:
    truth = rgb_to_lab(colours(tuple(PALETTE)).astype(np.uint8))
    for table in learned:
        found = [c for palette in table["backdrop"]["palettes"] for c in palette]
        lab = rgb_to_lab(colours(tuple(found)).astype(np.uint8))
        nearest = [float(ciede2000(lab, np.repeat(one[:, None], lab.shape[1], axis=1)).min()) for one in truth.T]
        assert max(nearest) < 5  # a colour of its own name; 3 is seen side by side
        ground = table["backdrop"]["palettes"][0][:1]
        assert ciede2000(rgb_to_lab(colours(tuple(ground)).astype(np.uint8)), truth[:, :1]).max() < 3


def test_the_kind_of_backdrop_comes_back(learned: list[dict[str, Any]]) -> None:
    assert [table["backdrop"]["kinds"][0] for table in learned] == ["stripes"] * 3


@pytest.mark.parametrize("kind", ["sunburst", "planks", "brick", "velvet"])
def test_what_is_drawn_is_told_from_the_other_kinds(kind: str) -> None:
    rng, size = np.random.default_rng(5), (160, 120)
    palette = ("#b9a48a", "#8d7355", "#5e4c38")
    drawn = [Backdrop((kind,), (palette,)).draw(size, np.zeros(3, np.float32), rng) for _ in range(8)]
    share = votes([to_picture(d) for d in drawn], [np.ones(size, bool)] * 8, [palette])
    assert share.get(kind, 0.0) >= 0.75  # one in twenty by chance


def test_grain_alone_is_measured_on_our_own_grain() -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(60, 200, 300, dtype=np.float32)[None] * np.ones((300, 1), np.float32)
    everywhere = np.ones((300, 300), bool)
    for sigma in (2.0, 5.0, 12.0):
        noisy = [slope + film_grain((300, 300), sigma, rng) for _ in range(3)]
        assert grain(noisy, [everywhere] * 3) == pytest.approx(sigma, rel=0.05)
    assert grain([slope + film_grain((300, 300), 0.0, rng)], [everywhere]) == 0  # a dither


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.6])
def test_falloff_alone_is_the_vignette(strength: float) -> None:
    plane = 180 * vignette((240, 160), strength)
    assert falloff([plane], [np.ones((240, 160), bool)]) == pytest.approx(strength, abs=0.03)


def test_untoned_takes_a_tone_back() -> None:
    rng = np.random.default_rng(0)
    image, grade = rng.integers(20, 220, (16, 16, 3)).astype(np.uint8), Grade(warmth=0.4, fade=0.3)
    toned = tone(image.transpose(2, 0, 1).astype(np.float32), grade).transpose(1, 2, 0)
    assert np.abs(untoned(np.rint(toned).astype(np.uint8), grade).astype(int) - image).max() <= 1


@pytest.mark.parametrize("kind", sorted(BACKDROPS))
def test_every_kind_can_be_drawn_in_the_shortest_palette(kind: str) -> None:
    drawn = Backdrop((kind,), (("#8090a0", "#a0b0c0"),)).draw(
        (60, 40), np.zeros(3, np.float32), np.random.default_rng(0)
    )
    assert np.isfinite(drawn).all()


def _folder(path: Path, count: int = 5) -> Path:
    path.mkdir()
    for i, picture in enumerate(_references("stripes", GRADES[0])[:count]):
        (path / f"{i}.jpg").write_bytes(encode_jpeg(picture))
    return path


def test_a_learned_look_is_toml_that_looks_take(tmp_path: Path) -> None:
    folder, out = _folder(tmp_path / "refs"), tmp_path / "looks.toml"
    row = learn_look(folder, "brand", out)[0]
    learn_look(folder, "autumn", out)
    tables = tomllib.loads(out.read_text())
    assert list(tables) == ["brand", "autumn"]
    assert tables["brand"] == tables["autumn"]  # the same references, the same look
    assert row["backdrop"] == ", ".join(tables["brand"]["backdrop"]["kinds"])
    look = look_from_mapping("brand", tables["brand"], tmp_path)
    made = look.make(PHOTOS[:2], ["a", "b"], cutout=CUT.take([0, 1]))
    assert (made[TRUTH[:2] == 0] != PHOTOS[:2][TRUTH[:2] == 0]).any(axis=-1).mean() > 0.9
    with pytest.raises(ConfigError, match="'brand' already"):
        learn_look(folder, "brand", out)


def test_what_cannot_be_learned_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 3, got 2"):
        learn_look(_folder(tmp_path / "few", 2), "brand", tmp_path / "looks.toml")
    with pytest.raises(ConfigError, match="built in"):
        learn_look(tmp_path / "few", "retro", tmp_path / "looks.toml")
