"""Photos that belong together – near-duplicates, colour-ways of one product – are never torn apart by a split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.fft
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from recsys.errors import ConfigError, DataError
from style.base import Images
from style.classify.labels import Codes, Labels
from style.classify.logistic import Rows, Values

COLOURS = frozenset(
    """
    beige black blue bronze brown burgundy camel charcoal copper coral cream fluorescent fuchsia gold golden green grey
    gray indigo ivory khaki lavender lime magenta maroon mauve metallic mint multi multicolor multicoloured mustard navy
    nude off-white olive orange peach pink plum purple red rose rust sand silver steel tan taupe teal turquoise violet
    white wine yellow dark light
    """.split()  # noqa: SIM905 - one word after another reads better
)
"""What a title loses before two titles are compared."""
ALIKE = 0.95
"""Cosine of two pictures' rows from which they may show one product."""
BITS = 12
"""Differing bits of 64 up to which two perceptual hashes are of one picture."""
CHUNK = 1024


class PerceptualHash:
    """64 signs of a picture's low frequencies (Zauner 2010): an encoder for `near_duplicates`, with no weights.

    The grey picture at 32 × 32, its cosine transform, the 8 × 8 lowest frequencies that vary along both
    sides, each as 1 where it is above their median and -1 elsewhere. Colour-ways of one photo share most signs.
    """

    name = "phash"
    size = 32
    semantic = False
    whiten = 0

    def encode(self, images: Images) -> Rows:
        """(n, 32, 32, 3) uint8 → (n, 64) of ±1."""
        grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        if not len(images):
            return np.empty((0, 64), np.float32)
        low = scipy.fft.dctn(grey, axes=(1, 2), norm="ortho")[:, 1:9, 1:9].reshape(len(images), 64)
        return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32)


def title_groups(titles: Iterable[str]) -> Codes:
    """(n,) the same number for titles that differ in colour words, case and punctuation only; blank ones stand alone.

    Example:
        >>> title_groups(["Lee Men Blue Jeans", "lee men black jeans", "", ""]).tolist()
        [0, 0, 1, 2]
    """
    stems = [" ".join(w for w in re.findall(r"[\w-]+", title.lower()) if w not in COLOURS) for title in titles]
    alone = [stem or f"\0{i}" for i, stem in enumerate(stems)]
    return np.asarray(pd.factorize(np.asarray(alone, dtype=object))[0], dtype=np.int64)


def near_duplicates(rows: Rows, *, hashes: Rows | None = None, alike: float = ALIKE, bits: int = BITS) -> Codes:
    """(n,) the same number for pictures that are the same but for a crop, a file or a colour.

    Two are linked where the cosine of their rows is at least ``alike`` and, with hashes, at most ``bits`` of them
    differ; linked ones of linked ones belong together. Rows of zeros (photos that failed) are linked to nothing.

    Args:
        rows: (n, d) of a semantic encoder.
        hashes: (n, 64) of `PerceptualHash`.
        alike: In (0, 1].
        bits: In 0 … 64.

    Raises:
        ConfigError: A bound out of range.

    Example:
        >>> near_duplicates(np.array([[1, 0], [0, 1], [1, 0.01]], np.float32)).tolist()
        [0, 1, 0]
    """
    if not 0 < alike <= 1 or not 0 <= bits <= 64:
        raise ConfigError(f"alike must be in (0, 1] and bits in 0 … 64, got {alike} and {bits}")
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    links: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(rows), CHUNK):
        near = unit[start : start + CHUNK] @ unit[start:].T >= min(alike, 1 - 1e-6)
        if hashes is not None:
            near &= hashes[start : start + CHUNK] @ hashes[start:].T >= hashes.shape[1] - 2 * bits
        links.append(np.argwhere(near) + start)
    pairs = np.concatenate(links) if links else np.empty((0, 2), np.int64)
    return _components(pairs[:, 0], pairs[:, 1], len(rows))


def merge_groups(*codes: Codes) -> Codes:
    """(n,) groups such that rows that share any of the given ones stand together.

    Raises:
        DataError: They are of different numbers of rows.

    Example:
        >>> merge_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
        [0, 0, 0, 1]
    """
    if len({len(c) for c in codes}) != 1:
        raise DataError(f"groups must be of the same rows, got {[len(c) for c in codes]}")
    n, rows, hubs, shift = len(codes[0]), [], [], len(codes[0])
    for code in codes:
        dense = pd.factorize(code)[0]
        rows.append(np.arange(n))
        hubs.append(dense + shift)
        shift += int(dense.max(initial=-1)) + 1
    return np.asarray(pd.factorize(_components(np.concatenate(rows), np.concatenate(hubs), shift)[:n])[0], np.int64)


def _components(a: npt.NDArray[Any], b: npt.NDArray[Any], n: int) -> Codes:
    graph = sp.coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
    return np.asarray(pd.factorize(connected_components(graph, directed=False)[1])[0], dtype=np.int64)


def group_folds(labels: Labels, groups: Codes, n_folds: int, *, seed: int = 0) -> Codes:
    """(n,) the fold of each row, -1 for unlabelled ones: groups stay whole, classes are spread evenly.

    Raises:
        ConfigError: Fewer than 2 folds.
        DataError: A class lies in one group only: no fold could hold it out. It is named, with an item.
    """
    if n_folds < 2:
        raise ConfigError(f"folds must be >= 2, got {n_folds}")
    known, dense, place, _ = _dealt(labels, groups, seed)
    found = np.full(len(labels), -1, np.int64)
    found[known] = np.minimum((place * n_folds).astype(np.int64), n_folds - 1)[dense]
    return found


def split_groups(labels: Labels, groups: Codes, share: float, *, seed: int = 0) -> npt.NDArray[np.bool_]:
    """(n,) whether a row is held out: about ``share`` of each class, at least one of its groups and never all.

    Unlabelled rows follow their group; those of no labelled one stay.

    Raises:
        ConfigError: ``share`` outside of (0, 0.5].
        DataError: As `group_folds`.
    """
    if not 0 < share <= 0.5:
        raise ConfigError(f"the share that is held out must be in (0, 0.5], got {share}")
    known, dense, place, first = _dealt(labels, groups, seed)
    out = (place < share) | first
    return np.isin(np.asarray(groups), np.asarray(groups)[known[out[dense]]])


def _dealt(labels: Labels, groups: Codes, seed: int) -> tuple[Codes, Codes, Values, npt.NDArray[np.bool_]]:
    """Groups in random order within the class that rules each: the commonest of its rows, of equals the rarest.

    Returns:
        The labelled rows, the group of each as 0 … g - 1, and of each group the place of its middle in its class
        (0 … 1, by rows) and whether it is the first there.
    """
    known = np.flatnonzero(labels.known)
    dense = np.asarray(pd.factorize(np.asarray(groups)[known])[0], np.int64)
    n_groups, n_classes = int(dense.max(initial=-1)) + 1, len(labels.classes)
    member = sp.csr_array((np.ones(len(known)), (dense, np.arange(len(known)))), shape=(n_groups, len(known)))
    held = member @ labels.targets[known]
    for name, column, spread in zip(labels.classes, labels.targets.T, (held > 0).sum(axis=0), strict=True):
        if spread == 1:
            item = labels.ids.ids[int(column.argmax())]
            raise DataError(
                f"class {name!r} has all its examples in one group of like photos (item {item!r}), so none can be held "
                "out; label photos of another product or leave the class out"
            )
    rarity = np.argsort(np.argsort(held.sum(axis=0), kind="stable"), kind="stable")
    ruling = np.where(held >= held.max(axis=1, keepdims=True), rarity, n_classes).argmin(axis=1)
    shuffled = np.random.default_rng(seed).permutation(n_groups)
    order = shuffled[np.argsort(ruling[shuffled], kind="stable")]
    size: Values = np.asarray(member.sum(axis=1))[order]
    ruler = ruling[order]
    total = np.bincount(ruler, size, minlength=n_classes)
    middle = np.cumsum(size) - size / 2 - (np.cumsum(total) - total)[ruler]
    place, first = np.empty(n_groups), np.empty(n_groups, bool)
    place[order] = middle / total[ruler]
    first[order] = np.diff(ruler, prepend=-1) > 0
    return known, dense, place, first


def codes_of(values: Sequence[str]) -> Codes:
    """(n,) numbers for texts; blank ones stand alone."""
    return np.asarray(
        pd.factorize(np.asarray([v or f"\0{i}" for i, v in enumerate(values)], dtype=object))[0], np.int64
    )
