"""Group sequential tests: a few planned looks that share one error, by alpha spending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from recsys.errors import ConfigError, unknown_name

Floats = npt.NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(256)
"""Of Gauss and Legendre on [-1, 1]; the densities are smooth, so few serve."""
SMALLEST = 1e-12
"""p-values below are not told apart."""


def obrien_fleming(share: Floats, alpha: float) -> Floats:
    """Error spent up to each share of the information: hardly any early (two sides of Lan and DeMets, 1983).

    Example:
        >>> obrien_fleming(np.array([0.5, 1.0]), 0.05).round(5).tolist()
        [0.00305, 0.05]
    """
    return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(share)))


def pocock(share: Floats, alpha: float) -> Floats:
    """Error spent about evenly: α log(1 + (e - 1) t) (Lan and DeMets, 1983)."""
    return np.asarray(alpha * np.log1p((np.e - 1) * share))


def power_family(exponent: float) -> Callable[[Floats, float], Floats]:
    """α t^exponent (Kim and DeMets, 1987).

    Example:
        >>> power_family(2)(np.array([0.5, 1.0]), 0.05).tolist()
        [0.0125, 0.05]
    """
    return lambda share, alpha: np.asarray(alpha * share**exponent)


SPENDING: dict[str, Callable[[Floats, float], Floats]] = {
    "obrien-fleming": obrien_fleming,
    "pocock": pocock,
    "t": power_family(1),
    "t^2": power_family(2),
    "t^3": power_family(3),
}
"""By name."""


def check_spending(name: str) -> None:
    """Refuse a name that is none of `SPENDING`.

    Raises:
        ConfigError: It is unknown.
    """
    if name not in SPENDING:
        raise ConfigError(unknown_name("spending", name, SPENDING))


def boundaries(shares: Sequence[float], *, alpha: float = 0.05, spending: str = "obrien-fleming") -> Floats:
    """Two-sided critical values of abs(z) at each look.

    Numerical integration over the looks: Armitage, McPherson and Rowe, Repeated significance tests on
    accumulating data, 1969; spending as in Lan and DeMets, Discrete sequential boundaries for clinical trials, 1983.

    Args:
        shares: Of the planned information (users) at each look, rising, in (0, 1].
        alpha: Error of all looks together, two-sided.
        spending: One of `SPENDING`.

    Returns:
        (looks,).

    Raises:
        ConfigError: Shares that do not rise within (0, 1], or an unknown spending.

    Example:
        >>> boundaries([0.25, 0.5, 0.75, 1.0], spending="t^2").round(5).tolist()
        [2.95517, 2.55935, 2.30086, 2.09197]
    """
    return np.array(_boundaries(_checked(shares), alpha, spending))


def crossing(bounds: npt.ArrayLike, shares: Sequence[float], *, drift: float = 0.0) -> Floats:
    """(looks,) probability that abs(z) first reaches its bound at each look; their sum is the power.

    Args:
        bounds: (looks,) as of `boundaries`.
        shares: Likewise.
        drift: Expected z at full information: effect / standard error of the whole test.

    Example:
        >>> t = [0.5, 1.0]
        >>> float(crossing(boundaries(t, spending="t^2"), t).sum().round(6))
        0.05
    """
    walk, found = _Walk.start(drift), []
    for bound, share in zip(np.asarray(bounds, np.float64), _checked(shares), strict=True):
        found.append(walk.exit(share, float(bound)))
        walk = walk.on(share, float(bound))
    return np.array(found)


def group_p_value(z: float, shares: Sequence[float], *, spending: str = "obrien-fleming") -> float:
    """The smallest alpha whose boundary abs(z) reaches at the last of ``shares``: valid over all looks.

    Args:
        z: Effect / standard error now.
        shares: Of the looks so far, this one last.
        spending: One of `SPENDING`.

    Example:
        >>> round(group_p_value(2.09197, [0.25, 0.5, 0.75, 1.0], spending="t^2"), 4)
        0.05
    """
    looks = _checked(shares)

    def missing(log_alpha: float) -> float:
        return _boundaries(looks, float(np.exp(log_alpha)), spending)[-1] - abs(z)

    low, high = np.log(SMALLEST), np.log(0.9999)
    if missing(low) <= 0:
        return SMALLEST
    return 1.0 if missing(high) > 0 else float(np.exp(brentq(missing, low, high, xtol=1e-9)))


def looks_so_far(planned: Sequence[float], now: float) -> tuple[float, ...]:
    """Shares of the looks up to this one: the planned one nearest to ``now`` is taken to be this look.

    Example:
        >>> looks_so_far([0.25, 0.5, 0.75, 1.0], 0.52)
        (0.25, 0.52)
    """
    now = min(now, 1.0)
    number = int(np.argmin(np.abs(np.asarray(planned) - now)))
    return (*(s for s in planned[:number] if s < now), now)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The score process z √t of tests that have not stopped: where it may be, and how likely (mass per node)."""

    share: float
    at: Floats
    mass: Floats
    drift: float

    @classmethod
    def start(cls, drift: float) -> _Walk:
        return cls(0.0, np.zeros(1), np.ones(1), drift)

    def exit(self, share: float, bound: float) -> float:
        """Probability to reach the bound of z at the next look."""
        step, edge = share - self.share, bound * np.sqrt(share)
        moved = self.at + self.drift * step
        return float(self.mass @ (ndtr((moved - edge) / np.sqrt(step)) + ndtr((-moved - edge) / np.sqrt(step))))

    def on(self, share: float, bound: float) -> _Walk:
        """What goes on past the look."""
        step, edge = share - self.share, bound * np.sqrt(share)
        at = edge * NODES
        apart = at[:, None] - self.at - self.drift * step
        density = np.exp(-(apart**2) / (2 * step)) @ self.mass / np.sqrt(2 * np.pi * step)
        return _Walk(share, at, edge * WEIGHTS * density, self.drift)


@lru_cache(maxsize=4096)
def _boundaries(shares: tuple[float, ...], alpha: float, spending: str) -> tuple[float, ...]:
    check_spending(spending)
    spent = SPENDING[spending](np.asarray(shares), alpha)
    walk, found = _Walk.start(0.0), list[float]()
    for share, new in zip(shares, np.diff(spent, prepend=0.0), strict=True):
        found.append(_solve(walk, share, float(new)))
        walk = walk.on(share, found[-1])
    return tuple(found)


def _solve(walk: _Walk, share: float, spend: float, top: float = 20.0) -> float:
    """The bound whose exit probability is ``spend``; the top where that is too small to tell from 0."""
    if walk.exit(share, top) >= spend:
        return top
    return float(brentq(lambda bound: walk.exit(share, bound) - spend, 0.0, top, xtol=1e-10))


def _checked(shares: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(s) for s in shares)
    if not values or values[0] <= 0 or values[-1] > 1 or any(b <= a for a, b in pairwise(values)):
        raise ConfigError(f"shares of information must rise within (0, 1], got {list(values)}; as in [0.5, 1.0]")
    return values
