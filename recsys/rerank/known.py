"""What re-ranking may look at: features, the catalogue, and what users have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, unknown_name
from recsys.rerank.lists import Ints, Lists

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Known:
    """Items, and whatever else is known; a step that needs more says so.

    Attributes:
        items: Items in index order.
        features: Feature blocks of the items.
        catalog: Columns of the items, one row an item in the order of ``items``.
        users: Users in the order of ``history``.
        history: (n_users, n_items) CSR of weights >= 0: what users have.
        styles: How many groups a dense block is clustered into, where a step asks for groups of style.
        seed: Of that clustering.
    """

    items: IdMap
    features: FeatureTable | None = None
    catalog: pd.DataFrame | None = None
    users: IdMap | None = None
    history: sp.csr_array | None = None
    styles: int = 12
    seed: int = 0

    @classmethod
    def of(cls, data: Dataset, catalog: Catalog | None = None, *, styles: int = 12, seed: int = 0) -> Known:
        """Everything a data set and its catalogue tell.

        Raises:
            UnknownIdError: The catalogue lacks an item of the data set.
        """
        columns = None
        if catalog is not None:
            columns = catalog.frame.iloc[IdMap.of(catalog.ids).encode(data.items.ids)].reset_index(drop=True)
        return cls(data.items, data.item_features, columns, data.users, data.matrix, styles, seed)

    def column(self, name: str) -> pd.Series:
        """A catalogue column, one entry an item.

        Raises:
            ConfigError: There is no catalogue or no such column.
        """
        columns = [] if self.catalog is None else list(self.catalog.columns)
        if self.catalog is None or name not in columns:
            raise ConfigError(unknown_name("catalogue column", name, map(str, columns)))
        return self.catalog[name]

    def block(self, name: str) -> FeatureBlock:
        """A feature block.

        Raises:
            ConfigError: There is no such block.
        """
        names = () if self.features is None else self.features.names
        if self.features is None or name not in names:
            raise ConfigError(unknown_name("feature block", name, names))
        return self.features[name]

    def vectors(self, blocks: tuple[str, ...], item: Ints) -> Floats:
        """(*item.shape, d) vectors whose inner product is the mean cosine over ``blocks``; a zero row is like nothing.

        ``item`` may hold -1, whose vector means nothing.
        """
        parts = []
        for name in blocks:
            rows: Any = self.block(name).values[np.maximum(item, 0).ravel()]
            dense = np.asarray(rows.toarray() if self.block(name).is_sparse else rows, np.float32)
            norms = np.linalg.norm(dense, axis=1, keepdims=True)
            parts.append(dense / np.where(norms > 0, norms, 1) / np.float32(np.sqrt(len(blocks))))
        return np.concatenate(parts, axis=1, dtype=np.float32).reshape(*item.shape, -1)

    def groups(self, by: str) -> tuple[Ints, tuple[str, ...]]:
        """(n_items,) group of every item, -1 for none, and the groups' names.

        ``by`` is a catalogue column (its distinct values; blank is none), or a feature block: its largest column
        where columns have names, else `styles` clusters of its rows' directions.

        Raises:
            ConfigError: Neither a column nor a block is called so.
        """
        if self.catalog is not None and by in self.catalog.columns:
            codes, names = pd.factorize(self.catalog[by].replace("", np.nan), sort=True)
            return np.asarray(codes, np.int64), tuple(str(n) for n in names)
        if self.features is not None and by in self.features.names:
            return _block_groups(self.features[by], self.styles, self.seed)
        known = [] if self.catalog is None else [str(c) for c in self.catalog.columns]
        known += [] if self.features is None else list(self.features.names)
        raise ConfigError(unknown_name("catalogue column or feature block", by, sorted(set(known))))

    def shares(self, lists: Lists, group: Ints, n_groups: int) -> npt.NDArray[np.float64]:
        """(n_lists, n_groups) share of each group in what the users have; a zero row for those who have nothing.

        Raises:
            ConfigError: No history is known.
        """
        if self.users is None or self.history is None:
            raise ConfigError("calibration needs what users have; make Known with users and history")
        inside = np.flatnonzero(group >= 0)
        member = sp.csr_array((np.ones(len(inside)), (inside, group[inside])), shape=(len(group), n_groups))
        place = self.users.positions(lists.user_id)
        counts = np.asarray((self.history[np.maximum(place, 0)] @ member).toarray(), np.float64)
        counts[place < 0] = 0
        total = counts.sum(axis=1, keepdims=True)
        return counts / np.where(total > 0, total, 1)


def _block_groups(block: FeatureBlock, styles: int, seed: int) -> tuple[Ints, tuple[str, ...]]:
    values: Any = block.values
    if block.columns is not None:
        if not block.shape[1]:
            return np.full(block.shape[0], -1, np.int64), ()
        highest: Any = values.max(axis=1)
        present = np.asarray(highest.toarray() if block.is_sparse else highest).ravel() > 0
        return np.where(present, np.asarray(values.argmax(axis=1)).ravel(), -1).astype(np.int64), block.columns
    dense = np.asarray(values.toarray() if block.is_sparse else values, np.float32)
    if not dense.any():
        raise ConfigError(f"feature block {block.name!r} is all zeros and knows no groups of style; name another")
    code = style_clusters(dense, styles, np.random.default_rng(seed))
    return code, tuple(f"{block.name} {i + 1}" for i in range(styles))


def style_clusters(vectors: Floats, n: int, rng: np.random.Generator, *, steps: int = 20) -> Ints:
    """(len(vectors),) cluster of every row by spherical k-means; a zero row belongs to none (-1).

    Source: Dhillon and Modha (2001), Concept Decompositions for Large Sparse Text Data Using Clustering.

    Example:
        >>> rows = np.array([[1, 0], [2, 0.1], [0, 1], [0, 0]], dtype=np.float32)
        >>> code = style_clusters(rows, 2, np.random.default_rng(0))
        >>> bool(code[0] == code[1] != code[2]), int(code[3])
        (True, -1)
    """
    norms = np.linalg.norm(vectors, axis=1)
    known = np.flatnonzero(norms > 0)
    unit = vectors[known] / norms[known, None]
    if n < 1 or not len(unit):
        raise ConfigError(f"style clusters need n >= 1 and rows that are not zero, got n = {n} and {len(unit)} rows")
    sample = unit[rng.permutation(len(unit))[:20_000]]
    centres = _spread(sample, min(n, len(sample)), rng)
    for _ in range(steps):
        near = (sample @ centres.T).argmax(axis=1)
        member = sp.csr_array((np.ones(len(near), np.float32), (near, np.arange(len(near)))), (len(centres), len(near)))
        sums = np.asarray(member @ sample)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(length > 0, sums / np.where(length > 0, length, 1), centres)
    code = np.full(len(vectors), -1, np.int64)
    code[known] = (unit @ centres.T).argmax(axis=1)
    return code


def _spread(unit: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Starting centres far from each other (k-means++ on angles)."""
    chosen = [int(rng.integers(len(unit)))]
    for _ in range(n - 1):
        far = np.maximum(1 - (unit @ unit[chosen].T).max(axis=1), 0).astype(np.float64)
        chosen.append(int(rng.choice(len(unit), p=far / far.sum())) if far.sum() > 0 else int(rng.integers(len(unit))))
    return unit[chosen]
