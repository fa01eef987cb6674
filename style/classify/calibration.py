"""Probabilities that mean what they say: temperature scaling, and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from recsys.errors import ConfigError, DataError
from style.classify.logistic import LINKS, Link, Values

BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3


@dataclass(frozen=True, eq=False)
class Calibration:
    """logits / temperature + shift.

    Attributes:
        temperature: Above 1 where a classifier is too sure of itself.
        shift: (k,) added to the logits: how common each class is where it is used.
    """

    temperature: float
    shift: Values

    @classmethod
    def none(cls, n_classes: int) -> Calibration:
        """Changes nothing."""
        return cls(1.0, np.zeros(n_classes))

    @classmethod
    def fit(
        cls,
        logits: Values,
        targets: npt.ArrayLike,
        *,
        link: Link = "softmax",
        shift: bool = True,
        weights: Values | None = None,
    ) -> Calibration:
        """Minimise the log loss on rows that the classifier was not fitted on.

        Source: Guo et al. (2017), On calibration of modern neural networks; with ``shift``, bias-corrected
        temperature scaling of Alexandari, Kundaje, Shrikumar (2020). A slight penalty (half the square of
        the shift and of the temperature's logarithm, with the weight of one row) keeps both finite where a class is
        rare, and where a few rows are all right.

        Args:
            logits: (n, k), n >= 1.
            targets: (n, k).
            link: As of the classifier.
            shift: Whether the share of the classes is also learned.
            weights: (n,) of the rows; None for 1 each.

        Raises:
            DataError: No rows, or logits that are not finite.

        Example:
            >>> sure = np.array([[9.0, 0]] * 300 + [[0, 9.0]] * 100)
            >>> truth = np.eye(2)[np.arange(400) // 200]
            >>> Calibration.fit(sure, truth, shift=False).temperature > 5
            True
        """
        truth = np.asarray(targets, np.float32)
        if not len(logits) or not np.isfinite(logits).all():
            raise DataError(f"calibration needs finite logits of at least one row, got shape {logits.shape}")
        share = np.full(len(truth), 1 / len(truth)) if weights is None else weights / weights.sum()

        def losses(log_temperature: float, by: Values) -> tuple[Values, Values]:
            each, slope = LINKS[link]((logits * np.exp(-log_temperature) + by)[None], truth)
            return each[0], slope[0]

        def along(log_temperature: float) -> float:
            loss = (losses(log_temperature, np.zeros(truth.shape[1]))[0] * share).sum()
            return float(loss + log_temperature**2 / 2 / len(truth))

        bounds = (np.log(COLDEST), np.log(HOTTEST))
        start = float(minimize_scalar(along, bounds=bounds, method="bounded").x)
        if not shift:
            return cls(float(np.exp(start)), np.zeros(truth.shape[1]))

        def both(point: Values) -> tuple[float, Values]:
            each, slope = losses(point[0], point[1:])
            slope = slope * share[:, None]
            by_temperature = -(slope * logits).sum() * np.exp(-point[0])
            gradient = np.append(by_temperature, slope.sum(axis=0)) + point / len(truth)
            return float((each * share).sum() + np.square(point).sum() / 2 / len(truth)), gradient

        found = minimize(
            both,
            np.append(start, np.zeros(truth.shape[1])),
            jac=True,
            bounds=[bounds] + [(None, None)] * truth.shape[1],
        ).x
        return cls(float(np.exp(found[0])), found[1:])

    def probabilities(self, logits: Values, link: Link) -> Values:
        """(n, k) logits → probabilities; with ``softmax`` rows sum to 1."""
        return probabilities(np.asarray(logits, np.float64) / self.temperature + self.shift, link)


def probabilities(logits: Values, link: Link) -> Values:
    """Of (n, k) logits.

    Example:
        >>> probabilities(np.zeros((1, 4)), "softmax").tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    if link == "sigmoid":
        return np.asarray(expit(logits))
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def calibration_error(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = BINS) -> float:
    """Expected calibration error: |share correct − mean confidence| in bins of equal width, weighed by their rows.

    In 0 … 1; NaN without rows. Source: Naeini, Cooper, Hauskrecht (2015); Guo et al. (2017), equation 5.

    Args:
        confidence: (n,) in 0 … 1, of the class that is named.
        correct: (n,) whether it is right.
        bins: Equally wide; a value on an edge belongs to the bin below.

    Raises:
        ConfigError: ``bins`` below 1.

    Example:
        >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 3)
        0.1
    """
    if bins < 1:
        raise ConfigError(f"bins must be >= 1, got {bins}")
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if not len(sure):
        return float("nan")
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, right - sure, minlength=bins)
    return float(np.abs(gap).sum() / len(sure))
