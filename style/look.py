"""Looks: named recipes that restyle scene and background freely, and the product only within bounds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recsys.config import from_mapping, to_mapping
from recsys.errors import ConfigError, unknown_name
from recsys.files import file_hash, stable_hash
from recsys.registry import component, names
from style.base import Images, StyleCode, Stylizer
from style.compose import Photo, Picture, compose, planes_of, scene, to_picture
from style.decorators.recipe import Recipe, read_decorators
from style.draft import Draft
from style.guard import GuardConfig
from style.images import decode
from style.lab import Floats
from style.mask import Cutout
from style.masks import MaskSource, mask_source, rebased
from style.scene import Backdrop, Grade, Shadow

VERSION = 3
"""Raised when the same recipe would draw other pixels."""
RESERVED = ("original", "best")
STEPS = 5
"""Bisections of ``back_off = true``: a strength within 1/32 of the largest that passes."""


@dataclass(frozen=True)
class Look:
    """A recipe; every key of ``[looks.<name>]`` in a study file.

    Attributes:
        name: Its name in tables, folders and reports.
        about: One line for people.
        stylizer: Registered stylizer that repaints ``region``; "" for none.
        image: Style image (or several, averaged) of the stylizer, where it needs one.
        options: The stylizer's own parameters.
        decorators: What is laid over the stylizer, the innermost first: see `style.decorators.recipe`.
        accept_licence: That the licence of a stylizer which may forbid commercial use was read and fits.
        region: What the stylizer may touch; the rest is pasted back exactly.
        strength: 0..1, how much of the stylizer's picture is taken.
        keep_colour: Take only lightness from the stylizer.
        mask: How product and background are told apart: ``studio``, ``grabcut``, ``folder:masks/`` (or a zip) or
            ``onnx:net.onnx``; see `style.masks.mask_source`.
        backdrop: What is drawn behind the product; none keeps the photo's own studio.
        shadow: The product's shadow on the backdrop.
        grade: Film tone and texture.
        guard: When a presentation is refused.
        back_off: Take the largest part of the strength, and of the grade on the product, that the guard accepts, by so
            many bisections (true: 5); what passes at full strength keeps it.
    """

    name: str
    about: str = ""
    stylizer: str = ""
    image: tuple[str, ...] | str = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    decorators: tuple[Any, ...] = ()
    accept_licence: bool = False
    region: Literal["background", "product", "all"] = "background"
    strength: float = 1.0
    keep_colour: bool = False
    mask: str = "studio"
    backdrop: Backdrop | None = None
    shadow: Shadow = field(default_factory=Shadow)
    grade: Grade = field(default_factory=Grade)
    guard: GuardConfig = field(default_factory=GuardConfig)
    back_off: bool | int = False

    def __post_init__(self) -> None:
        where = f"[looks.{self.name}]"
        if not all(c.isascii() and (c.isalnum() or c in "-_") for c in self.name) or self.name in ("", *RESERVED):
            raise ConfigError(
                f"a look's name has letters, digits, - and _ and is not {' or '.join(RESERVED)}, got {self.name!r}"
            )
        object.__setattr__(self, "image", (self.image,) if isinstance(self.image, str) else tuple(self.image))
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"{where} strength must be in 0..1, got {self.strength:g}")
        if not 0 <= self.back_off <= 10:
            raise ConfigError(f"{where} back_off must be true, false or 1..10 bisections, got {self.back_off}")
        if self.stylizer:
            self._check_stylizer(where)
        object.__setattr__(self, "decorators", read_decorators(self.decorators, Path(), where=where))
        if self.decorators and not self.stylizer:
            raise ConfigError(f"{where} has decorators but no stylizer to lay them over; add stylizer = …")
        mask_source(self.mask)
        if self.image and not self.stylizer:
            raise ConfigError(f'{where} has a style image but no stylizer; add stylizer = "magenta"')
        for path in self.image:
            if not Path(path).is_file():
                raise ConfigError(f"{where} style image {path} does not exist; paths are relative to the study file")
        if not self.stylizer and self.backdrop is None and self.grade == Grade():
            raise ConfigError(f"{where} changes nothing; give it a stylizer, a backdrop or a grade")

    def _check_stylizer(self, where: str) -> None:
        if self.stylizer not in names("stylizers"):
            raise ConfigError(f"{where}: {unknown_name('stylizer', self.stylizer, names('stylizers'))}")
        spec = component("stylizers", self.stylizer).spec
        if not self.image and "style-image" in spec.needs:
            raise ConfigError(f'{where} stylizer {self.stylizer!r} needs a style image; add image = "style.jpg"')
        if not spec.commercial and not self.accept_licence:
            licence = spec.weights_licence or spec.code_licence
            raise ConfigError(
                f"{where} stylizer {self.stylizer!r} may not be free for commercial use (licence: {licence}); "
                "read it, then add accept_licence = true"
            )

    @cached_property
    def recipe(self) -> str:
        """Hash of all that decides the pixels, style images by content.

        Of the guard only ``min_mask`` is among it, below which no picture is made, but all of it where the strength
        backs off until it passes; of a trained stylizer its weights.
        """
        table = to_mapping(self)
        for name in ("about", "guard", "image", "accept_licence", "decorators", "mask"):
            del table[name]
        marks = [file_hash(path) for path in self.image]
        marks += [self.mask.partition(":")[0], *self.masks.marks()]  # a folder's masks count item by item
        marks += [Recipe(self.stylizer, self.options, self.decorators).key] if self.decorators else []
        trained = getattr(component("stylizers", self.stylizer), "fingerprint", None) if self.stylizer else None
        marks += [] if trained is None else [trained(self.options)]
        guard = to_mapping(self.guard) if self.steps else self.guard.min_mask
        return stable_hash([VERSION, table, guard, marks])

    @cached_property
    def key(self) -> str:
        """Hash of the recipe and its guard."""
        return stable_hash([self.recipe, to_mapping(self.guard)])

    @property
    def needs_mask(self) -> bool:
        """Whether it can only be made where product and background can be told apart."""
        return self.backdrop is not None or self.region != "all"

    @property
    def steps(self) -> int:
        """Bisections of the strength; 0 when it does not back off."""
        return STEPS if self.back_off is True else int(self.back_off)

    @cached_property
    def masks(self) -> MaskSource:
        """Tells its products from their backgrounds."""
        return mask_source(self.mask)

    @cached_property
    def painter(self) -> tuple[Stylizer, StyleCode] | None:
        """The stylizer and the code of its style; None without one."""
        if not self.stylizer:
            return None
        made = Recipe(self.stylizer, self.options, self.decorators).make()
        codes = [made.encode(decode(Path(path).read_bytes()).pixels[None]) for path in self.image]
        if not codes:
            return made, made.encode(np.empty((0, 16, 16, 3), np.uint8))
        return made, StyleCode.mix({code: 1.0 / len(codes) for code in codes})

    def make(self, images: Images, ids: Sequence[str], seed: int = 0, *, cutout: Cutout | None = None) -> Images:
        """Restyle (n, h, w, 3) uint8 photos of the items ``ids`` to the same shape.

        What is random in a picture comes from seed, look and item id, so the batch and its order change nothing. Where
        the look needs a mask and it is doubtful (``cutout.confidence`` below the guard's ``min_mask``), the photo comes
        back as it was.

        Example:
            >>> photo = np.full((1, 96, 64, 3), 250, np.uint8)
            >>> photo[0, 30:70, 20:44] = (180, 30, 60)
            >>> made = builtin_looks()["fashion"].make(photo, ["a"])
            >>> made.shape, bool((made[0, 40:60, 25:40] == photo[0, 40:60, 25:40]).all())
            ((1, 96, 64, 3), True)
        """
        cut = self.masks.cut(images, ids) if cutout is None else cutout
        rows = np.flatnonzero((cut.confidence >= self.guard.min_mask) | (not self.needs_mask)).tolist()
        out = images.copy()
        if rows:
            draft = self.draft(images[rows], [ids[i] for i in rows], seed, cutout=cut.take(rows))
            out[rows] = draft.at(range(len(rows)), [1.0] * len(rows))
        return out

    def draft(self, images: Images, ids: Sequence[str], seed: int = 0, *, cutout: Cutout | None = None) -> Draft:
        """All of ``make`` that does not depend on the strength, whatever the masks' confidence."""
        cut = self.masks.cut(images, ids) if cutout is None else cutout
        photos = [self._photo(image, cut, i, ids[i], seed) for i, image in enumerate(images)]
        scenes = [scene(photo, self.backdrop, self.shadow, self.grade) for photo in photos]
        before, after, empty = self._painted(photos, scenes)
        how = (empty, self.region, self.strength, self.keep_colour, self.grade, self.shadow.studio)
        return Draft(photos, scenes, before, after, *how)

    def _photo(self, image: Picture, cut: Cutout, i: int, item: str, seed: int) -> Photo:
        rng = np.random.default_rng([seed & 0xFFFFFFFF, int(stable_hash([self.name, item])[:15], 16)])
        return Photo(planes_of(image), cut.alpha[i], cut.background[i], rng)

    def _painted(self, photos: Sequence[Photo], scenes: Sequence[Floats]) -> tuple[list[Picture], list[Picture], bool]:
        """What the stylizer sees of each photo, what it makes of it, and whether that is the scene alone."""
        if self.painter is None or not photos:
            return [], [], False
        stylizer, code = self.painter
        empty = self.region == "background" and self.backdrop is not None  # no ghost of the product on its backdrop
        pairs = zip(photos, scenes, strict=True)
        before = [to_picture(g) if empty else compose(p, g, self.grade, studio=self.shadow.studio) for p, g in pairs]
        return before, list(stylizer.apply(np.stack(before), code)), empty


def builtin_tables() -> dict[str, dict[str, Any]]:
    """The TOML tables of the built-in looks by name."""
    folder = resources.files("style") / "looks"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): tomllib.loads(f.read_text(encoding="utf-8")) for f in files}


def builtin_looks() -> dict[str, Look]:
    """The looks that come with stylerec.

    Example:
        >>> list(builtin_looks())
        ['fashion', 'festive', 'luxury', 'minimalist', 'natural', 'retro', 'street']
    """
    return {name: look_from_mapping(name, {}, Path()) for name in builtin_tables()}


def look_from_mapping(name: str, mapping: Mapping[str, Any], base: Path) -> Look:
    """A look from its TOML table; the name of a built-in look starts from that look.

    Args:
        name: Its name.
        mapping: Keys of `Look`.
        base: The folder that style images are relative to.

    Raises:
        ConfigError: An unknown key, a value out of range, or a style image that does not exist.

    Example:
        >>> look_from_mapping("retro", {"grade": {"grain": 0.0}}, Path()).grade.grain
        0.0
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"[looks.{name}] must be a table, got {mapping!r}")
    known = builtin_tables()
    if not mapping and name not in known:
        raise ConfigError(f"{unknown_name('look', name, known)}; or describe your own with keys under [looks.{name}]")
    table = _merged(known.get(name, {}), mapping)
    if "name" in mapping:
        keys = [f.name for f in fields(Look) if f.name != "name"]
        raise ConfigError(unknown_name(f"key in [looks.{name}]", "name", keys))
    if isinstance(mapping.get("mask"), str):
        table["mask"] = rebased(table["mask"], base)
    if "decorators" in mapping:
        table["decorators"] = read_decorators(table["decorators"], base, where=f"[looks.{name}]")
    given = table.get("image", ())
    if given:
        paths = [given] if isinstance(given, str) else list(given)
        table["image"] = tuple(str(base / path) for path in paths)
    return from_mapping(Look, table | {"name": name}, where=f"looks.{name}")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {**old, **new}
    tables = [key for key in new if isinstance(new[key], Mapping) and isinstance(old.get(key), Mapping)]
    return both | {key: _merged(old[key], new[key]) for key in tables}
