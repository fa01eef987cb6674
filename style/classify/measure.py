"""How good a classifier is: per class, over classes, by confidence, with intervals over groups of photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from recsys.errors import DataError
from style.classify.calibration import calibration_error
from style.classify.labels import Codes
from style.classify.logistic import Values

RESAMPLES = 2000


def confusion(truth: Codes, named: Codes, n_classes: int) -> npt.NDArray[np.int64]:
    """(k, k): rows of truth i that are named j.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    cells = np.bincount(truth * n_classes + named, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def f1_by_class(counts: npt.ArrayLike) -> Values:
    """(…, k) F1 = 2 hits / (named + true) from (…, k, k) confusions; 0 where a class is true and never named.

    NaN for a class that neither occurs nor is named.
    """
    table = np.asarray(counts, np.float64)
    both = table.sum(axis=-1) + table.sum(axis=-2)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    return np.asarray(np.divide(2 * hits, both, out=np.full(both.shape, np.nan), where=both > 0))


def macro_f1(counts: npt.ArrayLike) -> Values:
    """(…) the mean F1 over classes that occur in the truth, from (…, k, k) confusions; in 0 … 1.

    Example:
        >>> round(float(macro_f1([[1, 1], [0, 1]])), 3)
        0.667
    """
    table = np.asarray(counts, np.float64)
    occurs = table.sum(axis=-1) > 0
    total = np.where(occurs, f1_by_class(table), 0).sum(axis=-1)
    return np.asarray(total / np.maximum(occurs.sum(axis=-1), 1))


@dataclass(frozen=True, eq=False)
class Score:
    """A classifier against the truth.

    Attributes:
        classes: k names.
        counts: (k, k) confusion, truth by row.
        macro_f1: See `macro_f1`.
        interval: Its 95 % interval over groups.
        accuracy: Share named right.
        calibration_error: Of the probabilities of the named classes; see `calibration_error`.
        covered: Share of rows that are sure enough to be named.
        covered_accuracy: Share named right among those; NaN when there are none.
    """

    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    macro_f1: float
    interval: tuple[float, float]
    accuracy: float
    calibration_error: float
    covered: float
    covered_accuracy: float

    @property
    def table(self) -> pd.DataFrame:
        """One row a class: photos, share, precision, recall, f1, commonest mistake."""
        hits, true, named = np.diag(self.counts), self.counts.sum(axis=1), self.counts.sum(axis=0)
        wrong = self.counts - np.diag(hits)
        mistake = [self.classes[int(row.argmax())] if row.any() else "" for row in wrong]
        columns = {
            "class": self.classes,
            "photos": true,
            "share": true / max(true.sum(), 1),
            "precision": np.where(named > 0, hits / np.maximum(named, 1), np.nan),
            "recall": np.where(true > 0, hits / np.maximum(true, 1), np.nan),
            "f1": f1_by_class(self.counts),
            "mostly taken for": mistake,
        }
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("macro_f1", "interval", "accuracy", "calibration_error", "covered", "covered_accuracy")
        per_class = self.table.to_dict(orient="records")
        return {n: getattr(self, n) for n in names} | {"classes": per_class, "confusion": self.counts}


def score(
    classes: tuple[str, ...],
    truth: Codes,
    probabilities: Values,
    *,
    threshold: float = 0.0,
    groups: Codes | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """Judge (n, k) probabilities by the (n,) true classes.

    The interval resamples whole groups (photos of one product), so that like photos do not make it too narrow.

    Args:
        classes: k names.
        truth: In 0 … k - 1.
        probabilities: Of which the largest names the class, the first of equals.
        threshold: Below it a row counts as not named for ``covered``; macro-F1 and accuracy name all rows.
        groups: (n,) numbers; None for every row by itself.
        resamples: Bootstrap resamples.
        seed: Of the bootstrap.

    Raises:
        DataError: No rows.
    """
    if not len(truth):
        raise DataError("nothing to judge by: no row has a true class")
    named, k = probabilities.argmax(axis=1), len(classes)
    sure = probabilities.max(axis=1)
    right, enough = named == truth, sure >= threshold
    counts = confusion(truth, named, k)
    return Score(
        classes,
        counts,
        float(macro_f1(counts)),
        _interval(truth * k + named, np.arange(len(truth)) if groups is None else groups, k, resamples, seed),
        float(right.mean()),
        calibration_error(sure, right),
        float(enough.mean()),
        float(right[enough].mean()) if enough.any() else float("nan"),
    )


def _interval(cells: Codes, groups: Codes, k: int, resamples: int, seed: int) -> tuple[float, float]:
    """Percentiles of macro-F1 over resamples of groups."""
    dense = pd.factorize(groups)[0]
    n_groups = int(dense.max()) + 1
    per_group = sp.coo_array((np.ones(len(cells)), (dense, cells)), shape=(n_groups, k * k)).tocsr()
    rng, found = np.random.default_rng(seed), []
    for start in range(0, resamples, 200):
        draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=min(200, resamples - start))
        found.append(macro_f1((per_group.T @ draws.T).T.reshape(-1, k, k)))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return float(low), float(high)
