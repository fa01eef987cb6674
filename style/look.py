"""Looks: named recipes that restyle the scene freely and touch the product only within bounds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recsys.config import from_mapping, to_mapping
from recsys.errors import ConfigError, unknown_name
from recsys.files import file_hash, stable_hash
from recsys.registry import create, names
from style.base import Images, StyleCode, Stylizer
from style.guard import GuardConfig
from style.images import decode
from style.mask import Cutout
from style.scene import Backdrop, draw_backdrop, item_rng

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grade:
    """A gentle change of the product's own colours; ΔE2000 stays within a few units and the guard measures it.

    Attributes:
        warmth: Red up, blue down, as a share (-0.2..0.2).
        contrast: Around mid-grey, as a share (-0.3..0.3).
        saturation: As a share (-0.5..0.5).
        fade: Lifts black, as a share of white (0..0.2).
    """

    warmth: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        for name, reach in (("warmth", 0.2), ("contrast", 0.3), ("saturation", 0.5), ("fade", 0.2)):
            if abs(getattr(self, name)) > reach:
                raise ConfigError(f"grade.{name} must be within ±{reach}, got {getattr(self, name)}")

    def apply(self, rgb: Floats) -> Floats:
        """(…, 3) 0..255 → the same, unclipped; nothing to do leaves every bit as it was."""
        if self == Grade():
            return rgb
        grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
        made = grey[..., None] + (rgb - grey[..., None]) * np.float32(1 + self.saturation)
        made = 128 + (made - 128) * np.float32(1 + self.contrast)
        made = made * np.array([1 + self.warmth, 1, 1 - self.warmth], np.float32)
        return np.asarray(255 * self.fade + made * (1 - self.fade), np.float32)


@dataclass(frozen=True)
class Look:
    """A recipe.

    Attributes:
        name: As studies and reports call it.
        about: One line for people.
        backdrop: The new scene; None keeps the photo's own.
        grade: Of the product.
        stylizer: A registered stylizer, "" for none.
        image: Its style image; relative to the file that names it.
        region: Where the stylizer may paint: ``background`` (also over the backdrop), ``product`` or ``all``.
        strength: Of the stylizer: 0 leaves the photo, 1 replaces it.
        keep_colour: Take only lightness from the stylizer.
        guard: Bounds of what may be shown.
        style_hash: Content hash of the style image.
    """

    name: str
    about: str = ""
    backdrop: Backdrop | None = None
    grade: Grade = Grade()
    stylizer: str = ""
    image: str = ""
    region: Literal["background", "product", "all"] = "background"
    strength: float = 1.0
    keep_colour: bool = False
    guard: GuardConfig = GuardConfig()
    style_hash: str = field(default="")

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"[looks.{self.name}] strength must be in 0..1, got {self.strength}")
        if self.stylizer and self.stylizer not in names("stylizers"):
            raise ConfigError(f"[looks.{self.name}] {unknown_name('stylizer', self.stylizer, names('stylizers'))}")
        if self.stylizer and not self.image:
            raise ConfigError(f"[looks.{self.name}] stylizer {self.stylizer!r} needs a style image; add image = \"…\"")
        if not self.stylizer and self.backdrop is None and self.grade == Grade():
            raise ConfigError(f"[looks.{self.name}] changes nothing; give it a backdrop, a grade or a stylizer")

    @cached_property
    def key(self) -> str:
        """A stable hash of the whole recipe, the style image's content included."""
        table = to_mapping(self)
        return stable_hash({k: v for k, v in table.items() if k not in ("about", "image", "guard")})

    @cached_property
    def _painter(self) -> tuple[Stylizer, StyleCode]:
        stylizer: Stylizer = create("stylizers", self.stylizer)
        return stylizer, stylizer.encode(decode(Path(self.image).read_bytes()).pixels[None])

    def make(self, images: Images, cut: Cutout, ids: Sequence[str], *, seed: int = 0) -> Images:
        """Restyle a batch.

        Args:
            images: (n, h, w, 3) uint8.
            cut: Their products, see `style.mask.cut_out`.
            ids: Item ids: an item looks the same in any batch and order.
            seed: Of palette, grain and jitter.

        Returns:
            (n, h, w, 3) uint8. Where alpha is 1 and neither grade nor region touches the product, its pixels are the
            photo's, bit by bit.
        """
        if self.backdrop is None:
            made = images
        else:
            made = np.stack([self._compose(*one, seed) for one in zip(images, cut.alpha, cut.background, ids, strict=True)])
        return self._paint(made, cut.alpha) if self.stylizer else made

    def _compose(self, image: npt.NDArray[np.uint8], alpha: Floats, background: Floats, item: str, seed: int) -> npt.NDArray[np.uint8]:
        """The product, freed of what its studio shed on its edge, on the new scene."""
        assert self.backdrop is not None
        a = alpha[..., None]
        shot = image.astype(np.float32)
        studio = background.transpose(1, 2, 0)
        product = np.where(a > 0.999, shot, (shot - (1 - a) * studio) / np.maximum(a, 0.08))
        product = self.grade.apply(np.clip(product, 0, 255))
        scene = draw_backdrop(self.backdrop, alpha.shape, alpha, item_rng(seed, f"{self.name}:{item}"))
        return _to_bytes(scene + (product - scene) * a)

    def _paint(self, images: Images, alpha: Floats) -> Images:
        stylizer, code = self._painter
        painted = stylizer.apply(images, code).astype(np.float32)
        shot = images.astype(np.float32)
        if self.keep_colour:
            weights = np.array([0.299, 0.587, 0.114], np.float32)
            painted = shot + ((painted - shot) @ weights)[..., None]
        where = {"background": 1 - alpha, "product": alpha, "all": np.ones_like(alpha)}[self.region]
        return _to_bytes(shot + (painted - shot) * (np.float32(self.strength) * where)[..., None])


def _to_bytes(values: Floats) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def builtin_looks() -> dict[str, Look]:
    """The looks that come with the package, by name.

    Example:
        >>> sorted(builtin_looks())
        ['fashion', 'minimalist', 'retro']
    """
    folder = files("style").joinpath("looks")
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    return {p.name.removesuffix(".toml"): _read_builtin(p.name.removesuffix(".toml"), p.read_text("utf-8")) for p in paths}


def _read_builtin(name: str, text: str) -> Look:
    return from_mapping(Look, {"name": name} | tomllib.loads(text), where=f"looks.{name}")


def look_from_mapping(name: str, table: Mapping[str, Any], base: Path) -> Look:
    """A look from a TOML table: changes to the built-in of that name, or one of its own.

    Args:
        name: Also its folder below ``images/``: letters, digits, ``-`` and ``_``.
        table: Its keys.
        base: Where a relative style image is looked for.

    Raises:
        ConfigError: An unknown key, a style image that does not exist, a name that is no folder name.
    """
    if not name or not all(c.isascii() and (c.isalnum() or c in "-_") for c in name) or name in ("original", "best"):
        raise ConfigError(f"a look's name has letters, digits, - and _ and is not 'original' or 'best', got {name!r}")
    known = builtin_looks()
    if not table and name not in known:
        raise ConfigError(f"{unknown_name('look', name, known)}; or describe your own with keys under [looks.{name}]")
    merged = _merge(to_mapping(known[name]) if name in known else {"name": name}, table)
    look = from_mapping(Look, merged, where=f"looks.{name}")
    if not look.image:
        return look
    path = base / look.image
    if not path.is_file():
        raise ConfigError(f"[looks.{name}] style image {look.image} does not exist (looked for {path})")
    return replace(look, image=str(path.resolve()), style_hash=file_hash(path))


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {k: _merge(old[k], v) for k, v in new.items() if isinstance(v, Mapping) and isinstance(old.get(k), Mapping)}
    return dict(old) | dict(new) | both
