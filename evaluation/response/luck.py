"""Random numbers that belong to a customer, whoever else is in the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
SMALL_MEAN, LEAST_TERM = 50.0, 1e-17
"""Up to this mean a Poisson distribution is added up term after term, down to terms that no sum feels."""


def own_luck(seed: int, stream: int, *keys: Ints) -> Floats:
    """Uniform numbers in (0, 1), each a function of the seed, the stream and its keys: nobody else's presence matters.

    SplitMix64's finaliser (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014) over the keys,
    one after the other.

    Args:
        seed: Of the simulation, >= 0.
        stream: Which of a customer's numbers: taste, drift, purchases.
        keys: Customer, session, rank; whole numbers that broadcast.

    Returns:
        Of the keys' common shape, float64.

    Example:
        >>> alone = own_luck(7, 0, np.array([5]))
        >>> bool(own_luck(7, 0, np.arange(10))[5] == alone[0])
        True
    """
    state = _state(seed, stream, keys)
    return np.asarray((state >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53)


def own_rows(seed: int, stream: int, *keys: Ints, rows: int) -> npt.NDArray[np.float32]:
    """(rows, n) uniform numbers in [0, 1) for (n,) keys: those of `own_luck` with the row as one more key, in float32.

    Example:
        >>> third = own_rows(7, 0, np.array([5]), rows=3)[2]
        >>> bool(abs(third - own_luck(7, 0, np.array([5]), np.array(2))).max() < 1e-7)
        True
    """
    state = np.atleast_1d(_state(seed, stream, keys))
    found = np.empty((rows, len(state)), np.float32)
    with np.errstate(over="ignore"):
        for row in range(rows):  # a row fits the cache, all of them do not
            mixed = _mix(state + np.uint64((row + 1) * _GOLDEN & _ALL))
            found[row] = (mixed >> np.uint64(40)).astype(np.float32)
    found *= np.float32(2.0**-24)
    return found


def poisson_quantile(luck: Floats, mean: Floats) -> npt.NDArray[np.int64]:
    """(n,) least count whose distribution function reaches ``luck``: what `scipy.stats.poisson.ppf` answers, faster.

    Small means are added up, term after term, for those who are not there yet.

    Example:
        >>> poisson_quantile(np.array([0.1, 0.5, 0.999]), np.full(3, 2.0)).tolist()
        [0, 2, 8]
    """
    found = np.zeros(len(luck), np.int64)
    large = mean > SMALL_MEAN
    found[large] = poisson.ppf(luck[large], mean[large])
    waiting = np.flatnonzero(~large)
    u, m = luck[waiting], mean[waiting]
    term = np.exp(-m)
    total, count = term.copy(), 0
    while len(waiting):
        count += 1
        on = (u > total) & ((count <= m) | (term > LEAST_TERM))
        waiting, u, m, term, total = waiting[on], u[on], m[on], term[on], total[on]
        found[waiting] = count
        term = term * m / count
        total = total + term
    return found


def _state(seed: int, stream: int, keys: tuple[Ints, ...]) -> npt.NDArray[np.uint64]:
    state = np.asarray((int(seed) * _GOLDEN + int(stream) * _ODD) & _ALL, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is the point
        state = _mix(state)
        for key in keys:
            state = _mix(state + (np.asarray(key).astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))
    return state


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(state ^ (state >> np.uint64(31)))


_GOLDEN, _ODD, _ALL = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 2**64 - 1
