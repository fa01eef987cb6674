"""Uncertainty of means over users: bootstrap and paired randomisation as matrix products, memory bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import poisson

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]

BLOCK_CELLS = 2**20
"""Resamples × users whose counts are held at once, whatever the number of either: 8 MB, near the processor."""
CELLS = 2**16
"""Equal parts of [0, 1) that a random 16-bit number tells apart."""


def bootstrap_means(values: Floats, *, resamples: int, seed: int, block_cells: int = BLOCK_CELLS) -> Values:
    """Means of every column in each resample of the rows.

    A resample is a vector of counts, multinomial(n, 1/n): drawing n users with replacement (Efron, 1979).
    All columns share the counts, so differences of columns are paired. Rows of zeros add nothing to any mean:
    only how many of the n draws miss them is drawn, a binomial, which leaves the distribution as it was.

    Args:
        values: (n_users, m) finite; sums are taken in double precision.
        resamples: How many, >= 1.
        seed: Same seed, same means, whatever ``block_cells``.
        block_cells: Counts held at once; at least one resample is.

    Returns:
        (resamples, m).

    Raises:
        ConfigError: ``resamples`` is below 1.
        DataError: No rows, or a value is not finite.

    Example:
        >>> bootstrap_means(np.ones((5, 2)), resamples=3, seed=0).tolist()
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    live = _live_rows(values, resamples)
    n, found = len(values), np.zeros((resamples, values.shape[1]))
    if len(live):
        drawn = np.random.default_rng(seed).binomial(n, len(live) / n, size=resamples)
        counter = _Counter.of(len(live), seed)
        for part in _blocks(resamples, len(live), block_cells):
            found[part] = counter.counts(drawn[part]) @ live / n
    return found


def bca_interval(values: Floats, means: Values, level: float = 0.95, *, floor: float = 0.0) -> tuple[Values, Values]:
    """Bias-corrected and accelerated bootstrap interval of every column's mean.

    Efron, Better bootstrap confidence intervals, 1987; the acceleration of a mean is skewness / (6 √n). It
    corrects the plain percentile interval where hits are rare and the mean therefore skewed. A column that is
    constant over its n users has no spread to resample; see `constant_interval`.

    Args:
        values: (n_users, m) within [floor, 1].
        means: (resamples, m) from `bootstrap_means` of ``values``.
        level: Coverage, in (0, 1).
        floor: Lower end of the scale: 0 for metrics, -1 for differences.

    Returns:
        (m,) lower and (m,) upper ends.

    Example:
        >>> values = np.array([[0.0], [0.0], [0.0], [1.0]] * 25)
        >>> low, high = bca_interval(values, bootstrap_means(values, resamples=999, seed=0))
        >>> bool(0.15 < low[0] < 0.25 < high[0] < 0.36)
        True
    """
    _check_level(level)
    centre = values.mean(axis=0, dtype=np.float64)
    deviation = values - centre
    spread = np.einsum("nm,nm->m", deviation, deviation)
    fixed = np.ptp(values, axis=0) == 0
    skew = np.einsum("nm,nm,nm->m", deviation, deviation, deviation)
    acceleration = skew / (6 * np.where(fixed, 1, spread) ** 1.5)
    bias = ndtri(_share_below(means, centre))
    ends = [_bca_end(means, bias, acceleration, tail) for tail in ((1 - level) / 2, (1 + level) / 2)]
    low, high = constant_interval(values[0], len(values), level, floor=floor)
    return np.where(fixed, low, ends[0]), np.where(fixed, high, ends[1])


def percentile_interval(means: Values, level: float = 0.95) -> tuple[Values, Values]:
    """Plain percentile interval of every column of resampled means.

    Example:
        >>> low, high = percentile_interval(np.arange(101.0)[:, None], 0.9)
        >>> round(float(low[0]), 6), round(float(high[0]), 6)
        (5.0, 95.0)
    """
    _check_level(level)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def constant_interval(value: Floats, n: int, level: float = 0.95, *, floor: float = 0.0) -> tuple[Values, Values]:
    """What n users of one and the same value leave open (Clopper and Pearson, 1934; the "rule of three").

    As long as another value's chance is at most h = 1 - ((1 - level) / 2)^(1/n), n equal ones are no
    surprise, so the mean may lie that share of the way to either end of the scale [floor, 1].

    Example:
        >>> low, high = constant_interval(np.array([0.0, 1.0]), 100)
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0, 0.964], [0.036, 1.0])
    """
    _check_level(level)
    hidden = 1 - ((1 - level) / 2) ** (1 / n)
    value = np.asarray(value, dtype=np.float64)
    return value - hidden * (value - floor), value + hidden * (1 - value)


def sign_flip_p(differences: Floats, *, resamples: int, seed: int, block_cells: int = BLOCK_CELLS) -> Values:
    """Two-sided p-value of "no difference": each user's two results change places at random.

    Paired randomisation (Fisher, The design of experiments, 1935). Exact when the two models are alike for
    each user; never below 1 / (resamples + 1). Users who differ in no column change nothing and are left out.

    Args:
        differences: (n_users, m) model minus baseline, finite.
        resamples: How many random exchanges, shared by all columns, >= 1.
        seed: Same seed, same result, whatever ``block_cells``.
        block_cells: Signs held at once; at least one exchange is.

    Returns:
        (m,) in (0, 1].

    Example:
        >>> sign_flip_p(np.array([[0.0], [0.0]]), resamples=99, seed=0).tolist()  # no user differs
        [1.0]
        >>> sign_flip_p(np.ones((20, 1)), resamples=99, seed=0).tolist()  # all 20 differ the same way
        [0.01]
    """
    live = _live_rows(differences, resamples)
    rng, extreme = np.random.default_rng(seed), np.zeros(differences.shape[1], np.int64)
    seen = np.abs(live.sum(axis=0))
    slack = 1e-9 * np.abs(live).sum(axis=0)  # equal sums must count as equal whatever the order of addition
    width = -(-len(live) // 64)  # whole words: smaller numbers are drawn in lots, of which a call throws away the rest
    for part in _blocks(resamples, len(live), block_cells):
        words = _words(rng, part.stop - part.start, width)
        bits = np.unpackbits(words.view(np.uint8), axis=1, count=len(live)).astype(np.float64)
        extreme += (np.abs(2 * (bits @ live) - live.sum(axis=0)) >= seen - slack).sum(axis=0)
    return np.asarray((extreme + 1) / (resamples + 1))


def _live_rows(values: Floats, resamples: int) -> Values:
    """Rows with anything in them; checks first."""
    if resamples < 1:
        raise ConfigError(f"resamples must be >= 1, got {resamples}; 2000 is usual")
    if len(values) == 0 or not np.isfinite(values).all():
        raise DataError("resampling needs finite values of at least one user; leave out users without relevant items")
    return values[values.any(axis=1)].astype(np.float64)


def _blocks(resamples: int, n_rows: int, block_cells: int) -> Iterator[slice]:
    step = max(1, block_cells // max(n_rows, 1))
    return (slice(start, min(start + step, resamples)) for start in range(0, resamples, step))


@dataclass(frozen=True, eq=False)
class _Counter:
    """Counts of draws with replacement, many cells at a time.

    Independent Poisson counts that sum to s are multinomial(s). So counts of a rate a little below one are read off
    random 16-bit numbers, and the few draws that are then missing are drawn one by one: exact whatever s is. A number
    whose part of [0, 1) holds a step of the distribution gets more digits, so nothing is rounded to 16 bits.

    Attributes:
        n_rows: Among which is drawn.
        steps: Cumulative probabilities of the Poisson counts; empty where every draw is made one by one.
        edges: The 16-bit numbers that need more digits: those in whose part the ``steps`` lie.
        bits: Of the 16-bit numbers.
        digits: Of what they need more.
        draws: Of the draws one by one.
    """

    n_rows: int
    steps: Values
    edges: npt.NDArray[np.uint16]
    bits: np.random.Generator
    digits: np.random.Generator
    draws: np.random.Generator

    @classmethod
    def of(cls, n_rows: int, seed: int) -> _Counter:
        """Streams of their own make the counts the same whatever number of resamples is asked for at once."""
        streams = (np.random.Generator(np.random.SFC64(s)) for s in np.random.SeedSequence(seed).spawn(3))
        rate = 1 - 6 * np.sqrt(2 / n_rows)  # six standard deviations of what is missing: it is hardly ever negative
        steps = poisson.cdf(np.arange(32), rate) if rate > 0.5 else np.empty(0)
        edges = np.minimum(steps * CELLS, CELLS - 1).astype(np.uint16)
        edges = edges[: np.searchsorted(edges, CELLS - 1) + 1]  # all further steps lie in the last part, too
        return cls(n_rows, steps, edges, *streams)

    def counts(self, drawn: npt.NDArray[np.int64]) -> Values:
        """(len(drawn), n_rows): how often each row comes up in ``drawn[r]`` draws with replacement."""
        counts = self._poisson(len(drawn)) if len(self.steps) else np.zeros((len(drawn), self.n_rows))
        missing = drawn - counts.sum(axis=1).astype(np.int64)
        counts[missing < 0] = 0
        missing = np.where(missing < 0, drawn, missing)
        cells = self.draws.integers(0, self.n_rows, size=int(missing.sum()), dtype=np.int64)
        np.add.at(counts.reshape(-1), cells + np.repeat(np.arange(len(drawn)) * self.n_rows, missing), 1.0)
        return counts

    def _poisson(self, n: int) -> Values:
        numbers = _words(self.bits, n, -(-self.n_rows // 4)).view(np.uint16)[:, : self.n_rows]
        counts, unclear = np.zeros(numbers.shape, np.uint8), np.zeros(numbers.shape, bool)
        mask = np.empty(numbers.shape, bool)
        for edge in self.edges:
            counts += np.greater(numbers, edge, out=mask).view(np.uint8)
            unclear |= np.equal(numbers, edge, out=mask)
        row, column = np.divmod(np.flatnonzero(unclear), self.n_rows)
        exact = (numbers[row, column] + self.digits.random(len(row))) / CELLS
        counts[row, column] = np.searchsorted(self.steps, exact, side="right")
        return counts.astype(np.float64)


def _words(rng: np.random.Generator, n: int, width: int) -> npt.NDArray[np.uint64]:
    """(n, width) random 64-bit words."""
    return rng.integers(0, 2**64 - 1, size=(n, width), dtype=np.uint64, endpoint=True)


def _share_below(means: Values, centre: Values) -> Values:
    """Share of resampled means below the observed one, ties counted half, kept off 0 and 1."""
    tie = np.abs(means - centre) <= 1e-6 * means.std(axis=0)  # far below the lattice on which means of hits lie
    below = ((means < centre) & ~tie).sum(axis=0) + 0.5 * tie.sum(axis=0)
    edge = 1 / (len(means) + 1)
    return np.asarray(np.clip(below / len(means), edge, 1 - edge))


def _bca_end(means: Values, bias: Values, acceleration: Values, tail: float) -> Values:
    """Efron 1987, eq. 3.8: the percentile at which a corrected end lies, column by column."""
    shifted = bias + ndtri(tail)
    share = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-6))
    return np.array([np.quantile(column, s) for column, s in zip(means.T, share, strict=True)])


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}; 0.95 is usual")
