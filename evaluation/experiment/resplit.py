"""Tests that never were: a log's users are split again and again, to see how often its analysis alarms or finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
BLOCK_CELLS = 2**17
"""Splits × users held at once, whatever the number of either: 1 MB, which stays in the processor's own memory."""
STEPS = 2**16
"""Equal parts of [0, 1) that a random 16-bit number tells apart."""


@dataclass(frozen=True, eq=False)
class Resplit:
    """Welch's test (the delta method's for ratios) of every split.

    Attributes:
        absolute: (n,) difference of treatment and control.
        relative: (n,) the same as a share of control.
        standard_error: (n,) of the difference.
        p_value: (n,) two-sided.
    """

    absolute: Floats
    relative: Floats
    standard_error: Floats
    p_value: Floats

    def rate(self, alpha: float = 0.05) -> float:
        """Share of splits that alarm: alpha where there is no effect, the power where there is one."""
        return float((self.p_value < alpha).mean())


def resplit(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike | None = None,
    *,
    n: int = 10_000,
    allocation: float = 0.5,
    effect: float = 0.0,
    seed: int = 0,
) -> Resplit:
    """Split users at random n times and test each time; the treatment's numerators are raised by ``effect``.

    An A/A test of the analysis on one's own data, and with an effect its power. Each test needs only sums over its
    treatment, so all are one matrix product of splits and users.

    Args:
        numerator: (users,) per-user values.
        denominator: (users,) for a ratio of totals; the mean over users without.
        n: Splits, >= 1.
        allocation: Share of treatment, to 1 / 65,536.
        effect: Relative: 0.02 multiplies the treatment's numerators by 1.02.
        seed: Same seed, same splits.

    Raises:
        DataError: Fewer than 4 users, or a value is not finite.
        ConfigError: ``n`` below 1, or ``allocation`` outside (0, 1).

    Example:
        >>> clicks = np.random.default_rng(0).poisson(2.0, 1000)
        >>> found = resplit(clicks, n=2000)
        >>> bool(0.035 < found.rate() < 0.065)
        True
    """
    if n < 1 or not 0 < allocation < 1:
        raise ConfigError(f"n must be >= 1 and allocation in (0, 1), got {n} and {allocation}")
    x = np.asarray(numerator, np.float64)
    y = np.ones_like(x) if denominator is None else np.asarray(denominator, np.float64)
    if len(x) < 4 or x.shape != y.shape or not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError("resplit needs finite values of at least 4 users, and a denominator of each for a ratio")
    parts = [np.ones_like(x), x, x * x] if denominator is None else [np.ones_like(x), x, x * x, y, y * y, x * y]
    table = np.stack(parts, axis=1)
    treated = np.concatenate([part @ table for part in _splits(len(x), n, allocation, seed)])
    control = _arm(table.sum(axis=0) - treated, 1.0)
    return _test(control, _arm(treated, 1.0 + effect))


def _splits(users: int, n: int, allocation: float, seed: int) -> Iterator[Floats]:
    """Blocks of (splits, users) 0 and 1."""
    rng = np.random.Generator(np.random.SFC64(seed))
    cut = np.uint16(min(max(round(allocation * STEPS), 1), STEPS - 1))
    width, step = -(-users // 4), max(1, BLOCK_CELLS // users)
    for start in range(0, n, step):
        size = (min(step, n - start), width)
        words = rng.integers(0, 2**64 - 1, size=size, dtype=np.uint64, endpoint=True)
        yield (words.view(np.uint16)[:, :users] < cut).astype(np.float64)


def _arm(sums: Floats, factor: float) -> tuple[Floats, Floats, Floats]:
    """(n,) users, metric, and variance of its per-user (linearised) values."""
    n, x, xx = sums[:, 0], factor * sums[:, 1], factor**2 * sums[:, 2]
    y, yy, xy = (sums[:, 3], sums[:, 4], factor * sums[:, 5]) if sums.shape[1] > 3 else (n, n, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = x / y
        squares = np.maximum(xx - 2 * ratio * xy + ratio**2 * yy, 0.0)
        return n, ratio, squares / np.maximum(n - 1, 1) * (n / y) ** 2


def _test(control: tuple[Floats, ...], treatment: tuple[Floats, ...]) -> Resplit:
    (n0, m0, s0), (n1, m1, s1) = control, treatment
    usable = (n0 >= 2) & (n1 >= 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        v0, v1 = s0 / n0, s1 / n1
        df = (v0 + v1) ** 2 / (v0**2 / (n0 - 1) + v1**2 / (n1 - 1))
        error = np.sqrt(v0 + v1)
        p = 2 * stdtr(df, -np.abs(m1 - m0) / error)
        relative = m1 / m0 - 1
    # A split that leaves an arm without two users or any variance finds nothing.
    p = np.where(usable & np.isfinite(p), p, 1.0)
    return Resplit(m1 - m0, relative, error, p)
