"""A reason as a picture: the photo, where its style is seen, and the known photos nearest to it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from recsys.errors import ConfigError
from recsys.files import write_bytes
from style.base import Images

SIDE = 2.6
"""Inches of a panel."""
LONGEST = 28
"""Letters under a panel."""


def write_reason(panels: Sequence[tuple[str, Images]], words: str, path: Path) -> None:
    """Write panels side by side, each with its caption, under the words.

    Args:
        panels: Caption and (h, w, 3) uint8 of each.
        words: The heading.
        path: Ends in .png or .svg.

    Raises:
        ConfigError: It does not.
    """
    kind = path.suffix.lower()
    if kind not in (".png", ".svg"):
        raise ConfigError(f"a picture must end in .svg or .png, got {path.name}")
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stylerec"}):
        about = {"Description": f"{words}: {', '.join(caption for caption, _ in panels)}"}
        nameless = {"Software": None} if kind == ".png" else {"Date": None, "Creator": None}
        figure(panels, words).savefig(out, format=kind[1:], dpi=150, metadata=about | nameless)
    write_bytes(path, out.getvalue())


def figure(panels: Sequence[tuple[str, Images]], words: str) -> Figure:
    """The picture; panels have one height."""
    shapes = [photo.shape[1] / photo.shape[0] for _, photo in panels]
    made = Figure(figsize=(max(SIDE * sum(shapes) + 0.15 * len(shapes), 2 * SIDE), SIDE + 0.85), layout="constrained")
    made.suptitle(words, x=0.02, ha="left", fontsize=12)
    places = made.subplots(1, len(panels), width_ratios=shapes, squeeze=False)[0]
    for place, (caption, photo) in zip(places, panels, strict=True):
        place.imshow(photo)
        place.set_axis_off()
        place.set_title(caption if len(caption) <= LONGEST else f"{caption[: LONGEST - 1]}…", fontsize=9, y=-0.12)
    return made
