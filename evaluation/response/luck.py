"""Random numbers that belong to a customer, whoever else is in the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


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
    state = np.asarray((int(seed) * _GOLDEN + int(stream) * _ODD) & _ALL, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is the point
        state = _mix(state)
        for key in keys:
            state = _mix(state + (np.asarray(key).astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54)


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(state ^ (state >> np.uint64(31)))


_GOLDEN, _ODD, _ALL = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 2**64 - 1
