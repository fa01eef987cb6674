"""Nearest class mean: few examples a class, no training (Snell et al. 2017; centring of Wang et al. 2019)."""

from __future__ import annotations

import numpy as np

from recsys.data.features import FeatureTable
from recsys.errors import ConfigError
from style.classify.calibration import Calibration
from style.classify.classifier import Classifier
from style.classify.labels import Labels
from style.classify.logistic import Values
from style.classify.scaling import Scaling


def fit_prototypes(table: FeatureTable, labels: Labels, *, threshold: float = 0.0) -> Classifier:
    """The class whose mean row is nearest; unlabelled rows help to know the scale of the features.

    Squared distances to means are linear but for a part that all classes share, so this is a classifier like the
    others: weights are the means, biases minus half their squared lengths. Its temperature comes from each labelled
    row's distance to the means without itself.

    Args:
        table: Features of the items of ``labels``, in its order.
        labels: One class an item; a single example will do.
        threshold: Least probability at which a class is named.

    Raises:
        ConfigError: Several classes an item.
        DataError: One class only, a class without an example, a constant block.
    """
    if labels.link != "softmax":
        raise ConfigError("prototypes know one class an item; use the linear probe for several")
    labels.require(1)
    scaling = Scaling.fit(table)
    known = np.flatnonzero(labels.known)
    x = scaling.apply(table)[known].astype(np.float64)
    targets, counts = labels.targets[known].astype(np.float64), labels.counts
    means = targets.T @ x / counts[:, None]
    weight, bias = means.T, -np.square(means).sum(axis=1) / 2
    calibration = Calibration.none(len(labels.classes))
    usable = (targets.argmax(axis=1)[:, None] == np.flatnonzero(counts > 1)).any(axis=1)
    if usable.any():
        logits = _without_itself(x, targets, counts, means)
        calibration = Calibration.fit(logits[usable], targets[usable], shift=False)
    about = {"learned": "nearest class mean", "labels": dict(zip(labels.classes, counts.tolist(), strict=True))}
    thresholds = np.full(len(counts), threshold)
    return Classifier(labels.classes, scaling, weight, bias, labels.link, calibration, thresholds, about)


def _without_itself(x: Values, targets: Values, counts: Values, means: Values) -> Values:
    """Logits of each row by means that it is no part of."""
    logits = x @ means.T - np.square(means).sum(axis=1) / 2
    own = targets.argmax(axis=1)
    left = np.maximum(counts[own] - 1, 1)[:, None]
    others = (means[own] * counts[own][:, None] - x) / left
    logits[np.arange(len(x)), own] = (x * others).sum(axis=1) - np.square(others).sum(axis=1) / 2
    return np.asarray(logits)
