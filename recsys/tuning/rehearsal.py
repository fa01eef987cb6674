"""How good a model's options are: fitted on the past of a log, judged by what came next, nothing later looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, DataError
from recsys.models.base import Recommender
from recsys.models.validation import Holdout, Judge, K, Patience
from recsys.progress import silenced
from recsys.tuning.space import kind_of, with_options

METRICS: Mapping[Judge, str] = {"all": f"ndcg@{K}", "halves": f"ndcg@{K}, halves"}
MOST_EPOCHS = 40
"""Of a hybrid's rehearsal, which ends before when its metric no longer rises."""
WARM_UP = 3
"""Epochs of which nothing is reported: a low learning rate looks bad at first."""
Report = Callable[[int, float], None]
"""Told of each step and the metric so far; may raise to end a hopeless rehearsal."""


@dataclass(frozen=True)
class Outcome:
    """What came of a rehearsal.

    Attributes:
        value: Mean over folds of the mean NDCG@20 of the users judged, in [0, 1].
        found: Options that the rehearsal itself found: a hybrid's ``epochs``.
    """

    value: float
    found: Mapping[str, Any] = field(default_factory=dict)


def folds_of(dataset: Dataset, *, share: float, n: int) -> tuple[Holdout, ...]:
    """Consecutive windows of the latest ``share`` of the interactions, each judged from everything before it.

    Args:
        dataset: The train side.
        share: In (0, 1).
        n: Windows, >= 1.

    Raises:
        ConfigError: ``share`` or ``n`` is out of range.
        DataError: A timestamp is missing, or a window leaves nothing to learn from or to judge by.

    Example:
        With share .2 and two windows the first learns from 80 % and is judged by the next 10 %, the second learns from
        90 % and is judged by the last 10 %.
    """
    if not 0 < share < 1 or n < 1:
        raise ConfigError(f"folds need a share in (0, 1) and a number >= 1, got {share} and {n}; .2 and 2 are usual")
    if np.isnat(dataset.timestamp).any():
        raise DataError("tuning judges by the latest interactions, and some have no timestamp; map `timestamp`")
    times, size = np.sort(dataset.timestamp), len(dataset.timestamp)
    ends = [times[int(size * (1 - share * (n - i) / n))] for i in range(1, n)]
    parts = [*(_rows(dataset, dataset.timestamp < end) for end in ends), dataset]
    holdouts = list[Holdout]()
    for i, part in enumerate(parts):
        try:
            holdouts.append(Holdout.of(part, share / n / (1 - share * (n - 1 - i) / n)))
        except (DataError, IndexError) as error:
            raise _impossible(i, n, share) from error
        if i and not len(holdouts[i - 1].past.timestamp) < len(holdouts[i].past.timestamp) < len(part.timestamp):
            raise _impossible(i, n, share)
    return tuple(holdouts)


def _impossible(i: int, n: int, share: float) -> DataError:
    return DataError(
        f"window {i + 1} of {n} over the latest {share:g} of the train side leaves nothing to learn from or to "
        "judge by; ask for fewer folds, or bring more data"
    )


def _rows(dataset: Dataset, mask: Any) -> Dataset:
    names = ("user_idx", "item_idx", "weight", "timestamp")
    return replace(dataset, **{name: getattr(dataset, name)[mask] for name in names})


def rehearse(
    config: Recommender, folds: Sequence[Holdout], report: Report | None = None, judge: Judge = "all"
) -> Outcome:
    """Fit and judge on every fold; a model that trains by epochs also learns after how many to stop."""
    quiet = report or (lambda step, value: None)
    with silenced():
        return REHEARSALS.get(kind_of(config), by_fold)(config, folds, quiet, judge)


def by_fold(config: Any, folds: Sequence[Holdout], report: Report, judge: Judge) -> Outcome:
    """Fold after fold; the running mean is reported after each but the last."""
    values = list[float]()
    for i, fold in enumerate(folds):
        values.append(fold.ndcg(config.fit(fold.past), judge))
        if i < len(folds) - 1:
            report(i, float(np.mean(values)))
    return Outcome(float(np.mean(values)))


def by_epoch(config: Any, folds: Sequence[Holdout], report: Report, judge: Judge) -> Outcome:
    """All folds an epoch at a time, so that their mean is known, and reported, after each but the first.

    With ``validation`` the model finds its epochs itself, and folds are judged whole.
    """
    if config.validation:
        return by_fold(config, folds, report, judge)
    config = with_options(config, {"epochs": MOST_EPOCHS})
    under_way = [config.prepare(fold.past) for fold in folds]

    def score() -> float:
        fitted = (config.finish(f.past, learned, []) for f, learned in zip(folds, under_way, strict=True))
        return float(np.mean([fold.ndcg(model, judge) for fold, model in zip(folds, fitted, strict=True)]))

    watch = Patience(score, config.patience)
    for epoch in range(MOST_EPOCHS):
        for learned in under_way:
            learned.trainer.run(1)
        done = watch()
        if epoch >= WARM_UP - 1:
            report(epoch, watch.scores[-1])
        if done:
            break
    return Outcome(max(watch.scores), {"epochs": watch.best_epoch})


REHEARSALS: Mapping[str, Callable[[Any, Sequence[Holdout], Report, Judge], Outcome]] = {"hybrid": by_epoch}
"""Models that can be judged as they learn; all others are by fold."""
