"""PCA whitening: directions of equal variance, so that cosines tell styles apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.files import write_bytes

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Whitening:
    """A fitted transform: (x - mean) @ directions.

    Attributes:
        mean: (d,).
        directions: (d, k) principal directions, divided by their standard deviations where it whitens.
        kept: Share of the variance that the directions hold; NaN where it is not known.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) * [1, 5, 9]
        >>> np.abs(np.cov(Whitening.fit(x, 3).apply(x).T)).round(3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    mean: Rows
    directions: Rows
    kept: float = float("nan")

    @classmethod
    def fit(
        cls, rows: npt.ArrayLike, dims: int, *, most: int = 20000, floor: float = 1e-4, whiten: bool = True
    ) -> Whitening:
        """Fit on up to ``most`` evenly spaced rows.

        Args:
            rows: (n, d).
            dims: Directions to keep; fewer where n or d is smaller.
            most: Bounds time and memory.
            floor: Variances below this share of the largest are not blown up beyond it.
            whiten: False leaves the directions their variances: plain PCA.

        Raises:
            ConfigError: ``dims`` below 1.
            DataError: Fewer than two rows, or NaN or infinite values.
        """
        if dims < 1:
            raise ConfigError(f"whitening needs dims >= 1, got {dims}")
        x = np.asarray(rows)
        if len(x) < 2:
            raise DataError(f"whitening needs at least 2 rows, got {len(x)}")
        x = x[np.linspace(0, len(x) - 1, min(len(x), most)).astype(np.int64)].astype(np.float64)
        if not np.isfinite(x).all():
            raise DataError("whitening was given NaN or infinite values; mend or drop those rows")
        mean = x.mean(axis=0)
        keep = min(dims, len(x) - 1, x.shape[1])
        variance, vectors, total = _principal(x - mean, keep)
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(keep)])
        scale = np.sqrt(np.maximum(variance, floor * max(float(variance[0]), 1e-12))) if whiten else 1.0
        kept = float(variance.sum() / total) if total > 0 else 1.0
        return cls(mean.astype(np.float32), (vectors / scale).astype(np.float32), kept)

    def save(self, path: Path) -> None:
        """Write both arrays to a safetensors file, atomically."""
        write_bytes(path, save({"mean": self.mean, "directions": np.ascontiguousarray(self.directions)}))

    @classmethod
    def load(cls, path: Path) -> Whitening:
        """Read what `save` wrote.

        Raises:
            ArtifactError: The file is missing, damaged or something else.
        """
        try:
            arrays = load(path.read_bytes())
            mean, directions = arrays["mean"], arrays["directions"]
        except (OSError, SafetensorError, KeyError) as error:
            raise ArtifactError(f"{path} holds no whitening ({error}); fit it again") from error
        if directions.ndim != 2 or mean.shape != directions.shape[:1]:
            raise ArtifactError(f"{path} holds no whitening: mean {mean.shape}, directions {directions.shape}")
        return cls(mean, directions)

    def apply(self, rows: npt.ArrayLike) -> Rows:
        """(n, d) → (n, k).

        Raises:
            DataError: Another width than it was fitted on.
        """
        if np.shape(rows)[1:] != self.mean.shape:
            raise DataError(f"whitening was fitted on {len(self.mean)} dimensions, got rows of shape {np.shape(rows)}")
        return np.asarray((np.asarray(rows, np.float32) - self.mean) @ self.directions)


def _principal(
    centred: npt.NDArray[np.float64], keep: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Variances and directions (d, keep), the largest first, and the variance of all; by whichever side is shorter."""
    n, d = centred.shape
    if n < d:
        _, values, right = np.linalg.svd(centred, full_matrices=False)
        variance, vectors = values**2 / (n - 1), right.T
    else:
        variance, vectors = np.linalg.eigh(centred.T @ centred / (n - 1))
        variance, vectors = variance[::-1], vectors[:, ::-1]
    return variance[:keep], vectors[:, :keep], float(variance.sum())
