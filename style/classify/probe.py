"""Linear probe: logistic regression on feature blocks, class-balanced, its penalty cross-validated over groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError
from style.classify.calibration import Calibration, calibration_error, probabilities
from style.classify.classifier import Classifier
from style.classify.groups import group_folds
from style.classify.labels import Codes, Labels
from style.classify.logistic import LINKS, Link, Principal, Rows, Values, fit_path
from style.classify.measure import confusion, macro_f1
from style.classify.scaling import Scaling

PENALTIES = (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
ROUGH = 3e-4
"""How exactly the fits that are only compared are solved; the one that is kept is solved exactly."""


@dataclass(frozen=True)
class ProbeConfig:
    """How a linear probe is fitted.

    Attributes:
        penalties: Tried from the strongest to the weakest; rows have length 1.
        balance: Each example weighs (1 / share of its class) to this power: 0 all alike, 1 all classes alike.
        folds: Of the cross-validation, at most as many as the rarest class has groups.
        threshold: Least probability at which a class is named.
        seed: Of the folds.
    """

    penalties: tuple[float, ...] = PENALTIES
    balance: float = 1.0
    folds: int = 5
    threshold: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.penalties or not all(0 < p < np.inf for p in self.penalties):
            raise ConfigError(f"penalties must be above 0, got {self.penalties}")
        if not 0 <= self.balance <= 1 or not 0 <= self.threshold <= 1:
            raise ConfigError(f"balance and threshold must be in 0 … 1, got {self.balance} and {self.threshold}")
        if self.folds < 2:
            raise ConfigError(f"folds must be >= 2, got {self.folds}")


def fit_probe(
    table: FeatureTable, labels: Labels, groups: Codes | None = None, config: ProbeConfig | None = None
) -> Classifier:
    """Fit on the labelled rows; unlabelled ones only help to know the scale of the features.

    The penalty is the one with the least log loss on held-out groups after calibration, classes weighed as in the fit;
    of equals the strongest. Calibration (temperature, and the classes' shares as in the data) is fitted on the same
    held-out rows. With several classes an item (``sigmoid``) each class gets the threshold of the best held-out F1.

    Args:
        table: Features of the items of ``labels``, in its order.
        labels: Each class needs examples in two groups.
        groups: (n,) rows of one number are held out together; None for every row by itself.
        config: See `ProbeConfig`.

    Raises:
        DataError: One class only, a class with one example or in one group (it is named), a constant block.
    """
    config = config or ProbeConfig()
    scaling, x, own, known = prepare(table, labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    chosen = cross_validate(x, own, groups[known], config)
    [(weight, bias)] = fit_path(x, own.targets, chosen.weights[:, None], [chosen.penalty], link=own.link)
    weight, bias = x.back(weight[0], bias[0])
    thresholds = np.full(len(own.classes), config.threshold)
    if own.link == "sigmoid":
        pairs = zip(own.targets.T, chosen.chances.T, strict=True)
        thresholds = np.array([best_threshold(truth > 0, chances) for truth, chances in pairs])
    about = {"learned": "linear probe", "penalty": chosen.penalty, "balance": config.balance}
    about |= {"labels": dict(zip(own.classes, own.counts.tolist(), strict=True)), "held out": _told(own, chosen)}
    return Classifier(own.classes, scaling, weight, bias, own.link, chosen.calibration, thresholds, about)


def prepare(table: FeatureTable, labels: Labels) -> tuple[Scaling, Principal, Labels, Codes]:
    """The scale of all rows, and the labelled ones: in their principal directions, their labels, their numbers.

    Raises:
        DataError: Table and labels are of different items, labels that cannot be learned from, a constant block.
    """
    if table.ids != labels.ids:
        raise DataError(
            f"features ({len(table.ids)} items) and labels ({len(labels)}) must be of the same items in order"
        )
    labels.require(2)
    scaling, known = Scaling.fit(table), np.flatnonzero(labels.known)
    own = labels.rows(known)
    rows = FeatureTable(own.ids, tuple(block.rows(known) for block in table.select(scaling.blocks).blocks))
    return scaling, Principal.of(scaling.apply(rows)), own, known


@dataclass(frozen=True, eq=False)
class Chosen:
    """What cross-validation found.

    Attributes:
        penalty: With the least held-out loss.
        weights: (n,) of the rows.
        calibration: Fitted on the held-out logits.
        logits: (n, k) of each row by a fit that did not see it or its group.
    """

    penalty: float
    weights: Rows
    calibration: Calibration
    logits: Values
    link: Link

    @property
    def chances(self) -> Values:
        """(n, k) held-out probabilities."""
        return self.calibration.probabilities(self.logits, self.link)


def cross_validate(x: Principal, labels: Labels, groups: Codes, config: ProbeConfig) -> Chosen:
    """Choose the penalty by held-out groups; see `fit_probe`.

    Raises:
        DataError: A class lies in one group only; it is named.
    """
    weights, fold = class_weights(labels, config.balance), group_folds(labels, groups, config.folds, seed=config.seed)
    folds = np.unique(fold)
    penalties, link = sorted(config.penalties, reverse=True), labels.link
    found = []
    for penalty, path in zip(
        penalties,
        fit_path(x, labels.targets, weights[:, None] * (fold[:, None] != folds), penalties, link=link, tolerance=ROUGH),
        strict=True,
    ):
        logits = _held_out(x, fold, folds, *path)
        calibration = Calibration.fit(logits, labels.targets, link=link)
        found.append((_loss(logits, labels, calibration, weights), penalty, calibration, logits))
    _, penalty, calibration, logits = min(found, key=lambda one: one[0])
    return Chosen(penalty, weights, calibration, logits, link)


def class_weights(labels: Labels, balance: float) -> Rows:
    """(n,) weights with mean 1 over rows; of several classes an item, the mean of its classes' weights.

    Example:
        >>> [round(float(w), 2) for w in class_weights(Labels.of("abcd", "xxxy"), 1.0)]
        [0.67, 0.67, 0.67, 2.0]
    """
    counts = np.maximum(labels.counts, 1e-12)
    per_class = (counts.sum() / len(counts) / counts) ** balance
    mass = labels.targets.sum(axis=1)
    made = np.where(mass > 0, labels.targets @ per_class / np.maximum(mass, 1e-12), 1.0)
    return np.asarray(made / made.mean(), np.float32)


def best_threshold(truth: Codes, chances: Values) -> float:
    """The probability from which naming a class has the best F1, midway to the next lower one; of equals the highest.

    Example:
        >>> best_threshold(np.array([1, 1, 0, 0]), np.array([0.9, 0.3, 0.2, 0.1]))
        0.25
    """
    order = np.argsort(-chances, kind="stable")
    hits, named = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
    last = np.append(np.diff(chances[order]) < 0, True)  # rows of one probability are named together
    f1 = np.where(last, 2 * hits / (named + truth.sum()), -1)
    at = int(f1.argmax())
    below = chances[order][at + 1] if at + 1 < len(order) else 0.0
    return float((chances[order][at] + below) / 2)


def _held_out(x: Principal, fold: Codes, folds: Codes, weight: Values, bias: Values) -> Values:
    """(n, k) logits of each row by the fit that did not see it."""
    out = np.empty((len(fold), weight.shape[2]))
    for i, number in enumerate(folds):
        rows = fold == number
        out[rows] = x.rows[rows] @ weight[i].astype(np.float32) + bias[i]
    return out


def _loss(logits: Values, labels: Labels, calibration: Calibration, weights: Rows) -> float:
    each, _ = LINKS[labels.link]((logits / calibration.temperature)[None], labels.targets)
    return float((each[0] * weights).sum() / weights.sum())


def _told(labels: Labels, chosen: Chosen) -> dict[str, float]:
    """What held-out rows say, before and after calibration; they chose the penalty, so it flatters a little."""
    if labels.link == "sigmoid":
        return {}
    codes, chances = labels.codes, chosen.chances
    found = {"macro_f1": float(macro_f1(confusion(codes, chances.argmax(axis=1), len(labels.classes))))}
    for name, p in (("before", probabilities(chosen.logits, labels.link)), ("after", chances)):
        found[f"calibration_error_{name}"] = calibration_error(p.max(axis=1), p.argmax(axis=1) == codes)
    return found
