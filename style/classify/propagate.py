"""Few labels and many unlabelled photos: shares of classes, smoothing over the graph of like photos, pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError
from style.classify.calibration import Calibration
from style.classify.classifier import Classifier
from style.classify.labels import Codes, Labels
from style.classify.logistic import Principal, Rows, Values, fit_path
from style.classify.probe import ProbeConfig, cross_validate, prepare

CHUNK = 1024
STEPS = 50


@dataclass(frozen=True)
class PropagateConfig:
    """How unlabelled photos are used.

    Attributes:
        neighbours: Like photos that each photo listens to.
        alpha: How much it listens to them and not to the teacher, in 0 … 1, 1 excluded; 0 ignores the graph.
        shares: Whether the shares of the classes are estimated on the unlabelled photos; else they are as labelled.
        penalty: Of the student, which learns from many rows.
        teacher: How the labelled rows alone are learned from.
    """

    neighbours: int = 10
    alpha: float = 0.5
    shares: bool = True
    penalty: float = 1e-3
    teacher: ProbeConfig = field(default_factory=ProbeConfig)

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not 0 <= self.alpha < 1 or not 0 < self.penalty < np.inf:
            raise ConfigError(
                "neighbours must be >= 1, alpha in 0 … 1 (1 excluded) and penalty above 0, "
                f"got {self.neighbours}, {self.alpha} and {self.penalty}"
            )


def fit_propagated(
    table: FeatureTable, labels: Labels, groups: Codes | None = None, config: PropagateConfig | None = None
) -> Classifier:
    """Learn from few labels with the help of the unlabelled rows.

    A linear probe on the labels (the teacher) gives every row calibrated probabilities. Shares of the classes are
    estimated on the unlabelled rows and put in place of the labelled ones' (Saerens, Latinne, Decaestecker 2002).
    Probabilities are then smoothed over the graph of nearest rows, labels held fast (Zhou et al. 2004, with the
    teacher's word as a start). The likeliest class of each row is its pseudo-label (Lee 2013), and a student learns
    from all rows. It is calibrated to the smoothed probabilities.

    Args:
        table: Features of the items of ``labels``, in its order.
        labels: One class an item; each needs examples in two groups. Unlabelled rows should be like those to come.
        groups: As in `fit_probe`.
        config: See `PropagateConfig`.

    Raises:
        ConfigError: Several classes an item.
        DataError: As `fit_probe`, or nothing is unlabelled.
    """
    config = config or PropagateConfig()
    if labels.link != "softmax":
        raise ConfigError("propagation knows one class an item; use the linear probe for several")
    if labels.known.all():
        raise DataError("every item has a label: there is nothing to propagate to; use the linear probe")
    scaling, x, own, known = prepare(table, labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    chosen = cross_validate(x, own, groups[known], config.teacher)
    [(weight, bias)] = fit_path(x, own.targets, chosen.weights[:, None], [chosen.penalty])
    weight, bias = x.back(weight[0], bias[0])
    rows = scaling.apply(table)
    chances = chosen.calibration.probabilities(rows @ weight + bias, labels.link)
    shares = own.counts / own.counts.sum()
    if config.shares:
        shares, chances = shifted(chances, shares, ~labels.known)
    smooth = smoothed(rows, np.where(labels.known[:, None], labels.targets, chances), labels, config)
    pseudo = np.eye(len(shares), dtype=np.float32)[smooth.argmax(axis=1)]
    every = Principal.of(rows)
    [(w, b)] = fit_path(every, pseudo, np.ones((len(rows), 1), np.float32), [config.penalty])
    calibration = Calibration.fit(every.rows @ w[0] + b[0], smooth)
    weight, bias = every.back(w[0], b[0])
    about = {"learned": "pseudo-labels", "unlabelled": int((~labels.known).sum()), "teacher's penalty": chosen.penalty}
    about |= {"labels": dict(zip(labels.classes, own.counts.tolist(), strict=True))}
    about |= {"shares": dict(zip(labels.classes, shares.tolist(), strict=True))}
    thresholds = np.full(len(shares), config.teacher.threshold)
    return Classifier(labels.classes, scaling, weight, bias, labels.link, calibration, thresholds, about)


def shifted(chances: Values, before: Values, where: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
    """The shares of the classes among rows ``where``, and probabilities as they are under these shares.

    The shares are the mean probabilities: one step of EM from ``before``. All the way, EM gives a class up that a
    teacher of few labels is a little too unsure of: on product photos with 5 labels a class it loses, one step wins.

    Args:
        chances: (n, k) probabilities, calibrated where the shares are ``before``.
        before: (k,) above 0.
        where: (n,) rows to learn from.

    Example:
        >>> chances = np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]])
        >>> shifted(chances, np.array([0.5, 0.5]), np.ones(10, bool))[0].round(2).tolist()
        [0.82, 0.18]
    """
    shares = chances[where].mean(axis=0)
    made = chances * (shares / before)
    return shares, made / made.sum(axis=1, keepdims=True)


def smoothed(rows: Rows, start: Values, labels: Labels, config: PropagateConfig) -> Values:
    """(n, k) probabilities F of F = alpha S F + (1 - alpha) start, labelled rows set back to their labels.

    S is the normalised graph of `neighbours` (Zhou et al. 2004, section 2).
    """
    if not config.alpha:
        return start
    graph, made = neighbour_graph(rows, config.neighbours), start
    for _ in range(STEPS):
        last, made = made, config.alpha * (graph @ made) + (1 - config.alpha) * start
        if np.abs(made - last).max() < 1e-6:
            break
    made = made / np.maximum(made.sum(axis=1, keepdims=True), 1e-12)
    return np.where(labels.known[:, None], labels.targets, made)


def neighbour_graph(rows: Rows, neighbours: int) -> sp.csr_array:
    """(n, n) D^-1/2 W D^-1/2 with W the larger of both directions' cosines³ to the nearest rows, in bounded memory."""
    n = len(rows)
    k = min(neighbours, n - 1)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    nearest, cosine = np.empty((n, k), np.int64), np.empty((n, k))
    for start in range(0, n, CHUNK):
        alike = unit[start : start + CHUNK] @ unit.T
        here = np.arange(len(alike))
        alike[here, here + start] = -np.inf
        best = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        nearest[start : start + CHUNK], cosine[start : start + CHUNK] = best, alike[here[:, None], best]
    weight = np.maximum(cosine, 1e-6) ** 3
    one_way = sp.csr_array((weight.ravel(), (np.repeat(np.arange(n), k), nearest.ravel())), shape=(n, n))
    both = one_way.maximum(one_way.T)
    scale = sp.diags_array(1 / np.sqrt(both.sum(axis=1)))
    return sp.csr_array(scale @ both @ scale)
