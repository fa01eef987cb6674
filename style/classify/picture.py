"""A confusion matrix as a picture: shares by row, counts in the cells."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from recsys.errors import ConfigError
from recsys.files import write_bytes
from style.classify.measure import Score

LONGEST = 18
"""Letters of a class's name."""
LARGE = 25
"""Classes from which cells hold no numbers."""


def write_confusion(score: Score, path: Path) -> None:
    """Write it as SVG or PNG; the text alternative says every class's F1.

    Raises:
        ConfigError: The name ends in neither.
    """
    kind = path.suffix.lower()
    if kind not in (".svg", ".png"):
        raise ConfigError(f"a picture must end in .svg or .png, got {path.name}")
    out, about = io.BytesIO(), alternative(score)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stylerec"}):
        metadata = {"Description": about} | ({"Software": None} if kind == ".png" else {"Date": None, "Creator": None})
        figure(score).savefig(out, format=kind[1:], dpi=150, metadata=metadata)
    data = out.getvalue()
    if kind == ".svg":
        text, label = data.decode(), f' role="img" aria-label="{escape(about, {chr(34): "&quot;"})}"'
        at = text.index(">", text.index("<svg "))
        data = (text[:at] + label + text[at:]).encode()
    write_bytes(path, data)


def alternative(score: Score) -> str:
    """The picture in words."""
    each = "; ".join(
        f"{name} {f1:.2f} of {n:,}" for name, f1, n in score.table[["class", "f1", "photos"]].itertuples(index=False)
    )
    return f"Confusion matrix. Macro-F1 {score.macro_f1:.3f}. F1 by class: {each}."


def figure(score: Score) -> Figure:
    """Truth by row, shares of it in blue; right cells stand on the diagonal."""
    k = len(score.classes)
    side = min(max(0.78 * k, 2.4), 12)
    drawn = Figure(figsize=(side + 3.0, side + 2.2))
    width, height = drawn.get_size_inches()
    axes = drawn.add_axes((2.3 / width, 0.35 / height, side / width, side / height))
    total = score.counts.sum(axis=1, keepdims=True)
    share = score.counts / np.maximum(total, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [_short(name) for name in score.classes]
    axes.set_yticks(range(k), [f"{name}  {n:,}" for name, n in zip(names, total[:, 0], strict=True)], parse_math=False)
    turned: dict[str, Any] = (
        {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if max(map(len, names)) > 8 or k > 6 else {}
    )
    axes.set_xticks(range(k), names, parse_math=False, **turned)
    axes.tick_params(length=0, labelsize=9, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0, top=False)
    axes.spines[:].set_visible(False)
    if k < LARGE:
        for i, j in np.ndindex(k, k):
            ink = "white" if share[i, j] > 0.55 else "#1d1b18" if score.counts[i, j] else "#b8b2a7"
            axes.text(j, i - 0.1, f"{share[i, j]:.0%}", ha="center", va="center", size=9, color=ink)
            axes.text(j, i + 0.2, f"{score.counts[i, j]:,}", ha="center", va="center", size=7, color=ink)
    low, high = score.interval
    top = 1 - 0.3 / height
    drawn.text(0.15 / width, top, f"Macro-F1 {score.macro_f1:.3f}", size=12, weight="bold", va="center")
    drawn.text(
        0.15 / width,
        top - 0.27 / height,
        f"95 % interval {low:.3f} to {high:.3f}, {total.sum():,} photos",
        size=9,
        va="center",
    )
    drawn.text(
        0.15 / width,
        top - 0.5 / height,
        "true class down, with its photos; named class across",
        size=9,
        color="#5f5a52",
        va="center",
    )
    return drawn


def _short(text: str) -> str:
    plain = "".join(c if c.isprintable() else "□" for c in text)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
