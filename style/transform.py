"""What is done to an encoder's rows before use: the category's mean off (DeepStyle), then PCA or whitening."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from recsys.errors import ArtifactError, DataError
from recsys.files import stable_hash, write_bytes
from style.whitening import Whitening

Rows = npt.NDArray[np.float32]

FEWEST = 5
"""A category with fewer items has no mean of its own and takes the mean of all."""


@dataclass(frozen=True, eq=False)
class CategoryMeans:
    """The mean row of each category: what is left of an item without it is its style, not its kind.

    Attributes:
        categories: Names.
        means: (categories + 1, d); the last one is the mean of all, for other and blank categories.

    Source: Liu, Wu, Wang, "DeepStyle: Learning User Preferences for Visual Recommendation", SIGIR 2017, eq. 3, where
    the category's part is learned; here it is the mean.

    Example:
        >>> rows = np.float32([[1], [2], [3], [4], [5], [11], [12], [13], [14], [15]])
        >>> fitted = CategoryMeans.fit(rows, ["bag"] * 5 + ["shoe"] * 5)
        >>> fitted.apply(rows[[0, 5]], ["bag", "shoe"]).tolist(), fitted.apply(rows[:1], ["hat"]).tolist()
        ([[-2.0], [-2.0]], [[-7.0]])
    """

    categories: tuple[str, ...]
    means: Rows

    @classmethod
    def fit(cls, rows: npt.ArrayLike, labels: Sequence[str]) -> CategoryMeans:
        """Means of the categories with at least `FEWEST` rows.

        Raises:
            DataError: No rows, or another number of labels.
        """
        x, names = np.asarray(rows), np.asarray(labels, dtype=object)
        if not len(x) or len(x) != len(names):
            raise DataError(f"category means need rows and as many labels, got {len(x)} and {len(names)}")
        known, code, count = np.unique(names.astype(str), return_inverse=True, return_counts=True)
        kept = [i for i in range(len(known)) if count[i] >= FEWEST and known[i]]
        means = [x[code == i].mean(axis=0, dtype=np.float64) for i in kept]
        return cls(tuple(known[kept].tolist()), np.stack([*means, x.mean(axis=0, dtype=np.float64)]).astype(np.float32))

    def apply(self, rows: npt.ArrayLike, labels: Sequence[str]) -> Rows:
        """(n, d) minus the mean of each row's category."""
        place = {name: i for i, name in enumerate(self.categories)}
        return np.asarray(rows, np.float32) - self.means[[place.get(str(name), len(place)) for name in labels]]


@dataclass(frozen=True, eq=False)
class Transform:
    """Fitted on a catalogue's originals; applied to new items and to every presentation.

    Attributes:
        means: Taken off first, or None.
        pca: Then these directions, or None.
        provenance: What it was fitted on, by which options.
    """

    means: CategoryMeans | None = None
    pca: Whitening | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, rows: npt.ArrayLike, block: str, *, dims: int = 0, whiten: bool = True, labels: Sequence[str] | None = None
    ) -> Transform:
        """Fit what is asked for.

        Args:
            rows: (n, d) of the originals.
            block: Its name, for messages.
            dims: Directions to keep; 0 leaves the rows' own.
            whiten: Give the directions equal variance.
            labels: The rows' categories, whose means are taken off; None takes off nothing.

        Raises:
            DataError: Too few rows to fit on.

        Warns:
            UserWarning: All rows are the same.
        """
        x = np.asarray(rows)
        if len(x) < 2 and (dims or labels is not None):
            raise DataError(
                f"block {block!r}: {len(x)} usable pictures are too few to fit on; give photos, or leave it out"
            )
        if len(x) > 1 and (x[0] == x).all():
            warnings.warn(
                f"block {block!r}: all {len(x)} rows are the same; it tells nothing, leave it out", stacklevel=2
            )
        means = None if labels is None else CategoryMeans.fit(x, labels)
        x = x if means is None or labels is None else means.apply(x, labels)
        pca = Whitening.fit(x, dims, whiten=whiten) if dims else None
        about = {
            "fitted_on": len(x),
            "whiten": bool(dims and whiten),
            "dims": pca.directions.shape[1] if pca else x.shape[1],
        }
        about |= {"categories": len(means.categories) if means else 0}
        if pca:
            about["variance_kept"] = pca.kept
        return cls(means, pca, about)

    def apply(self, rows: npt.ArrayLike, labels: Sequence[str] | None = None) -> Rows:
        """(n, d) → (n, k).

        Raises:
            DataError: Categories are needed and not given, or the rows are of another width.
        """
        x = np.asarray(rows, np.float32)
        if self.means is not None:
            if labels is None:
                raise DataError("the mean of each item's category is taken off here; give the items' categories")
            x = self.means.apply(x, labels)
        return x if self.pca is None else self.pca.apply(x)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name, as they are saved."""
        found: dict[str, npt.NDArray[Any]] = {}
        if self.means is not None:
            found["category_means"] = self.means.means
        if self.pca is not None:
            found |= {"mean": self.pca.mean, "directions": np.ascontiguousarray(self.pca.directions)}
        return found

    @property
    def key(self) -> str:
        """A digest of the parameters: two blocks may be compared where it is the same."""
        parts = {name: [a.shape, a.tobytes().hex()] for name, a in self.arrays().items()}
        return stable_hash([parts, self.means.categories if self.means else []])[:16]


def save_fitted(path: Path, transform: Transform, learned: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a transform, and what a text encoder learned, to one safetensors file; atomically, no pickle."""
    categories = transform.means.categories if transform.means else ()
    about = {"categories": json.dumps(categories), "provenance": json.dumps(dict(transform.provenance))}
    arrays = transform.arrays() | {f"learned.{name}": np.ascontiguousarray(a) for name, a in learned.items()}
    write_bytes(path, save(arrays, metadata=about))


def load_fitted(path: Path) -> tuple[Transform, dict[str, npt.NDArray[Any]]]:
    """Read what `save_fitted` wrote.

    Raises:
        ArtifactError: The file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        categories, provenance = tuple(json.loads(about["categories"])), json.loads(about["provenance"])
        pca = Whitening(arrays["mean"], arrays["directions"]) if "mean" in arrays else None
        means = CategoryMeans(categories, arrays["category_means"]) if "category_means" in arrays else None
        if means is not None and len(means.means) != len(categories) + 1:
            raise ValueError(f"{len(categories)} categories with {len(means.means)} means")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} holds no fitted block ({error}); run the features of its study again") from error
    learned = {name.removeprefix("learned."): a for name, a in arrays.items() if name.startswith("learned.")}
    return Transform(means, pca, provenance), learned
