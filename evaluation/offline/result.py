"""What an offline comparison found: values of every user, their means with intervals, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluation.multiplicity import check_adjustment
from evaluation.offline.comparison import (
    beyond_differences,
    beyond_rows,
    difference_rows,
    further_rows,
    metric_rows,
    share_rows,
)
from evaluation.offline.values import ModelKey, SegmentResult, UserValues
from recsys.errors import ConfigError, DataError, unknown_name

__all__ = ["ModelKey", "OfflineResult", "SegmentResult", "UserValues"]


NOTES = (
    "Warm: items bought before the split, ranked among themselves; cold: items nobody had bought before it, "
    "ranked among themselves. Purely collaborative models know nothing of cold items.",
    "Users without a relevant item in a segment are counted and shown, not averaged.",
    "Intervals: 95 % bootstrap over users (bias-corrected and accelerated), one comparison at a time. "
    "p: two-sided paired randomisation test against the baseline; p_adjusted allows for the number of models "
    "of one segment, metric and k (holm: the chance of any false positive; bh: their expected share).",
    "The baseline is the best model without style on these same users. Its luck counts in its favour, so an "
    "advantage over it is understated rather than overstated; a disadvantage may look larger than it is.",
)
BEYOND_NOTE = (
    "Beyond accuracy, of the lists of the same users: higher is not better as such, a random list is novel and "
    "diverse. Intervals as above; of what is counted over all lists together there is none. Distances are taken in one "
    "space for all models, the original photos' and the category's; the due of a group is its share of the candidates."
)
DEBIASED_NOTE = (
    "Debiased values weigh each choice by one over its chance to be in the log. Where that chance was not logged it is "
    "guessed from popularity by a power law, up to a factor that ips feels and snips does not; cold items have no "
    "guess and are left out. Read them beside the plain metric."
)
SAMPLED_NOTE = (
    "BIASED: values among sampled items may order models otherwise than ranks among all candidates do (Krichene and "
    "Rendle 2020). They are here to compare with published numbers; decide nothing by them."
)
UNDECIDED = 0.5
"""From this share of undecided lists on, a note says so."""


@dataclass(frozen=True, eq=False)
class OfflineResult:
    """Everything the comparison measured.

    Attributes:
        segments: Name → values; a segment in which nobody has a relevant item has no values.
        groups: ``name: label`` → values of a group of users or items, at the largest k.
        ks: List lengths.
        resamples: Of the bootstrap and of the randomisation test.
        seed: Of both.
        n_outside: Relevant (user, item) pairs whose item is no candidate.
        told: Model → choices of the test that it was told of when it was fitted; only models that were told of any.
    """

    segments: Mapping[str, SegmentResult]
    groups: Mapping[str, SegmentResult]
    ks: tuple[int, ...]
    resamples: int
    seed: int
    n_outside: int = 0
    told: Mapping[ModelKey, int] = field(default_factory=dict)

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
            for row in (*metric_rows(name, part, key), *share_rows(name, part, key))
        ]

    def group_rows(self) -> list[dict[str, Any]]:
        """`rows` of the groups of users and items; the segment is ``name: label``."""
        return [
            row for name, part in self.groups.items() for key in part.values for row in metric_rows(name, part, key)
        ]

    def beyond_rows(self) -> list[dict[str, Any]]:
        """One row a model, segment, measure beyond accuracy, space or group, and k; none where nobody asked."""
        return [
            row for name, part in self.segments.items() for key in part.beyond for row in beyond_rows(name, part, key)
        ]

    def further_rows(self) -> list[dict[str, Any]]:
        """Debiased values, AUC and (BIASED) sampled ones, as `beyond_rows`."""
        return [
            row for name, part in self.segments.items() for key in part.beyond for row in further_rows(name, part, key)
        ]

    def compare_beyond(
        self, baseline: ModelKey | str, among: Iterable[ModelKey | str] | None = None
    ) -> list[dict[str, Any]]:
        """How the lists of every model (or those ``among`` them) differ from those of ``baseline`` beyond accuracy.

        Intervals are percentiles of resamples of users that both share, one comparison at a time; there are no
        p-values.

        Raises:
            ConfigError: A model was not evaluated.
        """
        pairs = self._pairs(baseline, among)
        return [
            row for name, part in self.segments.items() if part.beyond for row in beyond_differences(name, part, pairs)
        ]

    def _pairs(
        self, baseline: ModelKey | str, among: Iterable[ModelKey | str] | None
    ) -> list[tuple[ModelKey, ModelKey]]:
        known = next(iter(self.segments.values())).values
        key = ModelKey.of(baseline)
        others = [ModelKey.of(other) for other in (known if among is None else among)]
        for name in (key, *others):
            _look_up("model", name, known)
        return [(other, key) for other in dict.fromkeys(others) if other != key]

    def compare(
        self,
        baseline: ModelKey | str,
        among: Iterable[ModelKey | str] | None = None,
        *,
        adjust: str = "holm",
        groups: bool = False,
    ) -> list[dict[str, Any]]:
        """Paired differences of every model (or those ``among`` them) to ``baseline``, user by user.

        ``difference`` is the mean of model minus baseline with its bootstrap interval; ``relative`` divides it by the
        baseline's mean; ``effect_size`` by the standard deviation of the users' differences (Cohen's d_z: 0.2 is
        called small); ``p_value`` is from paired randomisation, ``p_adjusted`` for the number of models of one
        segment, metric and k; ``n_better`` and ``n_worse`` count users.

        Args:
            baseline: What is subtracted.
            among: The models; None: all.
            adjust: ``holm`` (any false positive) or ``bh`` (their share); see `evaluation.multiplicity`.
            groups: Within groups of users and items instead of segments.

        Raises:
            ConfigError: A model was not evaluated, or ``adjust`` is unknown.
        """
        return self.compare_pairs(self._pairs(baseline, among), adjust=adjust, groups=groups)

    def compare_pairs(
        self, pairs: Sequence[tuple[ModelKey | str, ModelKey | str]], *, adjust: str = "holm", groups: bool = False
    ) -> list[dict[str, Any]]:
        """As `compare`, of (model, its own baseline) pairs: one family, so ``p_adjusted`` allows for all of them.

        Raises:
            ConfigError: A model was not evaluated, or ``adjust`` is unknown.
        """
        check_adjustment(adjust)
        known = next(iter(self.segments.values())).values
        keyed = [(ModelKey.of(one), ModelKey.of(other)) for one, other in pairs]
        for name in (key for pair in keyed for key in pair):
            _look_up("model", name, known)
        return [
            row
            for name, part in (self.groups if groups else self.segments).items()
            if part.n_users and keyed
            for row in difference_rows(name, part, keyed, resamples=self.resamples, seed=self.seed, adjust=adjust)
        ]

    def notes(self) -> list[str]:
        """How to read the numbers, and what they warn of."""
        found = [note for name, part in self.segments.items() for note in _warnings(name, part, max(self.ks))]
        if self.n_outside:
            found.append(
                f"{self.n_outside} choices of the test are of items that are no candidates; nobody can hit them."
            )
        if self.told:
            who = ", ".join(f"{n} for {key}" for key, n in self.told.items())
            found.append(
                f"Some choices of the test were known to the models ({who}): their lists leave them out, so nobody can "
                "hit them. Split with exclude_seen, or evaluate with exclude_seen=False where repeats count."
            )
        return [*NOTES, *self._further_notes(), *found]

    def _further_notes(self) -> list[str]:
        described = [beyond for part in self.segments.values() for beyond in part.beyond.values()]
        sampled = any(column[0].startswith("sampled") for b in described for r in b.further for column in r.columns)
        return ([BEYOND_NOTE, DEBIASED_NOTE] if described else []) + ([SAMPLED_NOTE] if sampled else [])

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

    def to_json(self, baseline: ModelKey | str, *, adjust: str = "holm") -> dict[str, Any]:
        """For ``metrics.json``; ``baseline`` and ``adjust`` as of `compare`."""
        return {
            "ks": list(self.ks),
            "baseline": str(ModelKey.of(baseline)),
            "segments": self.counts(),
            "rows": self.rows(),
            "groups": self.group_rows(),
            "comparisons": self.compare(baseline, adjust=adjust),
            "beyond": self.beyond_rows(),
            "further": self.further_rows(),
            "notes": self.notes(),
        }


def _look_up(kind: str, name: Any, known: Mapping[Any, Any]) -> Any:
    if name not in known:
        raise ConfigError(unknown_name(kind, str(name), map(str, known)))
    return known[name]


def _warnings(segment: str, part: SegmentResult, k: int) -> list[str]:
    if not part.n_users:
        return [f"Nobody in the test has a relevant item among the {part.n_candidates} {segment} candidates."]
    notes = []
    if k > part.n_candidates:
        notes.append(
            f"k = {k} is above the {part.n_candidates} {segment} candidates: no list can be full; `filled` says how "
            "full lists are."
        )
    if segment == "cold":
        notes.append(
            f"{part.n_relevant_items} of {part.n_candidates} cold candidates were bought after the split; the "
            "nearer that is to all of them, the more being cold gives the answer away among all items."
        )
    missing = [f"{n} for {key}" for key, n in part.n_empty.items() if n]
    if missing:
        notes.append(
            f"Among {segment} items, lists are empty for some of the {part.n_users} users: {', '.join(missing)}. They "
            "count as users without a hit."
        )
    vague = [str(key) for key, shares in part.shares.items() if shares["undecided", k] >= UNDECIDED]
    if vague:
        notes.append(
            f"Among {segment} items, most lists of {', '.join(vague)} have equal scores throughout: a "
            "hash of their ids ranks them, not the model, and their values there are chance."
        )
    return notes
