"""Restyle a clip by a look, or by a stylizer alone, without a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.registry import component, names
from study.pictures import choose_looks
from style.base import Images
from style.look import Look
from style.mask import cut_out
from style.scene import Grade
from style.video import Paint, VideoConfig, restyle_video


def transfer_clip(clip: Path, look: Look, out: Path, *, seed: int, config: VideoConfig) -> list[dict[str, Any]]:
    """Restyle every frame; answers one row, see `style.video.ClipReport`."""
    report = restyle_video(
        clip, out, paint_all(look, seed) if plain(look) else paint_look(look, clip.stem, seed), config
    )
    return [{"look": look.name, **asdict(report), "in": str(out)}]


def choose_look(
    look: str = "",
    looks_file: Path | None = None,
    *,
    stylizer: str = "",
    styles: Sequence[Path] = (),
    **keys: Any,
) -> Look:
    """One look: by name, built in or from a file, or a stylizer that repaints all of each frame.

    Args:
        look: Built in, or one of the file's.
        looks_file: TOML of [name] tables.
        stylizer: In place of both.
        styles: Its style images.
        **keys: Further attributes of that `Look`: ``options``, ``strength``, ``accept_licence``.

    Raises:
        ConfigError: None, or more than one of them; or the look is not known or cannot be.
    """
    if bool(stylizer) == bool(look or looks_file):
        raise ConfigError("give --stylizer for the whole picture, or --look or --looks for a recipe; one of them")
    if stylizer:
        _check_stylizer(stylizer, styles, keys)
        images = tuple(str(path) for path in styles)
        name = stylizer.replace(".", "-")
        return Look(name, stylizer=stylizer, image=images, region="all", **keys)
    found = choose_looks([look] if look else [], looks_file)
    found = [one for one in found if not look or one.name == look]
    if len(found) != 1:
        raise ConfigError(f"a clip takes one look, got {len(found)} of {looks_file}; name it with --look")
    return found[0]


def _check_stylizer(stylizer: str, styles: Sequence[Path], keys: Mapping[str, Any]) -> None:
    """What `Look` refuses, too, but here the cure is another one."""
    if stylizer not in names("stylizers"):
        return
    spec = component("stylizers", stylizer).spec
    if "style-image" in spec.needs and not styles:
        raise ConfigError(f"{stylizer} needs a style image; give one with --style")
    if not (spec.commercial or keys.get("accept_licence")):
        licence = spec.weights_licence or spec.code_licence
        raise ConfigError(
            f"{stylizer} may not be free for commercial use (licence: {licence}); read it, then add --accept-licence"
        )


def plain(look: Look) -> bool:
    """Whether it is no more than a stylizer on the whole picture, so that nothing needs to be cut out."""
    drawn = look.backdrop is not None or look.grade != Grade()
    return bool(look.stylizer) and look.region == "all" and not (drawn or look.keep_colour)


def paint_all(look: Look, seed: int) -> Paint:
    """A stylizer on whole frames, with one seed, so that what is random in it does not flicker."""
    if look.painter is None:
        raise ConfigError(f"look {look.name!r} has no stylizer")
    stylizer, code = look.painter

    def paint(frames: Images) -> Images:
        made = stylizer.apply(frames, code, seed=seed)
        if look.strength == 1:
            return made
        mixed = frames + np.float32(look.strength) * (made.astype(np.float32) - frames)
        return np.asarray((mixed + np.float32(0.5)).astype(np.uint8))

    return paint


def paint_look(look: Look, item: str, seed: int) -> Paint:
    """A look on frames that show one item; whether its mask can be trusted is decided once, by the first frames.

    Raises:
        DataError: (From the result.) The look needs a mask, and it is doubtful there.
    """
    trusted = not look.needs_mask

    def paint(frames: Images) -> Images:
        nonlocal trusted
        cut = cut_out(frames)
        sure = float(np.median(cut.confidence))
        if not trusted and sure < look.guard.min_mask:
            raise DataError(
                f"look {look.name!r} needs a product before an even background, and the mask of the first frames is "
                f"doubtful ({sure:.2f}, expected {look.guard.min_mask:g}); lower guard.min_mask, or take a look with "
                'region = "all"'
            )
        trusted = True
        return look.make(
            frames, [item] * len(frames), seed, cutout=replace(cut, confidence=np.ones_like(cut.confidence))
        )

    return paint
