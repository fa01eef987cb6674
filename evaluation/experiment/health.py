"""Whether a log may be read at all: the split as planned, at any time; exposure alike; the past alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, chdtrc

from evaluation.experiment.split import Split
from evaluation.inference import welch
from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def sample_ratio(counts: tuple[int, int], allocation: float = 0.5, *, continuity: bool = False) -> float:
    """p-value that the arms' counts fit the planned share of treatment: χ² with one degree of freedom.

    Args:
        counts: Users in control and in treatment.
        allocation: Planned share of treatment.
        continuity: Take Yates' half off each deviation: closer to the binomial test with few users.

    Raises:
        DataError: No users.

    Example:
        >>> round(sample_ratio((1000, 1200)), 10)
        2.00787e-05
    """
    total = sum(counts)
    if total == 0:
        raise DataError("no users in either arm; the test has not begun or the log is empty")
    off = abs(counts[1] - total * allocation)
    off = max(off - 0.5, 0.0) if continuity else off
    return float(chdtrc(1, off**2 / (total * allocation * (1 - allocation))))


def sequential_sample_ratio(counts: npt.ArrayLike, allocation: float = 0.5, *, concentration: float = 1e3) -> Floats:
    """p-values of the split that may be looked at after every user: a Bayes factor turned round.

    Under the alternative the share of treatment is Beta(c · allocation, c · (1 - allocation)): Lindon and Malek,
    Anytime-valid inference for multinomial count data, 2022, eq. 5. The running minimum over looks is given.

    Args:
        counts: (looks, 2) users in control and treatment so far, never falling.
        allocation: Planned share of treatment.
        concentration: c; high values look for small mismatches in large tests.

    Returns:
        (looks,) in (0, 1].

    Raises:
        DataError: Counts that fall or are below 0.
        ConfigError: ``concentration`` is not above 0.

    Example:
        >>> sequential_sample_ratio([[10, 12], [1000, 1400]]).round(6).tolist()
        [1.0, 0.0]
    """
    x = np.asarray(counts, np.float64).reshape(-1, 2)
    if (x < 0).any() or (np.diff(x, axis=0) < 0).any():
        raise DataError("counts must be >= 0 and never fall; give users so far at each look, not users of each day")
    if not concentration > 0:
        raise ConfigError(f"concentration must be above 0, got {concentration}; 1000 is usual")
    a, b = concentration * (1 - allocation), concentration * allocation
    log_factor = betaln(a + x[:, 0], b + x[:, 1]) - betaln(a, b)
    log_factor = log_factor - x[:, 0] * np.log1p(-allocation) - x[:, 1] * np.log(allocation)
    return np.asarray(np.exp(-np.maximum(np.maximum.accumulate(log_factor), 0.0)))


def exposure(exposed: npt.NDArray[np.bool_], arm: Ints) -> float:
    """p-value that both arms' users were exposed alike; they must be where nothing differs before exposure.

    χ² of the 2 × 2 table. 1 where everybody or nobody was exposed.

    Example:
        >>> exposure(np.array([True, False] * 50), np.repeat([0, 1], 50))
        1.0
    """
    n = np.bincount(arm, minlength=2).astype(np.float64)
    hits = np.bincount(arm, exposed, minlength=2)
    share = hits.sum() / n.sum()
    if n.min() == 0 or share in (0, 1):
        return 1.0
    return float(chdtrc(1, ((hits - n * share) ** 2 / (n * share * (1 - share))).sum()))


def balance(before: Floats, split: Split) -> tuple[float, float]:
    """How far apart the arms were before the test: difference in standard deviations, and Welch's p-value.

    Differences above 0.1 are large whatever p is: Austin, Balance diagnostics for comparing the distribution of
    baseline covariates, 2009.

    Args:
        before: (n,) a figure from before the test; users without one (NaN) are left out.
        split: Of the users.

    Example:
        >>> balance(np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]), Split(np.repeat([0, 1], 3)))
        (0.0, 1.0)
    """
    known = np.isfinite(before)
    control, treatment = split.among(known).moments(before[known])
    sd = float(np.sqrt((control.variance + treatment.variance) / 2))
    apart = treatment.mean - control.mean
    return (apart / sd if sd > 0 else 0.0), welch(control, treatment).p_value
