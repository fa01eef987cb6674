"""What an offline comparison found: values of every user, their means with intervals, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bca_interval, sign_flip_p
from evaluation.metrics import METRICS, SHARES
from evaluation.multiplicity import holm
from recsys.errors import ConfigError, DataError, unknown_name

Ints = npt.NDArray[np.int64]
UserValues = npt.NDArray[np.float32]
Shares = Mapping[tuple[str, int], float]

NOTES = (
    "Warm: items bought before the split, ranked among themselves; cold: items nobody had bought before it, "
    "ranked among themselves. Purely collaborative models know nothing of cold items.",
    "Users without a relevant item in a segment are counted and shown, not averaged.",
    "Intervals: 95 % bootstrap over users (bias-corrected and accelerated), one comparison at a time. "
    "p: two-sided paired randomisation test against the baseline; adjusted by Holm over the models of one "
    "segment, metric and k.",
    "The baseline is the best model without style on these same users. Its luck counts in its favour, so an "
    "advantage over it is understated rather than overstated; a disadvantage may look larger than it is.",
)
UNDECIDED = 0.5
"""From this share of undecided lists on, a note says so."""
ROUNDING = 1e-7
"""Values of users are float32; an end of an interval this near to 0 is 0."""


@dataclass(frozen=True, order=True)
class ModelKey:
    """A model and the features it was fitted with.

    Example:
        >>> ModelKey.of("hybrid / original")
        ModelKey(model='hybrid', features='original')
        >>> str(ModelKey.of("als"))
        'als / none'
    """

    model: str
    features: str = "none"

    @classmethod
    def of(cls, key: ModelKey | str) -> ModelKey:
        """From its text, or as it is."""
        if isinstance(key, ModelKey):
            return key
        model, slash, features = key.partition(" / ")
        return cls(model, features) if slash else cls(model)

    def __str__(self) -> str:
        return f"{self.model} / {self.features}"


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Values of one segment of the items.

    Attributes:
        users: (n_users,) indices of the users that are averaged.
        columns: (metric, k) of each column of ``values``.
        values: Model → (n_users, n_columns) float32.
        resampled: Model → (resamples, n_columns) bootstrap means; all models share the resamples.
        shares: Model → (share, k) → what its lists look like together; see `evaluation.metrics.SHARES`.
        n_candidates: Items that could be listed.
        n_relevant_items: Distinct items that are relevant to anyone.
        n_without: Users of the test without a relevant item here.
    """

    users: Ints
    columns: tuple[tuple[str, int], ...]
    values: Mapping[ModelKey, UserValues]
    resampled: Mapping[ModelKey, npt.NDArray[np.float64]]
    shares: Mapping[ModelKey, Shares]
    n_candidates: int
    n_relevant_items: int
    n_without: int

    @property
    def n_users(self) -> int:
        """Users that are averaged."""
        return len(self.users)


@dataclass(frozen=True, eq=False)
class OfflineResult:
    """Everything the comparison measured.

    Attributes:
        segments: Name → values; a segment in which nobody has a relevant item has no values.
        ks: List lengths.
        resamples: Of the bootstrap and of the randomisation test.
        seed: Of both.
    """

    segments: Mapping[str, SegmentResult]
    ks: tuple[int, ...]
    resamples: int
    seed: int

    def user_values(self, key: ModelKey | str, metric: str, k: int, segment: str = "all") -> UserValues:
        """(n_users,) values of one metric, for the ``users`` of the segment.

        Raises:
            ConfigError: An unknown segment, model, metric or k.
        """
        part = _look_up("segment", segment, self.segments)
        values = _look_up("model", ModelKey.of(key), part.values)
        columns = {f"{m}@{n}": i for i, (m, n) in enumerate(part.columns)}
        return np.asarray(values[:, _look_up("metric", f"{metric}@{k}", columns)])

    def mean(self, key: ModelKey | str, metric: str, k: int, segment: str = "all") -> float:
        """The mean over users of one metric; NaN where nobody has a relevant item."""
        values = self.user_values(key, metric, k, segment)
        return float(values.mean(dtype=np.float64)) if len(values) else float("nan")

    def best_of(self, keys: Iterable[ModelKey | str], metric: str, k: int, segment: str = "all") -> ModelKey:
        """The key with the highest mean; the first one on ties.

        Raises:
            DataError: There are no keys, or nobody has a relevant item in the segment.
        """
        means = {ModelKey.of(key): self.mean(key, metric, k, segment) for key in keys}
        if not means or any(np.isnan(v) for v in means.values()):
            why = "nobody has a relevant item" if means else "no models were given"
            raise DataError(f"no best model in segment {segment!r}: {why}")
        return max(means, key=lambda key: means[key])

    def rows(self) -> list[dict[str, Any]]:
        """One row a model, segment, metric and k, with its interval; shares of lists have none."""
        return [
            row
            for name, part in self.segments.items()
            for key in part.values
            if part.n_users
            for row in (*_metric_rows(name, part, key), *_share_rows(name, part, key))
        ]

    def compare(self, baseline: ModelKey | str, among: Iterable[ModelKey | str] | None = None) -> list[dict[str, Any]]:
        """Paired differences of every model (or those ``among`` them) to ``baseline``, user by user.

        ``difference`` is the mean of model minus baseline with its bootstrap interval; ``p_value`` is from paired
        randomisation, ``p_adjusted`` Holm's over the models of one segment, metric and k; ``n_better`` and
        ``n_worse`` count users.

        Raises:
            ConfigError: A model was not evaluated.
        """
        known = next(iter(self.segments.values())).values
        key = ModelKey.of(baseline)
        others = [ModelKey.of(other) for other in (known if among is None else among)]
        for name in (key, *others):
            _look_up("model", name, known)
        pairs = [(other, key) for other in dict.fromkeys(others) if other != key]
        return [
            row
            for name, part in self.segments.items()
            if part.n_users and pairs
            for row in _comparisons(name, part, pairs, self.resamples, self.seed)
        ]

    def notes(self) -> list[str]:
        """How to read the numbers, and what they warn of."""
        found = [note for name, part in self.segments.items() for note in _warnings(name, part, max(self.ks))]
        return [*NOTES, *found]

    def counts(self) -> dict[str, dict[str, int]]:
        """Segment → how many users are averaged and are not, candidates, and items relevant to anyone."""
        return {
            name: {
                "averaged": part.n_users,
                "without_relevant": part.n_without,
                "candidates": part.n_candidates,
                "relevant_items": part.n_relevant_items,
            }
            for name, part in self.segments.items()
        }

    def to_json(self, baseline: ModelKey | str) -> dict[str, Any]:
        """For ``metrics.json``."""
        return {
            "ks": list(self.ks),
            "baseline": str(ModelKey.of(baseline)),
            "segments": self.counts(),
            "rows": self.rows(),
            "comparisons": self.compare(baseline),
            "notes": self.notes(),
        }


def _look_up(kind: str, name: Any, known: Mapping[Any, Any]) -> Any:
    if name not in known:
        raise ConfigError(unknown_name(kind, str(name), map(str, known)))
    return known[name]


def _metric_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    values = part.values[key]
    low, high = bca_interval(values, part.resampled[key])
    return [
        _about(segment, key, metric, k)
        | {"value": float(value), "low": float(lo), "high": float(hi), "n_users": part.n_users}
        | {"denominator": METRICS[metric].denominator}
        for (metric, k), value, lo, hi in zip(
            part.columns, values.mean(axis=0, dtype=np.float64), low, high, strict=True
        )
    ]


def _share_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    return [
        _about(segment, key, name, k)
        | {"value": share, "low": None, "high": None, "n_users": part.n_users}
        | {"denominator": SHARES[name].denominator}
        for (name, k), share in part.shares[key].items()
    ]


def _about(segment: str, key: ModelKey, metric: str, k: int) -> dict[str, Any]:
    return {"model": key.model, "features": key.features, "segment": segment, "metric": metric, "k": k}


def _comparisons(
    segment: str, part: SegmentResult, pairs: Sequence[tuple[ModelKey, ModelKey]], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """One row a (model, baseline), metric and k; the pairs are one family."""
    rows = [row for key, baseline in pairs for row in _differences(segment, part, key, baseline)]
    stacked = np.concatenate([part.values[key] - part.values[baseline] for key, baseline in pairs], axis=1)
    p_values = sign_flip_p(stacked, resamples=resamples, seed=seed).reshape(len(pairs), -1)
    adjusted = holm(p_values)
    for row, p, p_holm in zip(rows, p_values.ravel(), adjusted.ravel(), strict=True):
        row |= {"p_value": float(p), "p_adjusted": float(p_holm)}
    return rows


def _differences(segment: str, part: SegmentResult, key: ModelKey, baseline: ModelKey) -> list[dict[str, Any]]:
    difference = part.values[key] - part.values[baseline]
    ends = bca_interval(difference, part.resampled[key] - part.resampled[baseline], floor=-1.0)
    low, high = (np.where(np.abs(end) < ROUNDING, 0.0, end) for end in ends)
    better, worse = (difference > 0).sum(axis=0), (difference < 0).sum(axis=0)
    means = difference.mean(axis=0, dtype=np.float64)
    return [
        _about(segment, key, metric, k)
        | {
            "baseline": str(baseline),
            "difference": float(means[j]),
            "low": float(low[j]),
            "high": float(high[j]),
        }
        | {"n_users": part.n_users, "n_better": int(better[j]), "n_worse": int(worse[j])}
        for j, (metric, k) in enumerate(part.columns)
    ]


def _warnings(segment: str, part: SegmentResult, k: int) -> list[str]:
    if not part.n_users:
        return [f"Nobody in the test has a relevant item among the {part.n_candidates} {segment} candidates."]
    notes = []
    if segment == "cold":
        notes.append(
            f"{part.n_relevant_items} of {part.n_candidates} cold candidates were bought after the split; the "
            "nearer that is to all of them, the more being cold gives the answer away among all items."
        )
    vague = [str(key) for key, shares in part.shares.items() if shares["undecided", k] >= UNDECIDED]
    if vague:
        notes.append(
            f"Among {segment} items, most lists of {', '.join(vague)} have equal scores throughout: a "
            "hash of their ids ranks them, not the model, and their values there are chance."
        )
    return notes
